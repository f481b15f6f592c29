import { randomBytes } from "node:crypto";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { codeOf } from "../../src/base/errors.ts";
import { MemoryQueue } from "../../src/files/backfill/memory-queue.ts";
import type { BackfillTally } from "../../src/files/backfill/tally.ts";
import { migrateFleet } from "../../src/postgres/migrate.ts";
import { BatchQueue } from "../../src/postgres/queue/batch-queue.ts";
import { newDatabase } from "../postgres/database.ts";
import { startTestPostgres, type TestPostgres } from "../support/postgres.ts";
import { allDone, backfillQueueContract, listed, takenFrom } from "./backfill-queue.ts";

backfillQueueContract("in memory", async () => {
  const queue = new MemoryQueue();
  return { queue: () => queue, pass: () => undefined };
});

let server: TestPostgres;
let owner: pg.Client;
const opened: BatchQueue<BackfillTally>[] = [];
const { signal } = new AbortController();

const open = async (name: string): Promise<BatchQueue<BackfillTally>> => {
  const queue = await BatchQueue.open<BackfillTally>({ url: server.url, name, clock: systemClock });
  opened.push(queue);
  return queue;
};
const fresh = (): string => `backfill/${randomBytes(8).toString("hex")}`;
/** Every machine has been silent for a minute, and every wait is over. */
const silence = async (): Promise<void> => {
  await owner.query(`UPDATE changeover_queue.job SET
    heartbeat_on = heartbeat_on - interval '1 minute',
    start_after = start_after - interval '1 minute'`);
  await owner.query("UPDATE changeover_queue.queue SET monitor_claim_on = NULL");
};

beforeAll(async () => {
  server = await startTestPostgres();
  owner = new pg.Client(server.url);
  owner.on("error", () => undefined);
  await owner.connect();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((queue) => queue.close()));
});
afterAll(async () => {
  await owner?.end();
  await server?.close();
});

backfillQueueContract("in Postgres", async () => {
  const name = fresh();
  const queue = await open(name);
  const other = await open(name);
  let asked = 0;
  // Batches are settled by who took them: the second machine only looks on.
  const world = { queue: () => (asked++ === 1 ? other : queue), pass: silence };
  return world;
});

describe("the queue of a backfill, on several machines", () => {
  it("is listed once by machines that begin at once, and is the others' too", async () => {
    const name = fresh();
    const machines = await Promise.all([open(name), open(name), open(name)]);
    let lists = 0;
    const list = async function* (): AsyncGenerator<readonly string[], void, void> {
      lists += 1;
      yield ["a"];
      yield ["b"];
    };
    const begun = await Promise.all(machines.map((machine) => machine.begin(list, signal)));
    expect(lists).toBe(1);
    expect(begun.filter(Boolean)).toHaveLength(1);
    for (const machine of machines) {
      expect(await machine.state()).toMatchObject({ total: 2, left: 2 });
    }
  });

  it("is the others' result too when it was over before they looked again", async () => {
    const name = fresh();
    const [one, two] = [await open(name), await open(name)];
    const gate = Promise.withResolvers<void>();
    const elected = Promise.withResolvers<void>();
    const slow = async function* (): AsyncGenerator<readonly string[], void, void> {
      elected.resolve();
      await gate.promise;
      yield ["a"];
    };
    const first = one.begin(slow, signal);
    await elected.promise;
    let secondLists = 0;
    const second = two.begin(() => {
      secondLists += 1;
      return listed(["x"]);
    }, signal);
    // The second one has found that the first one lists.
    await new Promise((resolve) => systemClock.after(1500, () => resolve(null), true));
    gate.resolve();
    await first;
    const batch = await takenFrom(one);
    await one.settle(batch, allDone(batch.keys));
    expect(await second).toBe(false);
    expect(secondLists).toBe(0);
    expect(await two.state()).toEqual({ total: 1, done: 1, bytes: 1, left: 0 });
  });

  it("is not listed again while work is left, and is when none is", async () => {
    const name = fresh();
    const one = await open(name);
    await one.begin(() => listed(["a"], ["b"]), signal);
    const batch = await takenFrom(one);
    await one.settle(batch, allDone(batch.keys));
    await one.close();
    const two = await open(name);
    expect(await two.begin(() => listed(["never"]), signal)).toBe(false);
    expect(await two.state()).toMatchObject({ total: 2, done: 1, left: 1 });
    const rest = await takenFrom(two);
    await two.settle(rest, allDone(rest.keys));
    const three = await open(name);
    expect(await three.begin(() => listed(["c"]), signal)).toBe(true);
    expect(await three.state()).toEqual({ total: 1, done: 0, bytes: 0, left: 1 });
  });

  it("gives the batch of a machine that is gone to another, which alone can settle it", async () => {
    const name = fresh();
    const [dead, alive] = [await open(name), await open(name)];
    await dead.begin(() => listed(["a", "b"]), signal);
    await alive.begin(() => listed(["never"]), signal);
    const lost = await takenFrom(dead);
    await alive.state();
    expect(await alive.take()).toBeNull();
    await silence();
    await alive.state();
    const taken = await takenFrom(alive);
    expect(taken.keys).toEqual(["a", "b"]);
    // It was only asleep, and gives part of it back.
    expect(await dead.settle(lost, { ...allDone(["a"]), unfinished: ["b"] })).toBe(false);
    expect(await alive.state()).toMatchObject({ done: 0, left: 1 });
    expect(await alive.settle(taken, allDone(taken.keys))).toBe(true);
    expect(await alive.state()).toEqual({ total: 2, done: 2, bytes: 2, left: 0 });
  });

  it("gives up a batch over which one machine after the other dies", async () => {
    const name = fresh();
    const queue = await open(name);
    await queue.begin(() => listed(["poison", "beside"]), signal);
    for (let deaths = 0; deaths < 6; deaths += 1) {
      await takenFrom(queue);
      await silence();
      await queue.state();
    }
    expect(await queue.take()).toBeNull();
    expect(await queue.state()).toMatchObject({ done: 2, left: 0 });
    const { failed } = await queue.report();
    expect(failed).toMatchObject([
      { key: "poison", code: "ABANDONED" },
      { key: "beside", code: "ABANDONED" },
    ]);
    const { rows } = await owner.query("SELECT data FROM changeover_queue.job WHERE name = $1", [
      `${name}/dead`,
    ]);
    expect(rows).toEqual([{ data: { keys: ["poison", "beside"] } }]);
  });

  it("is listed anew when the machine that listed is gone, without what that one had put on", async () => {
    const name = fresh();
    const [dead, alive] = [await open(name), await open(name)];
    const gate = Promise.withResolvers<void>();
    const put = Promise.withResolvers<void>();
    const stuck = async function* (): AsyncGenerator<readonly string[], void, void> {
      // More than are put on the queue at once.
      for (let index = 0; index < 45; index += 1) yield [`old-${index}`];
      put.resolve();
      await gate.promise;
      yield ["late"];
    };
    const first = dead.begin(stuck, signal);
    await put.promise;
    const second = alive.begin(() => listed(["a"], ["b"]), signal);
    // It waits for the other one until that one is silent.
    await new Promise((resolve) => systemClock.after(1200, () => resolve(null), true));
    await silence();
    expect(await second).toBe(true);
    gate.resolve();
    // The first one finds that it is not its turn any more, and joins.
    expect(await first).toBe(false);
    expect(await dead.state()).toMatchObject({ total: 2, left: 2 });
    const keys = [(await takenFrom(dead)).keys, (await takenFrom(alive)).keys].flat().sort();
    expect(keys).toEqual(["a", "b"]);
  });

  it("lets another machine list at once when listing failed", async () => {
    const name = fresh();
    const [one, two] = [await open(name), await open(name)];
    const broken = async function* (): AsyncGenerator<readonly string[], void, void> {
      yield* Array.from({ length: 30 }, (_, index) => [`old-${index}`]);
      throw new Error("no list");
    };
    await expect(one.begin(broken, signal)).rejects.toThrow("no list");
    expect(await two.begin(() => listed(["a"]), signal)).toBe(true);
    expect(await two.state()).toMatchObject({ total: 1, left: 1 });
  });

  it("is another one under another name", async () => {
    const [one, two] = [await open(fresh()), await open(fresh())];
    await one.begin(() => listed(["a"]), signal);
    await two.begin(() => listed(["b"]), signal);
    expect((await takenFrom(two)).keys).toEqual(["b"]);
    expect(await two.take()).toBeNull();
    expect((await takenFrom(one)).keys).toEqual(["a"]);
  });
});

describe("the database of a queue", () => {
  const openAt = (url: string): Promise<unknown> =>
    BatchQueue.open({ url, name: fresh(), clock: systemClock }).then(
      (queue) => queue.close().then(() => null),
      (error: unknown) => error,
    );
  const withLogin = (login: string, password: string): string => {
    const url = new URL(server.url);
    url.username = login;
    url.password = password;
    return url.href;
  };

  it("is named without its password when it cannot be used", async () => {
    const nobody = await openAt("postgres://me:hush-hush-1@127.0.0.1:1/none");
    expect(codeOf(nobody)).toBe("POSTGRES_UNAVAILABLE");
    const refused = await openAt(withLogin("nobody", "hush-hush-1"));
    expect(codeOf(refused)).toBe("POSTGRES_REFUSED");
    const wrong = await openAt("mysql://me:hush-hush-1@127.0.0.1/none");
    expect(codeOf(wrong)).toBe("CONFIG_INVALID");
    for (const error of [nobody, refused, wrong]) {
      const { message, details } = error as { message: string; details: unknown };
      expect(message + JSON.stringify(details)).not.toContain("hush-hush");
    }
  });

  it("gets its tables once from machines that are its first ones at once", async () => {
    const url = await newDatabase(server.url);
    const name = fresh();
    const first = () => BatchQueue.open<BackfillTally>({ url, name, clock: systemClock });
    const machines = await Promise.all([first(), first(), first()]);
    const begun = await Promise.all(
      machines.map((machine) => machine.begin(() => listed(["a"]), signal)),
    );
    expect(begun.filter(Boolean)).toHaveLength(1);
    await Promise.all(machines.map((machine) => machine.close()));
  });

  it("needs no more than membership in the fleet's role where the fleet has its tables", async () => {
    const url = await newDatabase(server.url);
    await migrateFleet(url);
    const suffix = randomBytes(6).toString("hex");
    const [member, stranger] = [`member_${suffix}`, `stranger_${suffix}`];
    await owner.query(`CREATE ROLE ${member} LOGIN PASSWORD 'hush-hush-1'`);
    await owner.query(`CREATE ROLE ${stranger} LOGIN PASSWORD 'hush-hush-1'`);
    await owner.query(`GRANT changeover_app TO ${member}`);
    const as = (login: string): string => {
      const made = new URL(withLogin(login, "hush-hush-1"));
      made.pathname = new URL(url).pathname;
      return made.href;
    };
    const refused = await openAt(as(stranger));
    expect(codeOf(refused)).toBe("POSTGRES_QUEUE_FORBIDDEN");
    expect((refused as Error).message).toContain("GRANT changeover_app TO <login>");
    const name = fresh();
    const at = (login: string) =>
      BatchQueue.open<BackfillTally>({ url: as(login), name, clock: systemClock });
    // The member makes the tables, and the owner of the database finds the same queue.
    const queue = await at(member);
    await queue.begin(() => listed(["a"]), signal);
    const other = await BatchQueue.open<BackfillTally>({ url, name, clock: systemClock });
    expect((await takenFrom(other)).keys).toEqual(["a"]);
    await Promise.all([queue.close(), other.close()]);
    expect(codeOf(await openAt(as(stranger)))).toBe("POSTGRES_QUEUE_FORBIDDEN");
  });
});
