import type { Outcome } from "../migration/outcome.ts";

/** What kind of error a bad outcome was, by its class and never by its words: a closed list. */
export const errorTypes = [
  /** The deadline passed, or the path gave up waiting. */
  "timeout",
  /** No connection, or one that broke off. */
  "network",
  /** The other side asked to slow down: 429. */
  "throttled",
  /** The other side refuses who asks: 401, 403. */
  "unauthorised",
  /** The other side says that the request is wrong: any other 4xx. */
  "rejected",
  /** The other side failed: 5xx. */
  "unavailable",
  /** This machine ran out of something: memory, disk, open files. */
  "resources",
  /** A mistake in the code: TypeError, RangeError, ReferenceError, SyntaxError. */
  "programming",
  "other",
] as const;

/** One of {@link errorTypes}. */
export type ErrorType = (typeof errorTypes)[number];

const networkCodes =
  /^(ECONN\w*|EPIPE|ENOTFOUND|EAI_\w+|EHOST\w*|ENET\w*|UND_ERR_(SOCKET|ABORTED|CLOSED|DESTROYED))$/;
const timeoutCodes = /^(ETIMEDOUT|ESOCKETTIMEDOUT|UND_ERR_\w*TIMEOUT)$/;
const resourceCodes = /^(ENOSPC|EDQUOT|EMFILE|ENFILE|ENOMEM|EFBIG|ERR_OUT_OF_MEMORY)$/;

interface ErrorFacts {
  readonly code?: unknown;
  readonly name?: unknown;
  readonly status?: unknown;
  readonly statusCode?: unknown;
  readonly cause?: unknown;
}

/** Causes that are looked at behind the error itself: a client wraps the network's error once or twice. */
const causesMax = 3;

/** The kind of a failed or timed-out outcome's error. Never throws, whatever was thrown. */
export function errorTypeOf(outcome: Outcome): ErrorType {
  if (outcome.kind === "timed-out") return "timeout";
  if (!("error" in outcome)) return other;
  let error: unknown = outcome.error;
  for (let depth = 0; depth <= causesMax; depth += 1) {
    const found = typeOf(error);
    if (found !== null) return found;
    error = (error as ErrorFacts | null | undefined)?.cause;
    if (error === undefined || error === null) break;
  }
  return isProgramming(outcome.error) ? "programming" : other;
}

const other = "other" satisfies ErrorType;

function typeOf(error: unknown): ErrorType | null {
  const { code, name, status, statusCode } = (error ?? {}) as ErrorFacts;
  if (name === "TimeoutError") return "timeout";
  const byCode = typeof code === "string" ? typeOfCode(code) : null;
  if (byCode !== null) return byCode;
  const said = status ?? statusCode;
  return said === undefined || said === null ? null : typeOfStatus(Number(said));
}

function typeOfCode(code: string): ErrorType | null {
  if (timeoutCodes.test(code)) return "timeout";
  if (networkCodes.test(code)) return "network";
  return resourceCodes.test(code) ? "resources" : null;
}

function typeOfStatus(number: number): ErrorType | null {
  if (number === 429) return "throttled";
  if (number === 408 || number === 504) return "timeout";
  if (number === 507) return "resources";
  if (number === 401 || number === 403) return "unauthorised";
  if (number >= 400 && number < 500) return "rejected";
  if (number >= 500 && number < 600) return "unavailable";
  return null;
}

function isProgramming(error: unknown): boolean {
  return (
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError ||
    error instanceof SyntaxError
  );
}
