import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { InstanceReports } from "../../src/postgres/instance-reports.ts";
import { PostgresPool } from "../../src/postgres/pool.ts";
import { type OperationTotals, poolTotals } from "../../src/postgres/totals.ts";
import { FleetDatabase } from "./database.ts";
import { aboutOperation, aReport, totalsOf } from "./reports.ts";

const count = fc.nat(1000);
const totals = fc.record({ calls: count, failed: count, timedOut: count });
const part = fc.array(
  fc.record({
    operation: fc.constantFrom("a.x", "a.y", "b.z"),
    legacy: totals,
    candidate: totals,
  }),
  { maxLength: 3 },
);
const sumOf = (all: readonly OperationTotals[]): number =>
  all.reduce((sum, { legacy, candidate }) => sum + legacy.calls + candidate.failed, 0);

describe("the sum of a fleet's counts", () => {
  it("is the same in whatever order and groups the parts come, and loses nothing", () => {
    fc.assert(
      fc.property(fc.array(part), fc.nat(10), (parts, at) => {
        const whole = poolTotals(parts);
        expect(poolTotals(parts.toReversed())).toEqual(whole);
        expect(poolTotals([poolTotals(parts.slice(0, at)), ...parts.slice(at)])).toEqual(whole);
        expect(sumOf(whole)).toBe(sumOf(parts.flat()));
        expect(whole.map(({ operation }) => operation)).toEqual(
          [...new Set(parts.flat().map(({ operation }) => operation))].sort(),
        );
      }),
    );
  });
});

/** What may happen to an instance. */
type Event = readonly ["counts" | "restarts" | "vanishes" | "sweeps", number, number];

describe("the sum of a fleet's counts in Postgres", () => {
  let database: FleetDatabase;
  beforeAll(async () => {
    database = await FleetDatabase.open();
  });
  beforeEach(() => database.reset());
  afterAll(() => database?.close());

  const age = (where: string, by: string): Promise<unknown> =>
    database.sql(
      `UPDATE changeover.instances SET seen_at = seen_at - interval '${by}' WHERE ${where}`,
    );

  it("is what was ever counted, whatever instances do: it never goes down", async () => {
    const names = ["a", "b", "c"];
    const ports = await Promise.all(names.map((name) => database.ports(name)));
    const report = (): void => undefined;
    const pool = await PostgresPool.open({ url: database.url, clock: systemClock, report });
    const sweeper = new InstanceReports(pool, "sweeper", systemClock.now);
    const event: fc.Arbitrary<Event> = fc.tuple(
      fc.constantFrom("counts", "counts", "counts", "restarts", "vanishes", "sweeps"),
      fc.nat(names.length - 1),
      fc.integer({ min: 1, max: 50 }),
    );
    const run = async (events: readonly Event[]): Promise<void> => {
      await database.sql("TRUNCATE changeover.instances, changeover.retired_totals");
      const counted = names.map(() => 0);
      const starts = names.map(() => 0);
      let expected = 0;
      for (const [what, which, calls] of events) {
        const fleet = ports[which]?.fleet;
        if (what === "counts") {
          expected += calls;
          counted[which] = (counted[which] ?? 0) + calls;
          const legacy = totalsOf(counted[which] ?? 0);
          const startedAt = `start ${starts[which]}`;
          const report = aReport({ startedAt, operations: [aboutOperation({ legacy })] });
          await fleet?.report(report);
        } else if (what === "sweeps") {
          await sweeper.sweep();
        } else {
          // The next start begins at 0. Of the earlier one nothing is heard any more.
          counted[which] = 0;
          starts[which] = (starts[which] ?? 0) + 1;
          const by = what === "restarts" ? "2 minutes" : "2 hours";
          await age(`instance = '${names[which]}'`, by);
        }
        const [pooled] = (await fleet?.totals()) ?? [];
        expect(pooled?.legacy.calls ?? 0).toBe(expected);
      }
    };
    try {
      const events = fc.array(event, { minLength: 20, maxLength: 40 });
      await fc.assert(fc.asyncProperty(events, run), { numRuns: 10, endOnFailure: true });
    } finally {
      await pool.close();
    }
  }, 60_000);

  it("outlives the rows, which are removed after an hour, and sooner once an instance restarted", async () => {
    const [gone, again, sweeper] = await Promise.all(
      ["gone", "again", "sweeper"].map((name) => database.ports(name)),
    );
    await gone?.fleet.report(aReport());
    await again?.fleet.report(aReport({ startedAt: "first" }));
    await again?.fleet.report(aReport({ startedAt: "second" }));
    await gone?.fleet.publish({
      ...{ operation: "test.read", tripped: true, epoch: 1, at: "2026-01-01T00:00:00.000Z" },
      ...{ by: { type: "rule", name: "x" }, reason: "y", evidence: {} },
    });
    await age("instance = 'gone'", "61 minutes");
    await age("started_at = 'first'", "2 minutes");
    await database.sql("UPDATE changeover.trips SET told_at = told_at - interval '61 minutes'");
    const before = await again?.fleet.totals();
    for (let n = 0; n < 60; n += 1) await sweeper?.fleet.report(aReport({ operations: [] }));
    expect(
      await database.sql("SELECT instance, started_at FROM changeover.instances ORDER BY 1"),
    ).toEqual([
      { instance: "again", started_at: "second" },
      { instance: "sweeper", started_at: aReport().startedAt },
    ]);
    expect(await database.sql("SELECT * FROM changeover.trips")).toEqual([]);
    expect(await again?.fleet.totals()).toEqual(before);
    expect(before).toEqual([
      { operation: "test.read", legacy: totalsOf(300), candidate: totalsOf(30, 3) },
    ]);
  });
});
