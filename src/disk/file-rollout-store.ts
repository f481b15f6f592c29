import { join } from "node:path";
import * as v from "valibot";
import { makeFolder, readIfThere, replaceFile, withFileLock } from "../base/atomic-file.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import {
  type Lease,
  type LeaseHold,
  type LeaseState,
  type RolloutRecord,
  type RolloutStore,
  rolloutConflict,
} from "../rollout/ports.ts";

/** Where rollouts are kept. */
export interface FileRolloutOptions {
  /** The data folder; created where missing. */
  readonly folder: string;
  /** The machine's clock: the lease is for the processes of one machine. */
  readonly clock: Clock;
  /** Milliseconds that the lease lasts after each renewal; default 5,000. */
  readonly ttlMs?: number;
}

const leaseSchema = v.object({
  epoch: v.pipe(v.number(), v.integer(), v.minValue(0)),
  holder: v.nullable(v.string()),
  expiresAtMs: v.number(),
});

type LeaseFile = v.InferOutput<typeof leaseSchema>;

const recordSchema = v.looseObject({
  operation: v.string(),
  revision: v.pipe(v.number(), v.integer(), v.minValue(1)),
  phase: v.picklist(["running", "paused", "held", "complete", "rolled-back", "aborted"]),
  stage: v.pipe(v.number(), v.integer(), v.minValue(0)),
  percentage: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(100)),
  plan: v.looseObject({ stages: v.pipe(v.array(v.unknown()), v.minLength(1)) }),
});
const storeSchema = v.object({ version: v.literal(1), records: v.array(recordSchema) });

/**
 * A lease in a file, for the processes that share a data folder. Its time is the machine's wall clock, the
 * only one that they all see; a clock that is set back makes the lease last longer, never two leaders.
 */
export class FileLease implements Lease {
  readonly ttlMs: number;
  readonly #files: RolloutFiles;
  readonly #clock: Clock;

  constructor({ folder, clock, ttlMs = 5000 }: FileRolloutOptions) {
    this.ttlMs = ttlMs;
    this.#clock = clock;
    this.#files = new RolloutFiles(folder, clock);
  }

  take(holder: string): Promise<LeaseHold | null> {
    return this.#files.locked(async () => {
      const nowMs = this.#clock.now();
      const { epoch, ...held } = await this.#files.lease();
      const live = held.holder !== null && held.expiresAtMs > nowMs;
      if (live && held.holder !== holder) return null;
      const next = live ? epoch : epoch + 1;
      await this.#files.writeLease({ epoch: next, holder, expiresAtMs: nowMs + this.ttlMs });
      return { epoch: next, holder };
    });
  }

  renew(hold: LeaseHold): Promise<boolean> {
    return this.#files.locked(async () => {
      const nowMs = this.#clock.now();
      if (!isHeld(await this.#files.lease(), hold, nowMs)) return false;
      await this.#files.writeLease({ ...hold, expiresAtMs: nowMs + this.ttlMs });
      return true;
    });
  }

  release(hold: LeaseHold): Promise<void> {
    return this.#files.locked(async () => {
      if (!isHeld(await this.#files.lease(), hold, this.#clock.now())) return;
      await this.#files.writeLease({ epoch: hold.epoch, holder: null, expiresAtMs: 0 });
    });
  }

  async current(): Promise<LeaseState | null> {
    const { epoch, holder, expiresAtMs } = await this.#files.lease();
    if (holder === null) return null;
    return { epoch, holder, expiresInMs: expiresAtMs - this.#clock.now() };
  }
}

/** Rollouts in one file that is replaced as a whole, under a lock that the lease shares. */
export class FileRolloutStore implements RolloutStore {
  readonly #files: RolloutFiles;
  readonly #clock: Clock;

  constructor({ folder, clock }: FileRolloutOptions) {
    this.#clock = clock;
    this.#files = new RolloutFiles(folder, clock);
  }

  /** Rejects with `DISK_ROLLOUT_UNREADABLE`. */
  load(): Promise<readonly RolloutRecord[]> {
    return this.#files.records();
  }

  async read(operation: string): Promise<RolloutRecord | null> {
    const records = await this.#files.records();
    return records.find((each) => each.operation === operation) ?? null;
  }

  save(record: RolloutRecord, hold: LeaseHold | null): Promise<RolloutRecord> {
    return this.#files.locked(async () => {
      const records = await this.#files.records();
      const { operation } = record;
      const stored = records.find((each) => each.operation === operation)?.revision ?? 0;
      const leads = hold === null || isHeld(await this.#files.lease(), hold, this.#clock.now());
      if (stored !== record.revision || !leads) throw rolloutConflict(operation);
      const written = { ...record, revision: record.revision + 1 };
      const others = records.filter((each) => each.operation !== operation);
      await this.#files.writeRecords([...others, written]);
      return written;
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const isHeld = (file: LeaseFile, { epoch, holder }: LeaseHold, nowMs: number): boolean =>
  file.holder === holder && file.epoch === epoch && file.expiresAtMs > nowMs;

/** The two files and their lock. */
class RolloutFiles {
  readonly #folder: string;
  readonly #clock: Clock;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(folder: string, clock: Clock) {
    this.#folder = folder;
    this.#clock = clock;
  }

  locked<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(async () => {
      await makeFolder(this.#folder);
      return withFileLock(join(this.#folder, "rollout"), this.#clock, work);
    });
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** A lease that cannot be understood is nobody's; epochs then go on from the time, so that they grow. */
  async lease(): Promise<LeaseFile> {
    const text = await readIfThere(join(this.#folder, "rollout-lease.json"));
    if (text === null) return { epoch: 0, holder: null, expiresAtMs: 0 };
    const parsed = v.safeParse(leaseSchema, parseJson(text));
    return parsed.success
      ? parsed.output
      : { epoch: this.#clock.now(), holder: null, expiresAtMs: 0 };
  }

  writeLease(lease: LeaseFile): Promise<void> {
    return replaceFile(join(this.#folder, "rollout-lease.json"), `${JSON.stringify(lease)}\n`);
  }

  async records(): Promise<readonly RolloutRecord[]> {
    const path = join(this.#folder, "rollout.json");
    const text = await readIfThere(path);
    if (text === null) return [];
    const parsed = v.safeParse(storeSchema, parseJson(text));
    // Only what decides about exposure is checked here; the rest was written by this program.
    if (parsed.success) return parsed.output.records as unknown as readonly RolloutRecord[];
    throw new CodedError(
      "DISK_ROLLOUT_UNREADABLE",
      `The rollouts in ${path} cannot be understood, so none of them moves. Look at the file and at the flags, then remove it and start the rollouts again.`,
      { status: 503, details: { path } },
    );
  }

  writeRecords(records: readonly RolloutRecord[]): Promise<void> {
    const text = JSON.stringify({ version: 1, records }, null, 2);
    return replaceFile(join(this.#folder, "rollout.json"), `${text}\n`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
