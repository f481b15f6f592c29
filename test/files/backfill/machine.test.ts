import { describe, expect, it } from "vitest";
import { CodedError } from "../../../src/base/errors.ts";
import { ManualClock } from "../../../src/base/manual-clock.ts";
import { BackfillMachine } from "../../../src/files/backfill/machine.ts";
import { MemoryQueue } from "../../../src/files/backfill/memory-queue.ts";
import type { BackfillQueue } from "../../../src/files/backfill/queue.ts";
import type { ObjectOutcome } from "../../../src/files/backfill/tally.ts";
import { listed } from "../../contract/backfill-queue.ts";

const outage = new CodedError("POSTGRES_UNAVAILABLE", "It is away.", { retryable: true });
const done: ObjectOutcome = { kind: "adopted", bytes: 1, sameAs: null };

/** A queue of five keys in two batches, of which something is replaced. */
async function queueOf(part: Partial<BackfillQueue> = {}): Promise<MemoryQueue> {
  const queue = new MemoryQueue();
  await queue.begin(() => listed(["a", "b", "c"], ["d", "e"]), new AbortController().signal);
  return Object.assign(queue, part);
}
/** Moves time for as long as `work` waits. */
async function passing<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let isOver = false;
  const ended = work.finally(() => {
    isOver = true;
  });
  ended.catch(() => undefined);
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(500);
  }
  return ended;
}

describe("a machine of a backfill", () => {
  const { signal } = new AbortController();
  const clock = new ManualClock();
  const common = { clock, concurrency: 2, signal };

  it("works on so many objects at once and no more, across batches", async () => {
    const queue = await queueOf();
    let now = 0;
    let most = 0;
    const take = async (): Promise<ObjectOutcome> => {
      now += 1;
      most = Math.max(most, now);
      await new Promise((resolve) => setImmediate(resolve));
      now -= 1;
      return done;
    };
    const machine = new BackfillMachine({ ...common, queue, take });
    await passing(clock, machine.run(1000));
    expect(most).toBe(2);
    expect(machine.tally).toMatchObject({ objects: 5, adopted: 5, bytes: 5 });
    expect(await queue.state()).toMatchObject({ done: 5, left: 0 });
  });

  it("waits for a queue that is out of reach for a while", async () => {
    const queue = await queueOf();
    const take = queue.take.bind(queue);
    let refused = 0;
    queue.take = () => (refused++ < 20 ? Promise.reject(outage) : take());
    const machine = new BackfillMachine({ ...common, queue, take: async () => done });
    await passing(clock, machine.run(1000));
    expect(machine.tally.objects).toBe(5);
  });

  it("ends with the queue's error when that lasts, or when trying again cannot help", async () => {
    const away = await queueOf({ take: () => Promise.reject(outage) });
    const broken = new CodedError("POSTGRES_QUEUE_FORBIDDEN", "No.", {});
    const refusing = await queueOf({ settle: () => Promise.reject(broken) });
    const take = async (): Promise<ObjectOutcome> => done;
    const one = new BackfillMachine({ ...common, queue: away, take, outageMs: 5000 });
    await expect(passing(clock, one.run(1000))).rejects.toBe(outage);
    const two = new BackfillMachine({ ...common, queue: refusing, take });
    await expect(passing(clock, two.run(1000))).rejects.toBe(broken);
  });

  it("gives back what it had not finished when it is told to stop", async () => {
    const queue = await queueOf();
    const stop = new AbortController();
    const reason = new Error("stopped");
    const take = (key: string): Promise<ObjectOutcome> => {
      if (key === "a") return Promise.resolve(done);
      return new Promise((_, reject) => {
        stop.signal.addEventListener("abort", () => reject(stop.signal.reason));
        stop.abort(reason);
      });
    };
    const machine = new BackfillMachine({ ...common, queue, take, signal: stop.signal });
    await expect(passing(clock, machine.run(1000))).rejects.toBe(reason);
    expect(await queue.state()).toMatchObject({ done: 1, left: 2 });
    expect((await queue.take())?.keys).toEqual(["d", "e"]);
    expect((await queue.take())?.keys.toSorted()).toEqual(["b", "c"]);
  });
});
