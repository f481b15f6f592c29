import type { Operation } from "../operation.ts";
import { isBad, type Outcome } from "../outcome.ts";

/** What is known after the candidate did not answer. */
export interface FallbackInput {
  readonly kind: "read" | "write";
  /** How the candidate's outcome ended. */
  readonly outcome: "succeeded" | "refused" | "failed" | "timed-out" | "aborted";
  /** Bytes of the body that the caller already has. */
  readonly bytesSent: number;
  /** The input can be read a second time. */
  readonly replayable: boolean;
  /** For a write: is it proven that nothing happened? */
  readonly effect: "absent" | "possible";
}

/** Why legacy may, or may not, answer instead. */
export type FallbackReason =
  | "not-failed"
  | "bytes-sent"
  | "not-replayable"
  | "read"
  | "effect-absent"
  | "effect-possible";

/** The answer, with its reason. */
export interface FallbackRule {
  readonly allowed: boolean;
  readonly reason: FallbackReason;
}

interface Row extends FallbackRule {
  readonly when: (input: FallbackInput) => boolean;
}

/** First match wins: nothing is answered twice, and no write is done twice. */
export const fallbackTable: readonly Row[] = [
  {
    allowed: false,
    reason: "not-failed",
    when: (i) => i.outcome !== "failed" && i.outcome !== "timed-out",
  },
  { allowed: false, reason: "bytes-sent", when: (i) => i.bytesSent > 0 },
  { allowed: false, reason: "not-replayable", when: (i) => !i.replayable },
  { allowed: true, reason: "read", when: (i) => i.kind === "read" },
  // A write that timed out may still be going on, whatever its error says.
  {
    allowed: true,
    reason: "effect-absent",
    when: (i) => i.outcome === "failed" && i.effect === "absent",
  },
  { allowed: false, reason: "effect-possible", when: () => true },
];

const refused: FallbackRule = { allowed: false, reason: "effect-possible" };

/** May legacy answer a call that the candidate failed? Pure. */
export function mayFallBack(input: FallbackInput): FallbackRule {
  return fallbackTable.find((row) => row.when(input)) ?? refused;
}

/** May legacy answer this call after its first outcome? Asks the operation what it knows of input and error. */
export function legacyMayAnswer<I, O>(
  operation: Operation<I, O>,
  input: I,
  first: Outcome<O>,
): boolean {
  if (first.path !== "candidate" || !isBad(first) || !operation.hasLegacy) return false;
  const { kind, effectOf, replayable } = operation.definition;
  const error = first.kind === "succeeded" ? undefined : first.error;
  return mayFallBack({
    kind,
    outcome: first.kind,
    bytesSent: first.bytes,
    replayable: replayable?.(input) ?? true,
    effect: effectOf?.(error) ?? "possible",
  }).allowed;
}
