import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { FleetChange, FleetLatch } from "../../src/migration/fleet.ts";
import type { LatchRecord } from "../../src/migration/latch.ts";
import type { PostgresPorts } from "../../src/postgres/open-postgres.ts";
import { aRecord } from "../contract/latch-store.ts";
import { FleetDatabase, until } from "./database.ts";
import { aboutOperation, aReport } from "./reports.ts";

let database: FleetDatabase;
beforeAll(async () => {
  database = await FleetDatabase.open();
});
beforeEach(() => database.reset());
afterAll(() => database?.close());

const read = "test.read";
const because: FleetChange = {
  by: { type: "rule", name: "quorum" },
  reason: "2 of 3 latched\0 „sic“",
  evidence: { latched: 2, of: ["a", "b"] },
};
const byAda: FleetChange = { by: { type: "person", name: "ada" }, reason: "mended" };

/** An instance that listens, and what it heard. */
async function listening(name: string): Promise<PostgresPorts & { readonly heard: FleetLatch[] }> {
  const ports = await database.ports(name);
  const heard: FleetLatch[] = [];
  ports.fleet.latches.subscribe((latch) => heard.push(latch));
  await ports.fleet.load();
  ports.fleet.start();
  await until(
    () => ports.fleet.connected,
    (connected) => connected,
  );
  return { ...ports, heard };
}

const shortly = ({ epoch, tripped }: FleetLatch): string => `${epoch} ${tripped}`;

/** The trip of this instance's own latch, some time ago by its own clock. */
const trip = (agoMs = 0, change: Partial<LatchRecord> = {}): LatchRecord =>
  aRecord({ at: new Date(systemClock.now() - agoMs).toISOString(), ...change });

async function reporting(...names: string[]): Promise<PostgresPorts[]> {
  const all = await Promise.all(names.map((name) => database.ports(name)));
  for (const { fleet } of all) await fleet.report(aReport());
  return all;
}

describe("a latch of the fleet", () => {
  it("reaches every instance with all that is known of it, once", async () => {
    const [a, b, c] = await Promise.all(["a", "b", "c"].map((name) => listening(name)));
    const tripped = await a?.fleet.trip(read, because);
    expect(tripped).toEqual({
      ...{ operation: read, tripped: true, epoch: 1, at: expect.any(String), by: because.by },
      ...{ reason: "2 of 3 latched\u{fffd} „sic“", evidence: because.evidence },
    });
    for (const instance of [a, b, c]) {
      await until(
        () => instance?.heard.length,
        (heard) => heard === 1,
      );
      expect(instance?.heard).toEqual([tripped]);
    }
  });

  it("is announced to everybody in an instance, also where somebody else there read it first", async () => {
    const other = await database.ports("a");
    const here = await listening("b");
    const tripped = await other.fleet.trip(read, because);
    expect(await here.fleet.load()).toEqual([tripped]);
    expect(here.heard).toEqual([tripped]);
    await here.fleet.load();
    expect(here.heard).toHaveLength(1);
  });

  it("stays as it is when it is tripped again, and begins a new epoch after a re-arming", async () => {
    const [a, b] = await Promise.all([listening("a"), listening("b")]);
    const first = await a.fleet.trip(read, because);
    expect(await b.fleet.trip(read, byAda)).toEqual(first);
    const rearmed = await b.fleet.rearm(read, byAda);
    expect(rearmed).toMatchObject({ epoch: 1, tripped: false, by: byAda.by, evidence: {} });
    expect(await a.fleet.rearm(read, because)).toEqual(rearmed);
    expect(await a.fleet.trip(read, because)).toMatchObject({ epoch: 2, tripped: true });
    for (const { heard } of [a, b]) {
      await until(
        () => heard.map(shortly),
        (all) => all.at(-1) === "2 true",
      );
      // A change that was overtaken before it was read may be skipped, never repeated or turned round.
      const order = ["1 true", "1 false", "2 true"];
      expect(heard.map(shortly)).toEqual(order.filter((each) => heard.map(shortly).includes(each)));
    }
  });

  it("that was never tripped can be re-armed, and nobody hears of it", async () => {
    const a = await listening("a");
    expect(await a.fleet.rearm(read, byAda)).toMatchObject({ epoch: 0, tripped: false });
    expect(await a.fleet.trip(read, because)).toMatchObject({ epoch: 1 });
    await until(
      () => a.heard.length,
      (heard) => heard === 1,
    );
    expect(a.heard.map(shortly)).toEqual(["1 true"]);
  });

  it("has one epoch, however many trip it at once", async () => {
    const all = await Promise.all(["a", "b", "c"].map((name) => database.ports(name)));
    for (let epoch = 1; epoch <= 20; epoch += 1) {
      const trips = await Promise.all(all.map(({ fleet }) => fleet.trip(read, because)));
      expect(trips.map(shortly)).toEqual(all.map(() => `${epoch} true`));
      await all[0]?.fleet.rearm(read, byAda);
    }
  });

  it("is known to an instance that starts later, which does not hear it again", async () => {
    const [a] = await reporting("a");
    const tripped = await a?.fleet.trip(read, because);
    const late = await listening("late");
    expect(await late.fleet.load()).toEqual([tripped]);
    await a?.fleet.trip("test.write", because);
    await until(
      () => late.heard.length,
      (heard) => heard > 0,
    );
    expect(late.heard.map(({ operation }) => operation)).toEqual(["test.write"]);
  });

  it("that somebody changes in the table by hand is heard too", async () => {
    const a = await listening("a");
    await a.fleet.trip(read, because);
    await database.sql("UPDATE changeover.latches SET tripped = false");
    await until(
      () => a.heard.map(shortly).at(-1),
      (last) => last === "1 false",
    );
  });
});

describe("the quorum", () => {
  it("is one of one, two of three, and a fifth of many", async () => {
    const [alone] = await reporting("a");
    expect(await alone?.fleet.quorum(read)).toEqual({
      ...{ live: 1, latched: 0, needed: 1, met: false },
    });
    expect(await alone?.fleet.publish(trip())).toMatchObject({ latched: 1, met: true });
    const [b] = await reporting("b", "c");
    expect(await b?.fleet.quorum(read)).toEqual({ live: 3, latched: 1, needed: 2, met: false });
    expect(await b?.fleet.publish(trip())).toEqual({ live: 3, latched: 2, needed: 2, met: true });
    await reporting(...Array.from({ length: 9 }, (_, n) => `more-${n}`));
    expect(await b?.fleet.quorum(read)).toEqual({ live: 12, latched: 2, needed: 3, met: false });
  });

  it("is seen as met by one at least of two that trip at the same time, every time", async () => {
    const [a, b] = await reporting("a", "b", "c");
    for (let round = 0; round < 30; round += 1) {
      await database.sql("DELETE FROM changeover.trips");
      const seen = await Promise.all([a?.fleet.publish(trip()), b?.fleet.publish(trip())]);
      expect(seen.some((quorum) => quorum?.met)).toBe(true);
    }
  });

  it("counts no trip of another operation, none that is re-armed, and none a minute old", async () => {
    const [a, b, c] = await reporting("a", "b", "c");
    await a?.fleet.publish(trip(0, { operation: "test.write" }));
    await b?.fleet.publish(trip());
    expect(await b?.fleet.publish(trip(0, { tripped: false }))).toMatchObject({ latched: 0 });
    expect(await c?.fleet.publish(trip(61_000))).toMatchObject({ latched: 0 });
    expect(await c?.fleet.publish(trip(50_000))).toMatchObject({ latched: 1 });
  });

  it("goes by nobody's clock but the database's", async () => {
    const wrong = { ...systemClock, now: () => systemClock.now() - 300_000 };
    const a = await database.ports("a", { clock: wrong });
    await a.fleet.report(aReport());
    expect(await a.fleet.publish(trip(300_000))).toMatchObject({ live: 1, latched: 1 });
  });

  it("counts no instance that is gone, and none that does not have the operation", async () => {
    const [a, b] = await reporting("a", "b", "gone");
    const other = await database.ports("other");
    await other.fleet.report(
      aReport({ operations: [aboutOperation({ operation: "test.write" })] }),
    );
    await a?.fleet.publish(trip());
    await database.sql(
      `UPDATE changeover.instances SET seen_at = seen_at - interval '6 seconds'
       WHERE instance = 'gone'`,
    );
    expect(await b?.fleet.quorum(read)).toMatchObject({ live: 2, latched: 1 });
    await database.sql(
      `UPDATE changeover.instances SET seen_at = seen_at - interval '6 seconds'
       WHERE instance = 'a'`,
    );
    await database.sql("UPDATE changeover.trips SET told_at = told_at - interval '6 seconds'");
    expect(await b?.fleet.quorum(read)).toMatchObject({ live: 1, latched: 0 });
  });

  it("begins anew after a re-arming", async () => {
    const [a, b] = await reporting("a", "b");
    await a?.fleet.publish(trip());
    await b?.fleet.publish(trip());
    await a?.fleet.trip(read, because);
    await a?.fleet.rearm(read, byAda);
    expect(await a?.fleet.quorum(read)).toMatchObject({ live: 2, latched: 0 });
    expect(await b?.fleet.publish(trip(0, { epoch: 2 }))).toMatchObject({ latched: 1, met: false });
  });

  it("hears a trip and its re-arming in the order they were told in", async () => {
    const [a] = await reporting("a");
    for (let round = 0; round < 20; round += 1) {
      const told = [a?.fleet.publish(trip()), a?.fleet.publish(trip(0, { tripped: false }))];
      await Promise.all(told);
      expect(await a?.fleet.quorum(read)).toMatchObject({ latched: 0 });
    }
  });
});

describe("what instances say of themselves", () => {
  it("is known to the others, with when they were heard of and whether they live", async () => {
    const [a] = await reporting("a", "b");
    await database.sql(
      `UPDATE changeover.instances SET seen_at = seen_at - interval '6 seconds'
       WHERE instance = 'b'`,
    );
    const known = await a?.fleet.instances();
    expect(known).toEqual([
      { ...aReport(), instance: "a", seenAt: expect.any(String), live: true },
      { ...aReport(), instance: "b", seenAt: expect.any(String), live: false },
    ]);
  });

  it("is of its latest start, and is forgotten after an hour", async () => {
    const [a] = await reporting("a", "b");
    const again = aReport({ startedAt: "2026-01-01T01:00:00.000Z", version: "2.0.0" });
    await a?.fleet.report(again);
    expect(await a?.fleet.instances()).toMatchObject([
      { instance: "a", version: "2.0.0" },
      { instance: "b" },
    ]);
    await database.sql(
      `UPDATE changeover.instances SET seen_at = seen_at - interval '61 minutes'
       WHERE instance = 'b'`,
    );
    expect(await a?.fleet.instances()).toHaveLength(1);
  });

  it("cannot come under a name that is none", async () => {
    for (const name of ["", "a b", "x".repeat(81), "ä"]) {
      await expect(database.ports(name)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    }
  });
});
