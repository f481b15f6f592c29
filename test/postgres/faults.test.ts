import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { codeOf } from "../../src/base/errors.ts";
import type { FleetChange, FleetLatch } from "../../src/migration/fleet.ts";
import { migrateFleet } from "../../src/postgres/migrate.ts";
import { openPostgres, type PostgresOptions } from "../../src/postgres/open-postgres.ts";
import { type StartedPostgres, startPostgres } from "../../src/sandbox/postgres/postgres.ts";
import { anEntry } from "../contract/journal.ts";
import { aRollout } from "../contract/rollout-store.ts";
import { Cable } from "./cable.ts";
import { FleetDatabase, until } from "./database.ts";
import { aReport } from "./reports.ts";

/** Short limits, so that a fault is over soon; none of them is what a test waits for. */
const hasty: Partial<PostgresOptions> = {
  ...{ connectTimeoutMs: 1000, statementTimeoutMs: 1000, callTimeoutMs: 1500 },
  listener: { heartbeatMs: 200, heartbeatTimeoutMs: 500, retryMaxMs: 200, lostRetryMs: 200 },
};
const because: FleetChange = { by: { type: "rule", name: "quorum" }, reason: "2 of 3" };
const unavailable = { code: "POSTGRES_UNAVAILABLE", retryable: true };
const isTrue = (value: boolean): boolean => value;
const isFalse = (value: boolean): boolean => !value;

function hearing(fleet: {
  latches: { subscribe(listener: (latch: FleetLatch) => void): unknown };
}) {
  const heard: string[] = [];
  fleet.latches.subscribe(({ operation, epoch, tripped }) =>
    heard.push(`${operation} ${epoch} ${tripped}`),
  );
  return heard;
}

describe("a cable between an instance and Postgres", () => {
  let database: FleetDatabase;
  let cable: Cable;
  beforeAll(async () => {
    database = await FleetDatabase.open();
  });
  beforeEach(async () => {
    await database.reset();
    cable = await Cable.to(database.url);
  });
  afterEach(() => cable.close());
  afterAll(() => database?.close());

  /** One instance behind the cable, and one that is not. */
  async function pair(options: Partial<PostgresOptions> = {}) {
    const far = await database.ports("far", {
      ...hasty,
      url: cable.through(database.url),
      ...options,
    });
    const near = await database.ports("near", hasty);
    return { far, near, heard: hearing(far.fleet) };
  }

  it.each(["cut", "hung"] as const)(
    "that is %s is noticed; what was announced meanwhile is heard once it is whole",
    async (state) => {
      const { far, near, heard } = await pair({ rereadMs: 3_600_000 });
      await far.fleet.load();
      far.fleet.start();
      await until(() => far.fleet.connected, isTrue);
      await near.fleet.trip("test.before", because);
      await until(
        () => heard.length,
        (count) => count === 1,
      );
      cable.state = state;
      await until(() => far.fleet.connected, isFalse);
      await near.fleet.trip("test.read", because);
      await near.fleet.trip("test.gone", because);
      await near.fleet.rearm("test.gone", because);
      expect(heard).toHaveLength(1);
      cable.state = "whole";
      await until(() => far.fleet.connected, isTrue);
      await until(
        () => heard.length,
        (count) => count === 3,
      );
      expect(heard).toEqual(["test.before 1 true", "test.gone 1 false", "test.read 1 true"]);
      expect(far.fleet.problem).toBeNull();
    },
  );

  it.each(["cut", "hung"] as const)(
    "that is %s costs every caller an error in time, and nothing when it is whole again",
    async (state) => {
      const { far } = await pair();
      await far.fleet.report(aReport());
      cable.state = state;
      const calls = [
        () => far.fleet.report(aReport()),
        () => far.fleet.quorum("test.read"),
        () => far.fleet.trip("test.read", because),
        () => far.fleet.load(),
        () => far.journal.append(anEntry("2026-01-01T00:00:00.000Z")),
        () => far.lease.take("far"),
        () => far.rollouts.save(aRollout(), null),
        () => far.fleet.totals(),
      ];
      // More at once than there are connections: who waits for one has a limit too.
      const outcomes = await Promise.allSettled(calls.map((call) => call()));
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({ status: "rejected", reason: unavailable });
      }
      cable.state = "whole";
      const codes = async (): Promise<unknown[]> =>
        (await Promise.allSettled(calls.map((call) => call()))).map((outcome) =>
          outcome.status === "rejected" ? codeOf(outcome.reason) : null,
        );
      await until(codes, (all) => !all.includes(unavailable.code));
      expect(await far.fleet.instances()).toHaveLength(1);
    },
  );

  it("that hangs does not keep a process from closing", async () => {
    const { far } = await pair();
    far.fleet.start();
    await until(() => far.fleet.connected, isTrue);
    await far.fleet.report(aReport());
    cable.state = "hung";
    await far.close();
    expect(far.fleet.connected).toBe(false);
  });

  it("that is cut when an instance starts is no reason not to, and what is latched is heard later", async () => {
    cable.state = "cut";
    const { far, near, heard } = await pair();
    await near.fleet.trip("test.read", because);
    await expect(far.fleet.load()).rejects.toMatchObject(unavailable);
    far.fleet.start();
    await until(
      () => far.fleet.problem,
      (problem) => problem !== null,
    );
    expect(far.fleet.connected).toBe(false);
    cable.state = "whole";
    await until(
      () => heard,
      (all) => all.includes("test.read 1 true"),
    );
    // One line for the whole outage.
    expect(database.problems.map(codeOf)).toEqual(["POSTGRES_UNAVAILABLE"]);
  });

  it("that swallows notifications is named, latches come by reading, and it is never called connected", async () => {
    cable.swallowsNotifications = true;
    const { far, near, heard } = await pair({
      rereadMs: 200,
      listener: { ...hasty.listener, probeTimeoutMs: 300 },
    });
    far.fleet.start();
    await until(
      () => far.fleet.problem,
      (problem) => problem !== null,
    );
    expect(far.fleet.problem).toMatchObject({
      code: "POSTGRES_NOTIFY_LOST",
      message: expect.stringContaining("session mode"),
    });
    await near.fleet.trip("test.read", because);
    await until(
      () => heard.length,
      (count) => count === 1,
    );
    expect(far.fleet.connected).toBe(false);
    cable.swallowsNotifications = false;
    await until(() => far.fleet.connected, isTrue);
    expect(far.fleet.problem).toBeNull();
  });

  it("that delays a leader's write delays whoever wants to lead after it, too", async () => {
    const patient = { statementTimeoutMs: 15_000, lockTimeoutMs: 15_000, callTimeoutMs: 15_000 };
    const leader = await database.ports("leader", { ...patient, leaseTtlMs: 1000 });
    const next = await database.ports("next", patient);
    const first = await leader.rollouts.save(aRollout(), null);
    const order: string[] = [];
    const waiting = async (): Promise<unknown> =>
      (await database.sql("SELECT count(*)::int FROM pg_locks WHERE NOT granted"))[0]?.["count"];
    await database.sql("BEGIN");
    await database.sql("SELECT FROM changeover.rollouts FOR UPDATE");
    const hold = await leader.lease.take("leader");
    const write = leader.rollouts.save({ ...first, percentage: 50 }, hold).then(
      () => order.push("written"),
      () => order.push("refused"),
    );
    await until(waiting, (count) => count === 1);
    await until(
      () => leader.lease.current(),
      (state) => (state?.expiresInMs ?? 0) <= 0,
    );
    const takeover = next.lease.take("next").then(() => order.push("taken over"));
    await until(waiting, (count) => count === 2 || order.length > 0);
    expect(order).toEqual([]);
    await database.sql("COMMIT");
    await Promise.all([write, takeover]);
    expect(order).toEqual(["written", "taken over"]);
  });

  it("that hangs makes a leader lose: what it wrote too late is refused", async () => {
    const { far, near } = await pair({ leaseTtlMs: 50 });
    const hold = await far.lease.take("far");
    const first = await near.rollouts.save(aRollout(), null);
    cable.state = "hung";
    const late = far.rollouts.save({ ...first, percentage: 100 }, hold);
    const outcome = late.then(
      () => "written",
      (error: unknown) => codeOf(error),
    );
    const next = await until(
      () => near.lease.take("near"),
      (taken) => taken !== null,
    );
    const lower = await near.rollouts.save({ ...first, percentage: 0 }, next);
    cable.state = "whole";
    expect(["ROLLOUT_CONFLICT", "POSTGRES_UNAVAILABLE"]).toContain(await outcome);
    await expect(
      until(
        () => far.rollouts.save({ ...lower, percentage: 100 }, hold).catch(codeOf),
        (code) => code !== "POSTGRES_UNAVAILABLE",
      ),
    ).resolves.toBe("ROLLOUT_CONFLICT");
    expect(await near.rollouts.read("test.read")).toEqual(lower);
  });
});

describe("a Postgres that stops and starts again", () => {
  let dataDir: string;
  let server: StartedPostgres | null = null;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "changeover-stopping-"));
  });
  afterAll(async () => {
    await server?.process.stop();
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  });
  const start = async (port = 0): Promise<StartedPostgres> => {
    const starting = await startPostgres({ dataDir, clock: systemClock, port, fsync: false });
    await starting.process.joined;
    return starting;
  };

  it("loses nobody: instances go on, latches are heard, and epochs go on growing", async () => {
    server = await start();
    const url = server.ready.changeoverUrl;
    await migrateFleet(url);
    const problems: unknown[] = [];
    const open = (instance: string) =>
      openPostgres({
        ...{ url, instance, clock: systemClock, ...hasty },
        report: (_part, error) => problems.push(error),
      });
    const [a, b] = [await open("a"), await open("b")];
    const heard = hearing(a.fleet);
    try {
      a.fleet.start();
      await until(() => a.fleet.connected, isTrue);
      await b.fleet.trip("test.read", because);
      const hold = await b.lease.take("b");
      await server.process.stop();
      server = null;
      await until(() => a.fleet.connected, isFalse);
      await expect(b.fleet.trip("test.write", because)).rejects.toMatchObject(unavailable);
      await expect(a.journal.read()).rejects.toMatchObject(unavailable);
      server = await start(Number(new URL(url).port));
      await until(() => a.fleet.connected, isTrue);
      await b.fleet.rearm("test.read", because);
      await b.fleet.trip("test.read", because);
      await until(
        () => heard.at(-1),
        (last) => last === "test.read 2 true",
      );
      expect((await b.lease.take("c"))?.epoch ?? 2).toBe((hold?.epoch ?? 0) + 1);
      expect(problems.map(codeOf)).toEqual(["POSTGRES_UNAVAILABLE"]);
    } finally {
      await Promise.all([a.close(), b.close()]);
    }
  });
});
