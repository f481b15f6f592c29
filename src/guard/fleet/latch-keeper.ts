import { type Clock, sleep } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { LatchRecord, LatchStore } from "../../migration/latch.ts";
import type { AnyOperation } from "../../migration/operation.ts";

/** What the store remembers, or why nothing is known. */
export type Latches = readonly LatchRecord[] | { readonly unreadable: string };

/** Reads the store at the start; never rejects. */
export async function readLatches(store: LatchStore, logger: Logger): Promise<Latches> {
  try {
    return await store.load();
  } catch (error) {
    logger.error({ err: error }, "Latches cannot be read; every operation starts latched");
    return { unreadable: toError(error).message };
  }
}

/** What a latch keeper works with. */
export interface LatchKeeperOptions {
  readonly store: LatchStore;
  readonly operations: () => readonly AnyOperation[];
  /** Why the store could not be read at the start; null: it was read. */
  readonly unreadable: string | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly report: (part: string, error: unknown) => void;
}

/** Tries of one saving: about half a minute. */
const triesMax = 6;

/** Keeps this process's latches over restarts, and takes over what other processes stored. */
export class LatchKeeper {
  readonly #options: LatchKeeperOptions;

  constructor(options: LatchKeeperOptions) {
    this.#options = options;
    options.store.changes?.subscribe((record) => this.#takeOver(record));
  }

  /** Begins to keep an operation's latch; one that may have been tripped before counts as tripped. */
  add(operation: AnyOperation): void {
    const { unreadable, clock } = this.#options;
    if (unreadable !== null) {
      operation.latch.restore({
        operation: operation.name,
        tripped: true,
        epoch: 0,
        at: new Date(clock.now()).toISOString(),
        by: { type: "system", name: "latch-store" },
        reason: unreadable,
        evidence: {},
      });
    }
    operation.latch.changed.subscribe((record) => void this.#keep(record));
  }

  start(): void {
    this.#options.store.start();
  }

  /** Another process tripped or re-armed the same operation. */
  #takeOver(record: LatchRecord): void {
    const { operations, logger } = this.#options;
    const operation = operations().find((each) => each.name === record.operation);
    if (operation === undefined) return;
    operation.latch.restore(record);
    logger.warn(
      { operation: record.operation, tripped: record.tripped, epoch: record.epoch },
      "Another process changed a latch",
    );
  }

  /** Tries until the record would survive a crash. */
  async #keep(record: LatchRecord): Promise<void> {
    const { store, clock, report } = this.#options;
    for (let attempt = 1; attempt <= triesMax; attempt += 1) {
      try {
        await store.save(record);
        return;
      } catch (error) {
        report("latch-store", error);
        await sleep(clock, 250 * 2 ** attempt);
      }
    }
  }
}
