import type { PgBoss } from "pg-boss";
import { type Clock, sleep, type Timer } from "../../base/clock.ts";
import { loadPgBoss, QUEUE_SCHEMA, type Queries, QueueDatabase } from "./queue-database.ts";
import { type HeldJob, type QueueNames, Rounds } from "./rounds.ts";

/** What became of some keys: how many, their bytes, and whatever else is to be found in the report. */
export interface Tally {
  readonly objects: number;
  readonly bytes: number;
}

/** A key that failed, and why. */
export interface FailedKey {
  readonly key: string;
  readonly code: string;
  readonly reason: string;
}

/** How a queue on Postgres is opened. */
export interface BatchQueueOptions {
  /** `postgres://user:password@host:5432/database`: a direct connection, or a pooler in session mode. */
  readonly url: string;
  /** Names the work: letters, digits, `.`, `-`, `_` and `/`. Whoever opens the same name shares it. */
  readonly name: string;
  readonly clock: Clock;
}

/** Keys that this process has. */
interface Batch {
  readonly id: string;
  readonly keys: readonly string[];
}

/** Seconds without a sign of life until a batch goes to another machine; pg-boss takes no less. */
const HEARTBEAT_S = 10;
const HEARTBEAT_EVERY_MS = 3000;
/** Seconds until a batch goes to another machine although its own is alive; pg-boss takes no more. */
const EXPIRE_S = 23 * 3600;
/** Machines that may die over one batch before it counts as what kills them. */
const DEATHS_MAX = 5;
/** Tries of a key that failed, beside the one in its batch, and seconds before the first of them. */
const RETRIES = 2;
const RETRY_DELAY_S = 2;
/** Everything of a backfill is removed so many seconds after it ended or was left alone. */
const KEPT_S = 30 * 24 * 3600;
const LOOK_MS = 1000;

/**
 * The work of one backfill on pg-boss, in queues of its own: one elects who lists, one holds the batches,
 * one the dead letters. A machine that dies loses its batch after ten seconds; one that comes back to life
 * after that finds that the batch is not its own any more, whatever it does (a batch is settled in one
 * transaction that first looks whose it is). `T` is what a tally holds; it must be JSON.
 */
export class BatchQueue<T extends Tally> {
  readonly #boss: PgBoss;
  readonly #database: QueueDatabase;
  readonly #names: QueueNames;
  readonly #clock: Clock;
  readonly #rounds: Rounds;
  readonly #held = new Map<string, HeldJob>();
  readonly #heartbeats: Timer;
  #round: string | null = null;

  private constructor(
    boss: PgBoss,
    database: QueueDatabase,
    { name, clock }: Omit<BatchQueueOptions, "url">,
  ) {
    this.#boss = boss;
    this.#database = database;
    this.#clock = clock;
    this.#names = { batches: name, rounds: `${name}/rounds`, dead: `${name}/dead` };
    this.#rounds = new Rounds({ boss, database, names: this.#names });
    this.#heartbeats = clock.every(HEARTBEAT_EVERY_MS, () => void this.#beat());
  }

  /**
   * Connects, and makes the tables when they are missing. Rejects with `POSTGRES_PACKAGE_MISSING`,
   * `CONFIG_INVALID`, `POSTGRES_QUEUE_FORBIDDEN`, `POSTGRES_UNAVAILABLE`, `POSTGRES_REFUSED` and
   * `POSTGRES_FAILED`.
   */
  static async open<T extends Tally>(options: BatchQueueOptions): Promise<BatchQueue<T>> {
    const { PgBoss: Loaded } = await loadPgBoss();
    const database = await QueueDatabase.open(options.url);
    try {
      const { rows } = await database.executeSql(
        `SELECT to_regnamespace('${QUEUE_SCHEMA}') IS NULL AS missing`,
      );
      const boss = new Loaded({
        db: database,
        schema: QUEUE_SCHEMA,
        // The right to create schemas is asked for even where there is nothing to create.
        createSchema: rows[0]?.missing === true,
        // Dead batches are freed when somebody waits for them; nothing here has a schedule.
        supervise: false,
        schedule: false,
        reindex: false,
        monitorVacuum: false,
        monitorIntervalSeconds: 1,
      });
      boss.on("error", () => undefined);
      await boss.start();
      const queue = new BatchQueue<T>(boss, database, options);
      await queue.#create();
      return queue;
    } catch (error) {
      await database.close((ms) => sleep(options.clock, ms, undefined, true));
      throw database.failure(error);
    }
  }

  /** `host:port/database`: what may be shown. */
  get address(): string {
    return this.#database.address;
  }

  async #create(): Promise<void> {
    const { batches, rounds, dead } = this.#names;
    const kept = { retentionSeconds: KEPT_S, deleteAfterSeconds: KEPT_S };
    const alive = { heartbeatSeconds: HEARTBEAT_S, expireInSeconds: EXPIRE_S };
    await this.#boss.createQueue(dead, kept);
    const limits = { retryLimit: DEATHS_MAX, retryDelay: 0, deadLetter: dead };
    await this.#boss.createQueue(batches, { ...kept, ...alive, ...limits });
    // One at a time is queued or active: whoever has it lists.
    const elected = { policy: "exclusive", retryLimit: 1000, retryDelay: 0 };
    await this.#boss.createQueue(rounds, { ...kept, ...alive, ...elected });
  }

  async begin(list: () => AsyncIterable<readonly string[]>, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      signal.throwIfAborted();
      const step = await this.#guarded(() => this.#rounds.next());
      if (step.kind === "joined") {
        this.#round = step.round;
        return false;
      }
      if (step.kind === "elected") {
        this.#round = await this.#list(step.job, list, signal);
        if (this.#round !== null) return true;
      } else {
        await sleep(this.#clock, LOOK_MS, signal, true);
      }
    }
  }

  /** Null when another machine took the listing over. */
  async #list(
    job: HeldJob,
    list: () => AsyncIterable<readonly string[]>,
    signal: AbortSignal,
  ): Promise<string | null> {
    this.#held.set(job.id, job);
    try {
      return await this.#guarded(() => this.#rounds.list(job, list(), signal));
    } catch (error) {
      // The next machine shall not wait for our heart to stop.
      await this.#boss.deleteJob(job.queue, job.id).catch(() => undefined);
      throw error;
    } finally {
      this.#held.delete(job.id);
    }
  }

  take(): Promise<Batch | null> {
    return this.#guarded(async () => {
      const [job] = await this.#boss.fetch<{ keys: readonly string[] }>(this.#names.batches, {
        includeMetadata: true,
      });
      if (job === undefined) return null;
      const { id, retryCount, singletonKey } = job;
      const held = { queue: this.#names.batches, id, retryCount, round: singletonKey ?? "" };
      this.#held.set(id, held);
      return { id, keys: job.data.keys };
    });
  }

  async settle(
    batch: Batch,
    settled: {
      readonly tally: T;
      readonly failed: readonly FailedKey[];
      readonly unfinished: readonly string[];
    },
  ): Promise<boolean> {
    const held = this.#held.get(batch.id);
    if (held === undefined) return false;
    const done = await this.#guarded(() =>
      this.#rounds.whileHeld(held, (db) => this.#settle(held, batch, settled, db)),
    );
    this.#held.delete(batch.id);
    return done;
  }

  async #settle(
    held: HeldJob,
    { id, keys }: Batch,
    { tally, failed, unfinished }: Parameters<BatchQueue<T>["settle"]>[1],
    db: Queries,
  ): Promise<void> {
    const { batches } = this.#names;
    const [failure] = failed;
    if (failure !== undefined && keys.length === 1) {
      // On its own already: pg-boss tries it again later, or makes it a dead letter.
      const { code, reason } = failure;
      await this.#boss.fail(batches, id, { code, reason: storable(reason) }, { db });
      return;
    }
    await this.#boss.complete(batches, id, tally, { db });
    const again = failed.map(({ key }) => ({
      data: { keys: [key] },
      singletonKey: held.round,
      retryLimit: RETRIES - 1,
      retryDelay: RETRY_DELAY_S,
      startAfter: RETRY_DELAY_S,
    }));
    const rest = { data: { keys: unfinished }, singletonKey: held.round };
    const jobs = unfinished.length > 0 ? [rest, ...again] : again;
    if (jobs.length > 0) await this.#boss.insert(batches, jobs, { db });
  }

  async state(): Promise<{ total: number; done: number; bytes: number; left: number }> {
    return this.#guarded(async () => {
      // Whoever has not been heard of for long enough loses what it had.
      await this.#boss.supervise(this.#names.batches);
      return this.#rounds.state(this.#round ?? "");
    });
  }

  async report(): Promise<{ tallies: readonly T[]; failed: readonly FailedKey[] }> {
    return this.#guarded(async () => {
      const { outputs, failed } = await this.#rounds.results(this.#round ?? "");
      return { tallies: outputs as T[], failed };
    });
  }

  async close(): Promise<void> {
    this.#heartbeats.cancel();
    await this.#boss.stop({ graceful: false }).catch(() => undefined);
    await this.#database.close((ms) => sleep(this.#clock, ms, undefined, true));
  }

  async #beat(): Promise<void> {
    for (const { queue, id } of this.#held.values()) {
      // The next one is three seconds away; three that fail lose the batch, and nothing else.
      await this.#boss.touch(queue, id).catch(() => undefined);
    }
  }

  async #guarded<R>(work: () => Promise<R>): Promise<R> {
    try {
      return await work();
    } catch (error) {
      throw this.#database.failure(error);
    }
  }
}

/** Postgres stores every character but U+0000. */
const storable = (text: string): string => text.replaceAll("\0", "\u{fffd}").slice(0, 1000);
