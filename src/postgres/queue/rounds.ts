import type { PgBoss } from "pg-boss";
import { QUEUE_SCHEMA, type Queries, type QueueDatabase } from "./queue-database.ts";

/** The queues of one backfill. */
export interface QueueNames {
  readonly batches: string;
  readonly rounds: string;
  readonly dead: string;
}

/** A job that this process has: `retryCount` grows whenever it is handed out again. */
export interface HeldJob {
  readonly queue: string;
  readonly id: string;
  readonly retryCount: number;
  /** The round it belongs to; of a round's own job, the round that it may become. */
  readonly round: string;
}

/** What to do next to get into a round. */
export type RoundStep =
  | { readonly kind: "joined"; readonly round: string }
  | { readonly kind: "elected"; readonly job: HeldJob }
  /** Another machine lists. */
  | { readonly kind: "wait" };

interface RoundsOptions {
  readonly boss: PgBoss;
  readonly database: QueueDatabase;
  readonly names: QueueNames;
}

/** Batches that are put on the queue at once. */
const INSERTED_MAX = 20;
const JOB = `${QUEUE_SCHEMA}.job`;

/**
 * One round is one listing and the work on it. Its job says that a machine lists, and afterwards, as its
 * result, that everything is listed and how much; its batches carry its name.
 */
export class Rounds {
  readonly #boss: PgBoss;
  readonly #database: QueueDatabase;
  readonly #names: QueueNames;
  /** The round that another machine was listing when we came: it is ours too, also when it is over. */
  #awaited: string | null = null;
  /** The database's time of the first look: what ended before is not ours. */
  #since: string | null = null;

  constructor({ boss, database, names }: RoundsOptions) {
    this.#boss = boss;
    this.#database = database;
    this.#names = names;
  }

  /** One look: joins, is elected, or has to wait. */
  async next(): Promise<RoundStep> {
    this.#since ??= await this.#now();
    const open = await this.#open();
    if (open !== null) return { kind: "joined", round: open };
    const { rounds } = this.#names;
    // Null where one is on its way: the queue takes one at a time.
    if (this.#awaited === null) await this.#boss.send(rounds, {});
    else await this.#boss.supervise(rounds);
    const [job] = await this.#boss.fetch(rounds, { includeMetadata: true });
    if (job !== undefined) {
      const { id, retryCount } = job;
      // Nobody else can list now; but somebody may just have, before we were elected.
      const listed = await this.#open();
      if (listed === null) {
        return {
          kind: "elected",
          job: { queue: rounds, id, retryCount, round: `${id}.${retryCount}` },
        };
      }
      await this.#boss.deleteJob(rounds, id);
      return { kind: "joined", round: listed };
    }
    const listing = await this.#latest();
    const isOurs = this.#awaited === null || listing?.id === this.#awaited;
    if (isOurs && listing?.round != null && this.#awaited !== null) {
      return { kind: "joined", round: listing.round };
    }
    // Given up by whoever had it: the next look elects anew.
    this.#awaited = isOurs ? (listing?.id ?? null) : null;
    return { kind: "wait" };
  }

  /**
   * Puts everything on the queue. Resolves to the round, or null when another machine took the listing
   * over; rejects when listing fails.
   */
  async list(
    job: HeldJob,
    batches: AsyncIterable<readonly string[]>,
    signal: AbortSignal,
  ): Promise<string | null> {
    const boss = this.#boss;
    // Left by a listing that was cut off: nobody worked on it.
    await boss.deleteQueuedJobs(this.#names.batches);
    let total = 0;
    let waiting: { data: { keys: readonly string[] }; singletonKey: string }[] = [];
    const insert = async (): Promise<boolean> => {
      const jobs = waiting;
      waiting = [];
      if (jobs.length === 0) return true;
      return this.whileHeld(job, async (db) => {
        await boss.insert(this.#names.batches, jobs, { db });
      });
    };
    for await (const keys of batches) {
      signal.throwIfAborted();
      total += keys.length;
      waiting.push({ data: { keys }, singletonKey: job.round });
      if (waiting.length >= INSERTED_MAX && !(await insert())) return null;
    }
    if (!(await insert())) return null;
    const done = await this.whileHeld(job, async (db) => {
      await boss.complete(job.queue, job.id, { round: job.round, total }, { db });
    });
    return done ? job.round : null;
  }

  /** Runs `work` in a transaction, unless the job went to another machine: then answers false. */
  whileHeld(job: HeldJob, work: (db: Queries) => Promise<void>): Promise<boolean> {
    return this.#database.atOnce(async (db) => {
      const { rows } = await db.executeSql(
        `SELECT FROM ${JOB}
         WHERE name = $1 AND id = $2 AND state = 'active' AND retry_count = $3 FOR UPDATE`,
        [job.queue, job.id, job.retryCount],
      );
      if (rows.length === 0) return false;
      await work(db);
      return true;
    });
  }

  /** How far a round is. */
  async state(
    round: string,
  ): Promise<{ total: number; done: number; bytes: number; left: number }> {
    const { rows } = await this.#database.executeSql(
      `SELECT
         COALESCE((SELECT (output->>'total')::float8 FROM ${JOB}
           WHERE name = $2 AND state = 'completed' AND output->>'round' = $3), 0) AS total,
         COALESCE(sum((output->>'objects')::float8) FILTER (WHERE state = 'completed'), 0)
           + COALESCE(sum(jsonb_array_length(data->'keys')) FILTER (WHERE state = 'failed'), 0)
           AS done,
         COALESCE(sum((output->>'bytes')::float8) FILTER (WHERE state = 'completed'), 0) AS bytes,
         count(*) FILTER (WHERE state < 'completed')::float8 AS left
       FROM ${JOB} WHERE name = $1 AND singleton_key = $3`,
      [this.#names.batches, this.#names.rounds, round],
    );
    const { total, done, bytes, left } = rows[0] as Record<string, number | string>;
    return { total: Number(total), done: Number(done), bytes: Number(bytes), left: Number(left) };
  }

  /** What came of a round. */
  async results(round: string): Promise<{
    readonly outputs: readonly unknown[];
    readonly failed: readonly { key: string; code: string; reason: string }[];
  }> {
    const { rows } = await this.#database.executeSql(
      `SELECT state, output, CASE WHEN state = 'failed' THEN data->'keys' END AS keys FROM ${JOB}
       WHERE name = $1 AND singleton_key = $2 AND state IN ('completed', 'failed')
       ORDER BY completed_on`,
      [this.#names.batches, round],
    );
    const settled = rows as readonly SettledRow[];
    return {
      outputs: settled.filter(({ state }) => state === "completed").map(({ output }) => output),
      failed: settled.flatMap(({ keys, output }) =>
        (keys ?? []).map((key) => ({ key, ...reasonOf(output) })),
      ),
    };
  }

  /** The round that is listed and not done, or null. */
  async #open(): Promise<string | null> {
    const { rows } = await this.#database.executeSql(
      `SELECT output->>'round' AS round FROM ${JOB} AS done
       WHERE name = $1 AND state = 'completed' AND EXISTS (
         SELECT FROM ${JOB}
         WHERE name = $2 AND singleton_key = done.output->>'round' AND state < 'completed')
       ORDER BY completed_on DESC LIMIT 1`,
      [this.#names.rounds, this.#names.batches],
    );
    return rows[0]?.round ?? null;
  }

  /** The round that was begun last and was not over before we came, with its name once it is listed. */
  async #latest(): Promise<{ id: string; round: string | null } | null> {
    const { rows } = await this.#database.executeSql(
      `SELECT id, CASE WHEN state = 'completed' THEN output->>'round' END AS round FROM ${JOB}
       WHERE name = $1 AND (completed_on IS NULL OR completed_on >= $2::timestamptz)
       ORDER BY created_on DESC LIMIT 1`,
      [this.#names.rounds, this.#since],
    );
    return rows[0] ?? null;
  }

  async #now(): Promise<string> {
    const { rows } = await this.#database.executeSql("SELECT now()::text AS now");
    return rows[0].now;
  }
}

interface SettledRow {
  readonly state: "completed" | "failed";
  readonly output: Readonly<Record<string, unknown>> | null;
  readonly keys: readonly string[] | null;
}

/** Ours, or pg-boss's own: then no machine lived long enough to say anything. */
function reasonOf(output: SettledRow["output"]): { code: string; reason: string } {
  const { code, reason } = output ?? {};
  if (typeof code === "string" && typeof reason === "string") return { code, reason };
  return {
    code: "ABANDONED",
    reason: "Every machine that worked on its batch ended in the middle of it.",
  };
}
