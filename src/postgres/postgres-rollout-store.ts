import {
  type LeaseHold,
  type RolloutRecord,
  type RolloutStore,
  rolloutConflict,
} from "../rollout/ports.ts";
import type { PostgresPool } from "./pool.ts";

/** Where rollouts are kept. */
export interface PostgresRolloutStoreOptions {
  readonly pool: PostgresPool;
  /** The lease that fences writes; default `rollout`, as of `PostgresLease`. */
  readonly leaseName?: string;
}

interface RolloutRow {
  readonly record: RolloutRecord;
  readonly revision: string;
}

/**
 * Rollouts as JSON, one row for each operation. A write names the revision it follows and the lease it is
 * made under; both are checked by the statement that writes.
 */
export class PostgresRolloutStore implements RolloutStore {
  readonly #pool: PostgresPool;
  readonly #leaseName: string;

  constructor(options: PostgresRolloutStoreOptions) {
    this.#pool = options.pool;
    this.#leaseName = options.leaseName ?? "rollout";
  }

  async load(): Promise<readonly RolloutRecord[]> {
    const rows = await this.#pool.query<RolloutRow>(
      "SELECT record, revision FROM changeover.rollouts ORDER BY operation",
    );
    return rows.map(recordOf);
  }

  async read(operation: string): Promise<RolloutRecord | null> {
    const [row] = await this.#pool.query<RolloutRow>(
      "SELECT record, revision FROM changeover.rollouts WHERE operation = $1",
      [operation],
    );
    return row === undefined ? null : recordOf(row);
  }

  async save(record: RolloutRecord, hold: LeaseHold | null): Promise<RolloutRecord> {
    // The lock on the lease's row: whoever takes the lease over waits for this write, or this write finds
    // the new epoch and is refused.
    const rows = await this.#pool.query(
      `WITH fence AS MATERIALIZED (
         SELECT FROM changeover.leases
         WHERE name = $4 AND epoch = $5 AND holder = $6 AND expires_at > clock_timestamp()
         FOR SHARE
       ), allowed AS (
         SELECT WHERE $5::bigint IS NULL OR EXISTS (SELECT FROM fence)
       ), first AS (
         INSERT INTO changeover.rollouts (operation, revision, record, written_at)
         SELECT $1, 1, $2, clock_timestamp() FROM allowed WHERE $3::bigint = 0
         ON CONFLICT (operation) DO NOTHING
         RETURNING revision
       ), next AS (
         UPDATE changeover.rollouts
         SET revision = revision + 1, record = $2, written_at = clock_timestamp()
         WHERE operation = $1 AND revision = $3 AND $3::bigint > 0 AND EXISTS (SELECT FROM allowed)
         RETURNING revision
       )
       SELECT revision FROM first UNION ALL SELECT revision FROM next`,
      [
        record.operation,
        JSON.stringify(record),
        record.revision,
        this.#leaseName,
        hold?.epoch ?? null,
        hold?.holder ?? null,
      ],
    );
    if (rows.length === 0) throw rolloutConflict(record.operation);
    return { ...record, revision: record.revision + 1 };
  }

  /** The pool is its owner's to close. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

const recordOf = ({ record, revision }: RolloutRow): RolloutRecord => ({
  ...record,
  revision: Number(revision),
});
