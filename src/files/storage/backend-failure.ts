import { type CodedError, codeOf, isCodedError } from "../../base/errors.ts";
import { backendRejected, backendUnavailable, type WriteEffect } from "../errors.ts";
import { TimeIsOver } from "./time-limit.ts";

/** An answer that is not a success. */
export interface BackendAnswer {
  /** The HTTP status. The storage API says 400 for nearly everything. */
  readonly status: number;
  /** The status the body names (`statusCode`), where it names one: the true one. */
  readonly statusCode?: string | number | undefined;
  /** The body's `code` (`NoSuchKey`, `23505`), or on older servers its `error`. */
  readonly code?: string | undefined;
  readonly retryAfter?: string | undefined;
}

/** Statuses after which the same request may succeed; 544 is the storage server's database timeout. */
const PASSING = new Set([408, 423, 425, 429, 544]);

/** Failures of a connection before any byte of the request was sent. */
const NOTHING_SENT = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_CLOSED",
]);

/** The status an answer really means. */
export function trueStatus(answer: BackendAnswer): number {
  const named = Number(answer.statusCode);
  return Number.isInteger(named) && named >= 400 ? named : answer.status;
}

/** Does the answer say that the object is not there? */
export function saysMissing(answer: BackendAnswer): boolean {
  return trueStatus(answer) === 404 && answer.code !== "NoSuchBucket";
}

/** The error for an answer that is not a success. `during` continues "The backend failed while …". */
export function answerFailure(during: string, answer: BackendAnswer): CodedError {
  const status = trueStatus(answer);
  const reason = `status ${status}${answer.code === undefined ? "" : ` (${answer.code})`}`;
  const seconds = Number(answer.retryAfter);
  const retryAfterSeconds = seconds > 0 && seconds <= 3600 ? Math.ceil(seconds) : undefined;
  const passing = status >= 500 || status < 400 || PASSING.has(status);
  if (!passing) return backendRejected({ during, reason });
  return backendUnavailable({ during, reason, retryAfterSeconds });
}

/** The error for a request that got no answer. */
export function connectionFailure(during: string, thrown: unknown): CodedError {
  if (isCodedError(thrown)) return thrown;
  const code = codeInside(thrown);
  const effect: WriteEffect = code !== undefined && NOTHING_SENT.has(code) ? "absent" : "possible";
  const reason = isTimeIsOver(thrown) ? thrown.message : (code ?? nameOf(thrown));
  return backendUnavailable({ during, reason, effect, cause: thrown });
}

function isTimeIsOver(thrown: unknown): thrown is TimeIsOver {
  return thrown instanceof TimeIsOver;
}

/** `fetch` hides the code of a failed connection in its error's cause. */
function codeInside(thrown: unknown): string | undefined {
  const cause = (thrown as { cause?: unknown } | null | undefined)?.cause;
  return codeOf(cause) ?? codeOf(thrown);
}

function nameOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.name : typeof thrown;
}
