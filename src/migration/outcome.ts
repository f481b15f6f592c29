import type { Path } from "./call.ts";

interface OutcomeOf<K extends string> {
  readonly kind: K;
  readonly path: Path;
  /** Milliseconds from the start of the run to its end; for a stream, to the end of its body. */
  readonly durationMs: number;
  /** Milliseconds to the first byte of a stream's body; null for values and empty bodies. */
  readonly firstByteMs: number | null;
  /** Bytes of a stream's body that reached the caller; 0 for values. */
  readonly bytes: number;
}

/** The path answered. */
export interface Succeeded<O> extends OutcomeOf<"succeeded"> {
  readonly output: O;
  /** SHA-256 of a stream's body in hex, when it was asked for because the call is shadowed. */
  readonly digest: string | null;
}

/** The path threw something that is the caller's doing, such as a 404: an answer, not a failure. */
export interface Refused extends OutcomeOf<"refused"> {
  readonly error: unknown;
}

/** The path threw. With `bytes` above 0 the caller had already received part of a stream. */
export interface Failed extends OutcomeOf<"failed"> {
  readonly error: unknown;
}

/** The candidate did not answer within its deadline; its work may still be going on. */
export interface TimedOut extends OutcomeOf<"timed-out"> {
  readonly error: unknown;
}

/** The caller gave up; says nothing about the path. */
export interface Aborted extends OutcomeOf<"aborted"> {
  readonly error: unknown;
}

/** What one path did with one call. */
export type Outcome<O = unknown> = Succeeded<O> | Refused | Failed | TimedOut | Aborted;

/** The closed set of values that metrics use as the `outcome` label. */
export const outcomeKinds: readonly Outcome["kind"][] = [
  "succeeded",
  "refused",
  "failed",
  "timed-out",
  "aborted",
];

/** Did the path do harm? Refusals and aborts are not harm. */
export function isBad(outcome: Outcome): boolean {
  return outcome.kind === "failed" || outcome.kind === "timed-out";
}

/**
 * The default of `isFailure`: everything is a failure but what says by its own `status` or `statusCode`
 * that the client was wrong (400 to 499, except 408 Request Timeout and 429 Too Many Requests).
 */
export function isFailureByDefault(thrown: unknown): boolean {
  const carrier = thrown as { status?: unknown; statusCode?: unknown } | null | undefined;
  const status = Number(carrier?.status ?? carrier?.statusCode);
  const clientsFault = status >= 400 && status < 500 && status !== 408 && status !== 429;
  return !clientsFault;
}
