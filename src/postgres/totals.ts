import type { FleetTotals } from "../migration/fleet.ts";

/** Counts of one operation, of one instance or of many. */
export interface OperationTotals {
  readonly operation: string;
  readonly legacy: FleetTotals;
  readonly candidate: FleetTotals;
}

const none: FleetTotals = { calls: 0, failed: 0, timedOut: 0 };

/**
 * Sums up the counts of a fleet, by operation and in the order of their names. Each part is what one start
 * of one instance counted, or what is kept of those that are gone: an instance that restarts begins a part
 * of its own at 0, and no part ever shrinks, so no sum does.
 */
export function poolTotals(
  parts: readonly (readonly OperationTotals[])[],
): readonly OperationTotals[] {
  const sums = new Map<string, OperationTotals>();
  for (const { operation, legacy, candidate } of parts.flat()) {
    const sum = sums.get(operation);
    sums.set(operation, {
      operation,
      legacy: add(sum?.legacy ?? none, legacy),
      candidate: add(sum?.candidate ?? none, candidate),
    });
  }
  return [...sums.values()].sort((a, b) => (a.operation < b.operation ? -1 : 1));
}

const add = (a: FleetTotals, b: FleetTotals): FleetTotals => ({
  calls: a.calls + b.calls,
  failed: a.failed + b.failed,
  timedOut: a.timedOut + b.timedOut,
});
