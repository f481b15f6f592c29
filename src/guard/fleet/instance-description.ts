import type { FlagSource } from "../../migration/flags.ts";
import type { InstanceReport, OperationReport } from "../../migration/fleet.ts";
import type { AnyOperation } from "../../migration/operation.ts";
import { hashKey } from "../engine/failure-keys.ts";
import type { Guard } from "../guard.ts";

/** Where an instance's description is read from. */
export interface InstanceSources {
  readonly changeover: {
    readonly flags: FlagSource;
    readonly operations: readonly AnyOperation[];
  };
  readonly guard: Pick<Guard, "overall" | "totals">;
  readonly version: string;
  /** ISO 8601. */
  readonly startedAt: string;
}

/** What this process tells the others of itself. */
export function describeInstance(sources: InstanceSources): InstanceReport {
  const { changeover, guard, version, startedAt } = sources;
  const { flags } = changeover;
  const operations = changeover.operations.map(({ name, latch }): OperationReport => {
    const { legacy, candidate, compared } = guard.totals(name);
    const state = flags.state(name);
    const percentage = state === null ? null : state.enabled ? state.percentage : 0;
    const { kind: verdict } = guard.overall(name);
    return {
      operation: name,
      legacy,
      candidate,
      compared,
      latched: latch.tripped,
      verdict,
      percentage,
    };
  });
  return {
    version,
    startedAt,
    flags: {
      kind: flags.kind,
      state: flags.freshness().state,
      revision: revisionOf(flags, operations),
    },
    operations,
  };
}

/** The same for two instances that see the same flags, whatever they counted on the way there. */
function revisionOf(flags: FlagSource, operations: readonly OperationReport[]): string {
  const seen = operations.map(({ operation }) => {
    const state = flags.state(operation);
    return `${operation} ${state?.enabled} ${state?.percentage} ${state?.shadowPercentage}`;
  });
  return seen.reduce((hash, text) => hashKey(`${hash} ${text}`), 1).toString(16);
}
