import type { Lease, LeaseHold, LeaseState } from "../rollout/ports.ts";
import type { PostgresPool } from "./pool.ts";

/** Which lease, and for how long. */
export interface PostgresLeaseOptions {
  readonly pool: PostgresPool;
  /** Default `rollout`. */
  readonly name?: string;
  /** Milliseconds that one taking or renewing lasts; default 5,000. */
  readonly ttlMs?: number;
}

interface LeaseRow {
  readonly holder: string;
  readonly epoch: string;
  readonly expires_in_ms: number;
}

/**
 * Who leads, as a row with an epoch and an expiry on the database's time. No session holds it, so a holder
 * that freezes loses it by doing nothing, and poolers do no harm. Each method is one statement.
 */
export class PostgresLease implements Lease {
  readonly ttlMs: number;
  readonly #pool: PostgresPool;
  readonly #name: string;

  constructor(options: PostgresLeaseOptions) {
    this.#pool = options.pool;
    this.#name = options.name ?? "rollout";
    this.ttlMs = options.ttlMs ?? 5000;
  }

  async take(holder: string): Promise<LeaseHold | null> {
    // `clock_timestamp()` and not `now()`: the statement may have waited for the row.
    const [row] = await this.#pool.query<LeaseRow>(
      `INSERT INTO changeover.leases AS lease (name, holder, epoch, expires_at)
       VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
       ON CONFLICT (name) DO UPDATE SET
         holder = excluded.holder,
         epoch = lease.epoch + CASE
           WHEN lease.holder = excluded.holder AND lease.expires_at > clock_timestamp() THEN 0
           ELSE 1 END,
         expires_at = clock_timestamp() + $3 * interval '1 millisecond'
       WHERE lease.holder IS NULL OR lease.holder = excluded.holder
         OR lease.expires_at <= clock_timestamp()
       RETURNING epoch`,
      [this.#name, holder, this.ttlMs],
    );
    return row === undefined ? null : { epoch: Number(row.epoch), holder };
  }

  async renew(hold: LeaseHold): Promise<boolean> {
    const rows = await this.#pool.query(
      `UPDATE changeover.leases SET expires_at = clock_timestamp() + $4 * interval '1 millisecond'
       WHERE name = $1 AND holder = $2 AND epoch = $3 AND expires_at > clock_timestamp()
       RETURNING name`,
      [this.#name, hold.holder, hold.epoch, this.ttlMs],
    );
    return rows.length === 1;
  }

  async release(hold: LeaseHold): Promise<void> {
    await this.#pool.query(
      `UPDATE changeover.leases SET holder = NULL, expires_at = clock_timestamp()
       WHERE name = $1 AND holder = $2 AND epoch = $3`,
      [this.#name, hold.holder, hold.epoch],
    );
  }

  async current(): Promise<LeaseState | null> {
    const [row] = await this.#pool.query<LeaseRow>(
      `SELECT holder, epoch,
         (extract(epoch FROM expires_at - clock_timestamp()) * 1000)::float8 AS expires_in_ms
       FROM changeover.leases WHERE name = $1 AND holder IS NOT NULL`,
      [this.#name],
    );
    if (row === undefined) return null;
    return { epoch: Number(row.epoch), holder: row.holder, expiresInMs: row.expires_in_ms };
  }
}
