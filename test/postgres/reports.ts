import type { FleetTotals, InstanceReport, OperationReport } from "../../src/migration/fleet.ts";

export const totalsOf = (calls: number, failed = 0, timedOut = 0): FleetTotals => ({
  ...{ calls, failed, timedOut },
});

/** What an instance says of one operation. */
export const aboutOperation = (change: Partial<OperationReport> = {}): OperationReport => ({
  operation: "test.read",
  legacy: totalsOf(100),
  candidate: totalsOf(10, 1),
  latched: false,
  verdict: "healthy",
  percentage: 10,
  ...change,
});

/** What an instance says of itself. */
export const aReport = (change: Partial<InstanceReport> = {}): InstanceReport => ({
  version: "1.2.3",
  startedAt: "2026-01-01T00:00:00.000Z",
  flags: { kind: "unleash", state: "fresh", revision: "r1" },
  operations: [aboutOperation()],
  ...change,
});
