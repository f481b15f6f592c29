import { type Clock, systemClock } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import { ActiveCall, type Path } from "../../migration/call.ts";
import { Operation, type OperationDefinition } from "../../migration/operation.ts";
import type { Outcome } from "../../migration/outcome.ts";
import { type ComparisonRules, compare, outcomeFacts } from "../comparison.ts";
import type { Difference } from "../difference.ts";
import { runShadow } from "../shadow-run.ts";
import type { MismatchCase } from "./mismatch-case.ts";

/** Runs one path with an input as it was recorded. Never rejects: what a path throws is an outcome. */
export type ReplayRunner = (path: Path, recorded: unknown) => Promise<Outcome>;

/** What running a call again on both paths came to. */
export interface Replay {
  readonly operation: string;
  /** `different` again, or not any more; `incomparable` and `both_failed` say neither. */
  readonly result: "same" | "both_failed" | "different" | "incomparable";
  /** Where the two differ now; shortened and masked. */
  readonly differences: readonly Difference[];
  /** What each path did: kind of outcome, class and code of an error. */
  readonly legacy: string;
  readonly candidate: string;
  /** Why they could not be compared; null when they could. */
  readonly detail: string | null;
}

/**
 * Runs a kept case again, legacy first, and compares. Throws `SHADOW_CASE_WITHOUT_INPUT` when its input
 * was not kept.
 */
export async function replayCase(
  kept: MismatchCase,
  rules: ComparisonRules,
  run: ReplayRunner,
): Promise<Replay> {
  const { operation, input } = kept;
  requireInput(kept);
  const legacy = await run("legacy", input);
  const candidate = await run("candidate", input);
  const comparison = compare(rules, legacy, candidate);
  return {
    operation,
    result: comparison.kind,
    differences: comparison.kind === "different" ? comparison.differences : [],
    legacy: outcomeFacts(legacy),
    candidate: outcomeFacts(candidate),
    detail: comparison.kind === "incomparable" ? comparison.detail : null,
  };
}

/** Throws `SHADOW_CASE_WITHOUT_INPUT` when a case cannot be run again. */
export function requireInput({ id, inputNote }: MismatchCase): void {
  if (inputNote === null) return;
  throw new CodedError(
    "SHADOW_CASE_WITHOUT_INPUT",
    `The mismatch ${id} cannot be run again, because its input was not kept: ${inputNote}. Declare recordInput for the operation and wait for the next one.`,
    { status: 409 },
  );
}

/**
 * Runs the paths of an operation as shadows do: reads for real, writes as rehearsals. Throws
 * `SHADOW_NOT_REPLAYABLE` for an operation that declares no `readInput`, and for a write without a
 * rehearsal.
 */
export function operationRunner<I, O>(
  definition: OperationDefinition<I, O>,
  clock: Clock = systemClock,
): ReplayRunner {
  const { name, kind, readInput, rehearse } = definition;
  if (readInput === undefined) throw notReplayable(name, "it declares no readInput");
  if (kind === "write" && rehearse === undefined) {
    throw notReplayable(name, "it is a write that declares no rehearsal");
  }
  const operation = new Operation(definition, () => undefined);
  return (path, recorded) => {
    const call = new ActiveCall(name, path, "shadow", "", {});
    return runShadow(operation, readInput(recorded), call, clock, () => undefined);
  };
}

/** The rules by which two runs of an operation's shadows are compared. */
export function replayRules<I, O>(definition: OperationDefinition<I, O>): ComparisonRules {
  if (definition.kind === "read") return definition as ComparisonRules;
  return { result: "value", ...(definition.ignore && { ignore: definition.ignore }) };
}

/**
 * Runs both paths of an operation with a recorded input and compares, for a test: `differences` is empty
 * when they answer alike. Throws `SHADOW_NOT_REPLAYABLE`.
 */
export function replayInput<I, O>(
  definition: OperationDefinition<I, O>,
  recorded: unknown,
): Promise<Replay> {
  const kept = { id: "", operation: definition.name, input: recorded, inputNote: null };
  const rules = replayRules(definition);
  return replayCase(kept as unknown as MismatchCase, rules, operationRunner(definition));
}

function notReplayable(name: string, why: string): CodedError {
  return new CodedError(
    "SHADOW_NOT_REPLAYABLE",
    `Calls of ${name} cannot be run again: ${why}. Declare it, or look at the case's differences.`,
    { status: 409 },
  );
}
