import type { ActiveCall } from "./call.ts";
import type { Decision } from "./decision.ts";
import type { AnyOperation } from "./operation.ts";
import { isBad, type Outcome } from "./outcome.ts";

/** Whose fault was a bad candidate outcome, as far as this one call can tell? */
export type Blame =
  /** Legacy answered the same call: the candidate did it. */
  | "blamed"
  /** Legacy failed on the same call too: poison input, or an outage that both share. */
  | "shared"
  /** Legacy did not run. */
  | "unknown";

/**
 * What happened to one call: the single record that metrics, shadow and guard read. It is emitted once
 * for each call, for a stream when its body has ended.
 */
export interface Observation {
  readonly operation: AnyOperation;
  readonly call: ActiveCall;
  readonly decision: Decision;
  /** What the decided path did. */
  readonly first: Outcome;
  /** What legacy did after the candidate failed, when it was allowed to answer instead. */
  readonly fallback: Outcome | null;
  /** The caller's input; a listener must not keep it. */
  readonly input: unknown;
  /** Wall-clock milliseconds since the Unix epoch, at the end of the call. */
  readonly atMs: number;
  /**
   * The same moment on the monotonic clock, in milliseconds: who reads observations at once need not ask
   * the clock again.
   */
  readonly endedMs?: number;
}

/** The outcome the caller saw. */
export function answerOf(observation: Observation): Outcome {
  return observation.fallback ?? observation.first;
}

/** Null when the candidate did not run or did well. */
export function blameOf(observation: Observation): Blame | null {
  const { first, fallback } = observation;
  if (first.path !== "candidate" || !isBad(first)) return null;
  if (fallback === null || fallback.kind === "aborted") return "unknown";
  return isBad(fallback) ? "shared" : "blamed";
}
