import {
  type InstanceReport,
  type InstanceStatus,
  type Quorum,
  quorumNeeded,
  quorumWindowMs,
} from "../migration/fleet.ts";
import type { LatchRecord } from "../migration/latch.ts";
import type { PostgresPool } from "./pool.ts";
import { storable } from "./postgres-journal.ts";
import { type OperationTotals, poolTotals } from "./totals.ts";

/** An instance counts as live for so long after it was heard of, in milliseconds. */
const liveMs = 5000;
/** Rows and trips are kept for so long after they were last heard of. */
const keptMs = 3_600_000;
/** An earlier start of an instance that has been heard of again since is kept for so long. */
const supersededMs = 60_000;
/** So many rows of each kind are removed at once, at most. */
const sweptMax = 500;
/** Reports of this instance from one sweep to the next: about a minute. */
const sweepEvery = 60;

interface InstanceRow {
  readonly instance: string;
  readonly started_at: string;
  readonly version: string;
  readonly flags: InstanceReport["flags"];
  readonly operations: InstanceReport["operations"];
  readonly seen_at: Date;
  readonly live: boolean;
}

/**
 * What the instances of a fleet say of themselves, in tables: reports, counts, and trips of their own
 * latches. All times are the database's.
 */
export class InstanceReports {
  readonly #pool: PostgresPool;
  readonly #instance: string;
  readonly #now: () => number;
  #reported = 0;

  constructor(pool: PostgresPool, instance: string, now: () => number) {
    this.#pool = pool;
    this.#instance = instance;
    this.#now = now;
  }

  /** Replaces what is known of this start of this instance; removes old rows once a minute. */
  async report(report: InstanceReport): Promise<void> {
    await this.#pool.query(
      `INSERT INTO changeover.instances
         (instance, started_at, version, flags, operations, seen_at)
       VALUES ($1, $2, $3, $4, $5, clock_timestamp())
       ON CONFLICT (instance, started_at) DO UPDATE SET version = excluded.version,
         flags = excluded.flags, operations = excluded.operations, seen_at = clock_timestamp()`,
      [
        this.#instance,
        report.startedAt,
        report.version,
        JSON.stringify(report.flags),
        JSON.stringify(report.operations),
      ],
    );
    this.#reported += 1;
    if (this.#reported % sweepEvery === 0) await this.sweep();
  }

  /** Tells of this instance's own latch, and what that makes of the quorum. */
  async publish(latch: LatchRecord): Promise<Quorum> {
    // The age by the instance's own clock twice: a clock that is wrong is as wrong in both.
    const ageMs = Math.max(0, this.#now() - Date.parse(latch.at)) || 0;
    await this.#pool.query(
      `INSERT INTO changeover.trips
         (operation, instance, tripped, epoch, at, reason, told_at)
       VALUES ($1, $2, $3, $4, clock_timestamp() - $5 * interval '1 millisecond', $6,
         clock_timestamp())
       ON CONFLICT (operation, instance) DO UPDATE SET tripped = excluded.tripped,
         epoch = excluded.epoch, at = excluded.at, reason = excluded.reason,
         told_at = excluded.told_at`,
      [
        latch.operation,
        this.#instance,
        latch.tripped,
        latch.epoch,
        Math.min(ageMs, keptMs),
        storable(latch.reason),
      ],
    );
    // A statement of its own: of two instances that publish at once, the later one has to see both.
    return this.quorum(latch.operation);
  }

  async quorum(operation: string): Promise<Quorum> {
    const [row] = await this.#pool.query<{ live: number; latched: number }>(
      `WITH live AS (
         SELECT instance FROM changeover.instances
         WHERE seen_at > clock_timestamp() - $2 * interval '1 millisecond'
           AND operations @> jsonb_build_array(jsonb_build_object('operation', $1::text))
         UNION
         SELECT instance FROM changeover.trips
         WHERE operation = $1 AND told_at > clock_timestamp() - $2 * interval '1 millisecond'
       )
       SELECT (SELECT count(*)::int FROM live) AS live, count(*)::int AS latched
       FROM changeover.trips JOIN live USING (instance)
       WHERE operation = $1 AND tripped
         AND at > clock_timestamp() - $3 * interval '1 millisecond'`,
      [operation, liveMs, quorumWindowMs],
    );
    const { live = 0, latched = 0 } = row ?? {};
    const needed = quorumNeeded(live);
    return { live, latched, needed, met: latched >= needed };
  }

  /** The latest start of every instance heard of in the last hour, by name. */
  async instances(): Promise<readonly InstanceStatus[]> {
    const rows = await this.#pool.query<InstanceRow>(
      `SELECT DISTINCT ON (instance) instance, started_at, version, flags, operations, seen_at,
         seen_at > clock_timestamp() - $1 * interval '1 millisecond' AS live
       FROM changeover.instances
       WHERE seen_at > clock_timestamp() - $2 * interval '1 millisecond'
       ORDER BY instance, seen_at DESC`,
      [liveMs, keptMs],
    );
    return rows.map(({ instance, started_at, version, flags, operations, seen_at, live }) => ({
      ...{ instance, version, startedAt: started_at, flags, operations },
      ...{ seenAt: seen_at.toISOString(), live },
    }));
  }

  /** The whole fleet's counts since its tables were made. */
  async totals(): Promise<readonly OperationTotals[]> {
    const rows = await this.#pool.query<{ operations: readonly OperationTotals[] }>(
      `SELECT operations FROM changeover.instances
       UNION ALL
       SELECT jsonb_build_array(jsonb_build_object('operation', operation,
         'legacy', jsonb_build_object('calls', legacy_calls, 'failed', legacy_failed,
           'timedOut', legacy_timed_out),
         'candidate', jsonb_build_object('calls', candidate_calls, 'failed', candidate_failed,
           'timedOut', candidate_timed_out)))
       FROM changeover.retired_totals`,
    );
    return poolTotals(rows.map(({ operations }) => operations));
  }

  /** Removes what has not been heard of for an hour, and earlier starts; their counts are kept. */
  async sweep(): Promise<void> {
    // Ordered, so that two sweeps at once cannot wait for each other.
    await this.#pool.query(
      `WITH gone AS (
         DELETE FROM changeover.instances WHERE (instance, started_at) IN (
           SELECT instance, started_at FROM changeover.instances AS old
           WHERE seen_at <= clock_timestamp() - $1 * interval '1 millisecond'
             OR (seen_at <= clock_timestamp() - $2 * interval '1 millisecond' AND EXISTS (
               SELECT FROM changeover.instances AS later
               WHERE later.instance = old.instance AND later.seen_at > old.seen_at))
           ORDER BY seen_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING operations
       )
       INSERT INTO changeover.retired_totals AS kept
       SELECT operation,
         sum((legacy->>'calls')::bigint), sum((legacy->>'failed')::bigint),
         sum((legacy->>'timedOut')::bigint), sum((candidate->>'calls')::bigint),
         sum((candidate->>'failed')::bigint), sum((candidate->>'timedOut')::bigint)
       FROM gone, jsonb_to_recordset(gone.operations)
         AS told (operation text, legacy jsonb, candidate jsonb)
       GROUP BY operation ORDER BY operation
       ON CONFLICT (operation) DO UPDATE SET
         legacy_calls = kept.legacy_calls + excluded.legacy_calls,
         legacy_failed = kept.legacy_failed + excluded.legacy_failed,
         legacy_timed_out = kept.legacy_timed_out + excluded.legacy_timed_out,
         candidate_calls = kept.candidate_calls + excluded.candidate_calls,
         candidate_failed = kept.candidate_failed + excluded.candidate_failed,
         candidate_timed_out = kept.candidate_timed_out + excluded.candidate_timed_out`,
      [keptMs, supersededMs, sweptMax],
    );
    await this.#pool.query(
      `DELETE FROM changeover.trips WHERE (operation, instance) IN (
         SELECT operation, instance FROM changeover.trips
         WHERE told_at <= clock_timestamp() - $1 * interval '1 millisecond'
         ORDER BY told_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
      [keptMs, sweptMax],
    );
  }
}
