/** What every coded error knows beside its message. */
export interface CodedErrorOptions {
  /** May the same call succeed if it is simply made again later? Default false. */
  readonly retryable?: boolean;
  /** The HTTP status a server should answer with. Default 500. */
  readonly status?: number;
  /** Seconds after which another try makes sense. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
  /** Machine-readable facts: the value, the limit. Never contents, keys or tokens. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * Every error this product makes itself. `code` is stable and listed in the documentation; the message
 * is one or two sentences that name the offending value, the limit and what to do.
 */
export class CodedError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  /** Marks our errors even across two copies of this package, where `instanceof` fails. */
  readonly isChangeoverError = true as const;

  constructor(code: string, message: string, options: CodedErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CodedError";
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.status = options.status ?? 500;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.details = options.details ?? {};
  }
}

/** True for our own errors, also when they come from another copy of this package. */
export function isCodedError(value: unknown): value is CodedError {
  return (value as { isChangeoverError?: unknown } | null | undefined)?.isChangeoverError === true;
}

/** Whatever was thrown, as an Error: itself when it is one, else wrapped with the value as its cause. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(`A value that is not an Error was thrown: ${describeThrown(thrown)}`, {
    cause: thrown,
  });
}

/** The `code` of a thrown value (`ECONNRESET`, `FILES_NOT_FOUND`), if it has one. */
export function codeOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

function describeThrown(thrown: unknown): string {
  try {
    return String(thrown).slice(0, 200);
  } catch {
    return typeof thrown;
  }
}
