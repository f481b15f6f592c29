import pLimit, { type LimitFunction } from "p-limit";
import { type Clock, sleep } from "../../base/clock.ts";
import { codeOf, isCodedError, toError } from "../../base/errors.ts";
import type { BackfillQueue, QueuedBatch, QueueState } from "./queue.ts";
import {
  type BackfillTally,
  counted,
  emptyTally,
  type FailedObject,
  type ObjectOutcome,
  sumUp,
} from "./tally.ts";

/** What one machine works with. */
export interface BackfillMachineOptions {
  readonly queue: BackfillQueue;
  readonly clock: Clock;
  /** Objects at once. */
  readonly concurrency: number;
  /** Works on one object. */
  readonly take: (key: string) => Promise<ObjectOutcome>;
  readonly signal: AbortSignal;
  /** Milliseconds that the queue may be out of reach; default 60,000. */
  readonly outageMs?: number;
}

/** How long is waited before the queue is asked again that was out of reach. */
const AGAIN_MS = 1000;

/** One machine's share: takes batches until nothing waits and nobody works any more. */
export class BackfillMachine {
  readonly #options: BackfillMachineOptions;
  readonly #slots: LimitFunction;
  readonly #working = new Set<Promise<void>>();
  readonly #settled: BackfillTally[] = [];
  /** Of each batch that is in work, what is done of it. */
  readonly #unsettled = new Map<QueuedBatch, BackfillTally>();
  #failure: { readonly error: unknown } | null = null;

  constructor(options: BackfillMachineOptions) {
    this.#options = options;
    this.#slots = pLimit(options.concurrency);
  }

  /** What this machine did, in batches that it settled. */
  get tally(): BackfillTally {
    return sumUp(this.#settled);
  }

  /** What is done and the queue does not know of yet. */
  get unsettled(): BackfillTally {
    return sumUp([...this.#unsettled.values()]);
  }

  /** Ends when the whole work has; rejects with the signal's reason once its batches are given back. */
  async run(idleMs: number): Promise<void> {
    const { queue, clock, signal } = this.#options;
    try {
      for (;;) {
        signal.throwIfAborted();
        if (this.#failure !== null) throw this.#failure.error;
        const batch = await this.#patiently(() => queue.take());
        if (batch !== null) {
          await this.#begin(batch);
          continue;
        }
        const { left } = await this.#patiently<QueueState>(() => queue.state());
        if (left === 0) return;
        // Others work, or tries are yet to come. A batch of our own that ends may have brought some.
        const idle = sleep(clock, idleMs, signal, true).catch(() => undefined);
        await Promise.race([idle, ...this.#working]);
      }
    } finally {
      await Promise.all(this.#working);
    }
  }

  /** Resolves when all its objects have been begun: then there is room for the next batch. */
  #begin(batch: QueuedBatch): Promise<void> {
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const work = this.#work(batch, resolve)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#working.delete(work);
        resolve();
      });
    this.#working.add(work);
    return begun;
  }

  async #work(batch: QueuedBatch, onBegun: () => void): Promise<void> {
    const { queue, take, signal } = this.#options;
    const failed: FailedObject[] = [];
    const unfinished: string[] = [];
    let tally = emptyTally;
    let toBegin = batch.keys.length;
    const one = async (key: string): Promise<void> => {
      toBegin -= 1;
      if (toBegin === 0) onBegun();
      try {
        signal.throwIfAborted();
        const outcome = await take(key);
        tally = counted(tally, key, outcome);
        this.#unsettled.set(batch, tally);
      } catch (error) {
        if (signal.aborted) unfinished.push(key);
        else failed.push(failureOf(key, error));
      }
    };
    await Promise.all(batch.keys.map((key) => this.#slots(() => one(key))));
    try {
      const settled = { tally, failed, unfinished };
      if (await this.#patiently(() => queue.settle(batch, settled))) this.#settled.push(tally);
    } finally {
      this.#unsettled.delete(batch);
    }
  }

  /** Asks again for a while when the queue is out of reach; but once only when the end was asked for. */
  async #patiently<T>(ask: () => Promise<T>): Promise<T> {
    const { clock, signal, outageMs = 60_000 } = this.#options;
    const startedMs = clock.monotonicMs();
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        const isWorth = isCodedError(error) && error.retryable && !signal.aborted;
        if (!isWorth || clock.monotonicMs() - startedMs > outageMs) throw error;
        await sleep(clock, AGAIN_MS, signal, true);
      }
    }
  }
}

function failureOf(key: string, error: unknown): FailedObject {
  return { key, code: codeOf(error) ?? "FAILED", reason: toError(error).message };
}
