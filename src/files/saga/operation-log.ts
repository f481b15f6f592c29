import { codeOf } from "../../base/errors.ts";
import type { LogFields, Logger } from "../../base/logger.ts";
import type { Call } from "../../migration/call.ts";
import type { FileManagerParts } from "./parts.ts";

/** What says which operation a log line belongs to. */
type OperationIdentity = Pick<Call, "operation" | "requestId" | "path" | "source">;

/**
 * The parts with a logger that marks every line with the operation and its request id, so that all
 * lines of one upload or delete can be found by one id. Lines carry ids, sizes and codes; never
 * contents, names or keys.
 */
export function partsOf(parts: FileManagerParts, call: OperationIdentity): FileManagerParts {
  const { operation, requestId, path, source } = call;
  const identity = { operation, requestId, path, source };
  const { logger } = parts;
  const marked: Logger = {
    debug: (fields, message) => logger.debug({ ...identity, ...fields }, message),
    info: (fields, message) => logger.info({ ...identity, ...fields }, message),
    warn: (fields, message) => logger.warn({ ...identity, ...fields }, message),
    error: (fields, message) => logger.error({ ...identity, ...fields }, message),
  };
  return { ...parts, logger: marked };
}

/** The two lines an operation can end with. */
export interface OperationWords {
  readonly done: string;
  readonly failed: string;
}

/**
 * Runs an operation and logs how it ended and how long it took: `facts` of its result, or the code of
 * its error (never the message: it may name a file).
 */
export async function logged<T>(
  { logger, clock }: FileManagerParts,
  words: OperationWords,
  work: () => Promise<T>,
  facts: (result: T) => LogFields,
): Promise<T> {
  const startedMs = clock.monotonicMs();
  const ms = (): number => Math.round(clock.monotonicMs() - startedMs);
  try {
    const result = await work();
    logger.info({ ...facts(result), ms: ms() }, words.done);
    return result;
  } catch (error) {
    logger.info({ code: codeOf(error) ?? "aborted", ms: ms() }, words.failed);
    throw error;
  }
}
