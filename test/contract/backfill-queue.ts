import { describe, expect, it } from "vitest";
import type { BackfillQueue, QueuedBatch, SettledBatch } from "../../src/files/backfill/queue.ts";
import { emptyTally } from "../../src/files/backfill/tally.ts";

/** A queue that nothing was ever put on, and the time that it waits before it tries again. */
export interface BackfillQueueWorld {
  /** The same queue, as one machine or as several see it. */
  queue(): BackfillQueue;
  /** Lets the time pass that a key that failed waits. */
  pass(): Promise<void> | void;
}

const { signal } = new AbortController();

/** A listing of batches. */
export async function* listed(
  ...batches: readonly (readonly string[])[]
): AsyncGenerator<readonly string[], void, void> {
  yield* batches;
}

/** How a batch is settled of which everything was read, a byte each. */
export function allDone(keys: readonly string[]): SettledBatch {
  const { length } = keys;
  const tally = { ...emptyTally, objects: length, adopted: length, bytes: length };
  return { tally, failed: [], unfinished: [] };
}

/** Takes what must be there. */
export async function takenFrom(queue: BackfillQueue): Promise<QueuedBatch> {
  const batch = await queue.take();
  if (batch === null) throw new Error("There was no batch");
  return batch;
}

/** What every queue of a backfill must do. */
export function backfillQueueContract(name: string, make: () => Promise<BackfillQueueWorld>): void {
  describe(`the queue of a backfill: ${name}`, () => {
    it("hands out each batch once, and has ended when all are settled", async () => {
      const world = await make();
      const [one, two] = [world.queue(), world.queue()];
      await one.begin(() => listed(["a", "b"], ["c"]), signal);
      expect(await one.state()).toEqual({ total: 3, done: 0, bytes: 0, left: 2 });
      const [first, second] = [await takenFrom(one), await takenFrom(one)];
      expect([...first.keys, ...second.keys].sort()).toEqual(["a", "b", "c"]);
      expect(await one.take()).toBeNull();
      expect(await two.take()).toBeNull();
      expect(await one.settle(first, allDone(first.keys))).toBe(true);
      expect(await one.state()).toMatchObject({ left: 1 });
      expect(await one.settle(second, allDone(second.keys))).toBe(true);
      expect(await one.state()).toEqual({ total: 3, done: 3, bytes: 3, left: 0 });
      const { tallies, failed } = await one.report();
      expect(tallies.reduce((sum, { objects }) => sum + objects, 0)).toBe(3);
      expect(failed).toEqual([]);
    });

    it("settles a batch once", async () => {
      const queue = (await make()).queue();
      await queue.begin(() => listed(["a"], ["b"]), signal);
      const batch = await takenFrom(queue);
      expect(await queue.settle(batch, allDone(batch.keys))).toBe(true);
      expect(await queue.settle(batch, allDone(batch.keys))).toBe(false);
      expect(await queue.state()).toMatchObject({ done: 1, left: 1 });
    });

    it("hands out again at once what is given back", async () => {
      const queue = (await make()).queue();
      await queue.begin(() => listed(["a", "b", "c"]), signal);
      const batch = await takenFrom(queue);
      await queue.settle(batch, { ...allDone(["a"]), unfinished: ["b", "c"] });
      expect(await queue.state()).toEqual({ total: 3, done: 1, bytes: 1, left: 1 });
      expect((await takenFrom(queue)).keys).toEqual(["b", "c"]);
    });

    it("tries what failed again on its own, and reports it after three tries", async () => {
      const world = await make();
      const queue = world.queue();
      await queue.begin(() => listed(["good", "bad"]), signal);
      const batch = await takenFrom(queue);
      const failure = { key: "bad", code: "FILES_SICK", reason: "It is sick." };
      await queue.settle(batch, { ...allDone(["good"]), failed: [failure] });
      for (let tries = 2; tries <= 3; tries += 1) {
        expect(await queue.state()).toMatchObject({ done: 1, left: 1 });
        await world.pass();
        const alone = await takenFrom(queue);
        expect(alone.keys).toEqual(["bad"]);
        await queue.settle(alone, { tally: emptyTally, failed: [failure], unfinished: [] });
      }
      expect(await queue.state()).toEqual({ total: 2, done: 2, bytes: 1, left: 0 });
      expect((await queue.report()).failed).toEqual([failure]);
    });

    it("counts what failed at first and went well later", async () => {
      const world = await make();
      const queue = world.queue();
      await queue.begin(() => listed(["a", "b"]), signal);
      const batch = await takenFrom(queue);
      const failure = { key: "b", code: "FILES_SICK", reason: "It is sick." };
      await queue.settle(batch, { ...allDone(["a"]), failed: [failure] });
      await world.pass();
      const again = await takenFrom(queue);
      await queue.settle(again, allDone(again.keys));
      expect(await queue.state()).toEqual({ total: 2, done: 2, bytes: 2, left: 0 });
      expect((await queue.report()).failed).toEqual([]);
    });

    it("has nothing to do where nothing was listed", async () => {
      const queue = (await make()).queue();
      await queue.begin(() => listed(), signal);
      expect(await queue.state()).toEqual({ total: 0, done: 0, bytes: 0, left: 0 });
      expect(await queue.take()).toBeNull();
    });

    it("rejects with what listing rejects with", async () => {
      const queue = (await make()).queue();
      const broken = async function* (): AsyncGenerator<readonly string[], void, void> {
        yield ["a"];
        throw new Error("no list");
      };
      await expect(queue.begin(broken, signal)).rejects.toThrow("no list");
    });
  });
}
