import type { FleetTotals, InstanceStatus } from "../../migration/fleet.ts";
import type { PathTotals } from "../evidence.ts";
import type { InstanceTotals, TotalsReading } from "../ports.ts";

/** The counts in these reports; blind when none of them is live. */
export function totalsOf(
  instances: readonly InstanceStatus[],
  operations: readonly string[],
): TotalsReading {
  const live = instances.filter((each) => each.live);
  if (live.length === 0) return { blind: "No instance has reported within the last seconds." };
  const totals = live.flatMap((each) =>
    each.operations
      .filter(({ operation }) => operations.includes(operation))
      .map(
        ({ operation, legacy, candidate, compared = 0 }): InstanceTotals => ({
          // A restart begins at 0: another start is another counter.
          instance: `${each.instance} ${each.startedAt}`,
          operation,
          legacy: pathTotals(legacy),
          candidate: pathTotals(candidate),
          compared,
        }),
      ),
  );
  return { totals };
}

const pathTotals = ({ calls, failed, timedOut, durationMs }: FleetTotals): PathTotals => ({
  calls,
  failed,
  timedOut,
  durationMs: durationMs ?? null,
});
