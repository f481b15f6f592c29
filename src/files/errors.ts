import { CodedError, type CodedErrorOptions, codeOf } from "../base/errors.ts";
import type { ProviderName } from "./file-manager.ts";

/**
 * What is known about a write that failed: `absent` when it is proven that nothing was stored,
 * `possible` when it may have been. Kept in an error's `details.effect`.
 */
export type WriteEffect = "absent" | "possible";

/** No such file, or one of another owner: callers must not be able to tell the two apart. */
export function notFound(id: string): CodedError {
  return new CodedError("FILES_NOT_FOUND", `There is no file ${quoted(id)}.`, { status: 404 });
}

/** A file of 0 bytes where the provider takes none. */
export function emptyFile(name: string, provider: ProviderName): CodedError {
  return new CodedError(
    "FILES_EMPTY",
    `The file ${quoted(name)} has 0 bytes and provider ${provider} refuses empty files. Send at least 1 byte, or use provider none.`,
    { status: 400, details: { provider, sizeBytes: 0 } },
  );
}

/** A limit on a size that was passed. */
export interface SizeLimit {
  /** Starts the message, such as `The file "a.pdf"`. */
  readonly what: string;
  /** Whose limit it is, such as `provider kimi` or `the spool`. */
  readonly whose: string;
  readonly limitBytes: number;
  /** The size, or with `atLeast` how much was seen before reading stopped. */
  readonly sizeBytes: number;
  readonly atLeast?: boolean;
}

/** More bytes than a limit allows. */
export function tooLarge(limit: SizeLimit, cause?: unknown): CodedError {
  const { what, whose, limitBytes, sizeBytes, atLeast = false } = limit;
  return new CodedError(
    "FILES_TOO_LARGE",
    `${what} has ${atLeast ? "at least " : ""}${bytesText(sizeBytes)}; the limit of ${whose} is ${bytesText(limitBytes)}. Send a smaller file.`,
    { status: 413, cause, details: { limitBytes, sizeBytes, atLeast } },
  );
}

/** A file name that cannot be taken; `why` continues "The file name … ", such as `is empty`. */
export function invalidName(name: string, why: string): CodedError {
  return new CodedError("FILES_INVALID_NAME", `The file name ${quoted(name)} ${why}.`, {
    status: 400,
  });
}

/** An owner that no keys file can name. */
export function invalidOwner(owner: string): CodedError {
  return new CodedError(
    "FILES_INVALID_OWNER",
    `${quoted(owner)} is no owner. Use 1 to 100 letters, digits or ._@-, as in the keys file.`,
    { status: 400 },
  );
}

/** A provider nobody knows. */
export function unknownProvider(provider: string, known: readonly string[]): CodedError {
  return new CodedError(
    "FILES_UNKNOWN_PROVIDER",
    `There is no provider ${quoted(provider)}. Use one of: ${known.join(", ")}.`,
    { status: 400, details: { known } },
  );
}

/** A purpose the provider does not know. */
export function unknownPurpose(
  purpose: string,
  provider: ProviderName,
  known: readonly string[],
): CodedError {
  return new CodedError(
    "FILES_UNKNOWN_PURPOSE",
    `Provider ${provider} has no purpose ${quoted(purpose)}. Use one of: ${known.join(", ")}.`,
    { status: 400, details: { provider, known } },
  );
}

/** A file type that the provider does not take for this purpose. */
export function unsupportedType(
  file: { readonly name: string; readonly provider: ProviderName; readonly purpose: string },
  accepted: readonly string[],
): CodedError {
  const { name, provider, purpose } = file;
  return new CodedError(
    "FILES_UNSUPPORTED_TYPE",
    `Provider ${provider} does not take ${quoted(name)} for purpose ${purpose}: its extension must be one of ${accepted.join(" ")}.`,
    { status: 415, details: { provider, purpose, accepted } },
  );
}

/** A file whose type is refused whatever it calls itself; `whose` rule it is, such as `provider kimi`. */
export function blockedType(name: string, mimeType: string, whose: string): CodedError {
  return new CodedError(
    "FILES_BLOCKED_TYPE",
    `The file ${quoted(name)} is ${mimeType}, which ${whose} refuses. Send another file.`,
    { status: 415, details: { mimeType } },
  );
}

/** A path that leads to something else than an ordinary file, such as `a folder`. */
export function notAFile(path: string, kind: string, cause?: unknown): CodedError {
  return new CodedError(
    "FILES_NOT_A_FILE",
    `${quoted(path, 1024)} is ${kind}, not a file. Name one ordinary file.`,
    { status: 400, cause },
  );
}

/** A local path that leads nowhere. */
export function missing(path: string, cause?: unknown): CodedError {
  return new CodedError(
    "FILES_MISSING",
    `There is no file at ${quoted(path, 1024)}. Check the path.`,
    { status: 404, cause },
  );
}

/** A local file this process may not, or cannot, read. */
export function unreadable(path: string, cause?: unknown): CodedError {
  const reason = codeOf(cause);
  return new CodedError(
    "FILES_UNREADABLE",
    `The file ${quoted(path, 1024)} cannot be read${reason === undefined ? "" : ` (${reason})`}. Give this user the right to read it.`,
    { status: 403, cause },
  );
}

/** A local place that a download cannot be written to. */
export function unwritable(path: string, cause: unknown): CodedError {
  return new CodedError(
    "FILES_UNWRITABLE",
    `${quoted(path, 1024)} cannot be written (${codeOf(cause) ?? "unknown cause"}). Check the folder, its rights and its room, or choose another place.`,
    { status: 400, cause },
  );
}

const diskErrors: ReadonlySet<string> = new Set([
  "EACCES",
  "EDQUOT",
  "EISDIR",
  "ENAMETOOLONG",
  "ENOENT",
  "ENOSPC",
  "ENOTDIR",
  "EPERM",
  "EROFS",
]);

/** Did writing to a disk fail, and not a connection? */
export function isDiskError(error: unknown): boolean {
  return diskErrors.has(codeOf(error) ?? "");
}

/** How full a spool is, and how full it may be. */
export interface SpoolUse {
  readonly usedBytes: number;
  readonly limitBytes: number;
  readonly files: number;
  readonly filesMax: number;
}

/** The spool's limit is reached, or (with a `cause`) its disk is full. */
export function spoolFull(use: SpoolUse, cause?: unknown): CodedError {
  const { usedBytes, limitBytes, files, filesMax } = use;
  const holds = `${bytesText(usedBytes)} of at most ${bytesText(limitBytes)} in ${files} of at most ${filesMax} files`;
  return new CodedError(
    "FILES_SPOOL_FULL",
    `The upload spool has no room for this body: ${cause === undefined ? "" : "its disk is full; "}it holds ${holds}. Try again when other uploads have ended, or give it more room.`,
    { status: 507, retryable: true, cause, details: { ...use } },
  );
}

/** The spool's folder cannot be used: no right to write, a broken disk. */
export function spoolFailed(dir: string, cause: unknown): CodedError {
  return new CodedError(
    "FILES_SPOOL_FAILED",
    `The upload spool in ${dir} cannot be written (${codeOf(cause) ?? "unknown cause"}). Check the folder, its rights and its disk.`,
    { status: 500, cause },
  );
}

/** The bytes are no longer those that were announced. `what` names the source. */
export function sourceChanged(what: string, cause?: unknown): CodedError {
  return new CodedError(
    "FILES_SOURCE_CHANGED",
    `${what} changed while it was being read. Upload it again when nobody writes to it.`,
    { status: 409, cause },
  );
}

/** A body that broke off, or that has fewer or more bytes than its sender announced. */
export function incompleteBody(
  body: { readonly receivedBytes: number; readonly expectedBytes?: number | undefined },
  cause?: unknown,
): CodedError {
  const { receivedBytes, expectedBytes } = body;
  const tooLong = expectedBytes !== undefined && receivedBytes > expectedBytes;
  const ended = `${tooLong ? "goes on past" : "ended after"} ${bytesText(tooLong ? expectedBytes : receivedBytes)}`;
  const announced =
    expectedBytes === undefined || tooLong ? "" : `; ${bytesText(expectedBytes)} were announced`;
  return new CodedError(
    "FILES_INCOMPLETE_BODY",
    `The body ${ended}${tooLong ? ", its announced length" : announced}. Nothing was stored; send all of it again.`,
    { status: 400, cause, details: { receivedBytes, expectedBytes } },
  );
}

/** A body whose SHA-256 is not the one its sender declared. Both digests in hex. */
export function digestMismatch(expectedSha256: string, actualSha256: string): CodedError {
  return new CodedError(
    "FILES_DIGEST_MISMATCH",
    `The body's SHA-256 is ${actualSha256}, but ${expectedSha256} was declared. Nothing was stored; send it again, or correct the digest.`,
    { status: 400, details: { expectedSha256, actualSha256 } },
  );
}

/** Stored bytes that are not those that were sent. `what` starts the message. */
export function integrity(
  what: string,
  facts: { readonly expected: string | number; readonly actual: string | number },
): CodedError {
  return new CodedError(
    "FILES_INTEGRITY",
    `${what}: expected ${facts.expected}, found ${facts.actual}. Do not use it; upload the file again.`,
    { status: 502, details: { ...facts, effect: "possible" satisfies WriteEffect } },
  );
}

/** A range that starts at or past the end of the file. */
export function rangeNotSatisfiable(start: number, sizeBytes: number): CodedError {
  return new CodedError(
    "FILES_RANGE_NOT_SATISFIABLE",
    `The range starts at byte ${start}, but the file has ${bytesText(sizeBytes)}. Ask for a range that starts before its end.`,
    { status: 416, details: { start, sizeBytes } },
  );
}

/** What is known about a failure of our own storage or tables. */
export interface BackendFailure {
  /** What was being done, such as `storing the object`; continues "The backend failed while …". */
  readonly during: string;
  /** Why, in a few words: a status, an error code. Never contents or keys. */
  readonly reason: string;
  readonly effect?: WriteEffect;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

/** Storage or tables did not answer, or said that they cannot now. */
export function backendUnavailable(failure: BackendFailure): CodedError {
  return new CodedError(
    "FILES_BACKEND_UNAVAILABLE",
    `The storage backend did not answer properly while ${failure.during}: ${failure.reason}. Try again; if it stays so, check the backend.`,
    { ...failureOptions(failure), status: 503, retryable: true },
  );
}

/** Storage or tables refused what we asked; the same call will be refused again. */
export function backendRejected(failure: BackendFailure): CodedError {
  return new CodedError(
    "FILES_BACKEND_REJECTED",
    `The storage backend refused while ${failure.during}: ${failure.reason}. Check its configuration and keys.`,
    { ...failureOptions({ effect: "absent", ...failure }), status: 502 },
  );
}

/** `52428801 bytes (50.0 MiB)`: exact, with a readable form from 1 KiB up. */
export function bytesText(bytes: number): string {
  const exact = `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  const unit = units.find(([, size]) => bytes >= size);
  if (unit === undefined) return exact;
  const [name, size] = unit;
  const value = bytes / size;
  return `${exact} (${Number.isInteger(value) ? value : value.toFixed(1)} ${name})`;
}

const units: readonly (readonly [string, number])[] = [
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
];

/** A value in quotes with its control characters escaped, cut at `maxLength` characters. */
function quoted(value: string, maxLength = 120): string {
  const shown = value.length > maxLength ? `${value.slice(0, maxLength)}…` : value;
  // Bidi controls would let a name rewrite how the message around it reads.
  return JSON.stringify(shown).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** What errors of servers behind us have in common. */
export function failureOptions(
  failure: Pick<BackendFailure, "effect" | "retryAfterSeconds" | "cause">,
): CodedErrorOptions {
  return {
    ...(failure.retryAfterSeconds === undefined
      ? {}
      : { retryAfterSeconds: failure.retryAfterSeconds }),
    cause: failure.cause,
    details: { effect: failure.effect ?? ("possible" satisfies WriteEffect) },
  };
}
