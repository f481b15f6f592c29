import type { FleetChange, FleetLatch } from "../migration/fleet.ts";
import type { PostgresPool } from "./pool.ts";
import { storable } from "./postgres-journal.ts";

interface LatchRow {
  readonly operation: string;
  readonly tripped: boolean;
  readonly epoch: string;
  readonly at: Date;
  readonly by_type: FleetLatch["by"]["type"];
  readonly by_name: string;
  readonly reason: string;
  readonly evidence: FleetLatch["evidence"];
}

const columns = "operation, tripped, epoch, at, by_type, by_name, reason, evidence";

/** The latches of the fleet as rows; a trigger of theirs announces each change. */
export class FleetLatches {
  readonly #pool: PostgresPool;

  constructor(pool: PostgresPool) {
    this.#pool = pool;
  }

  async read(): Promise<readonly FleetLatch[]> {
    const rows = await this.#pool.query<LatchRow>(
      `SELECT ${columns} FROM changeover.latches ORDER BY operation`,
    );
    return rows.map(latchOf);
  }

  /** One that is tripped already is returned as it is. */
  async trip(operation: string, change: FleetChange): Promise<FleetLatch> {
    const [changed] = await this.#pool.query<LatchRow>(
      `INSERT INTO changeover.latches AS latch (${columns})
       VALUES ($1, true, 1, clock_timestamp(), $2, $3, $4, $5)
       ON CONFLICT (operation) DO UPDATE SET tripped = true, epoch = latch.epoch + 1,
         at = clock_timestamp(), by_type = excluded.by_type, by_name = excluded.by_name,
         reason = excluded.reason, evidence = excluded.evidence
       WHERE NOT latch.tripped
       RETURNING ${columns}`,
      valuesOf(operation, change),
    );
    if (changed !== undefined) return latchOf(changed);
    // A statement of its own: the one above does not see what it had to wait for.
    const existing = await this.#existing(operation);
    // Somebody re-armed it between the two statements: what is asked for now is a new trip.
    return existing.tripped ? existing : this.trip(operation, change);
  }

  /**
   * One that is armed already is returned as it is; what counted towards a quorum is cleared anyway. A trip
   * that comes in between wins, and is returned.
   */
  async rearm(operation: string, change: FleetChange): Promise<FleetLatch> {
    const [changed] = await this.#pool.query<LatchRow>(
      `WITH cleared AS (DELETE FROM changeover.trips WHERE operation = $1)
       INSERT INTO changeover.latches AS latch (${columns})
       VALUES ($1, false, 0, clock_timestamp(), $2, $3, $4, $5)
       ON CONFLICT (operation) DO UPDATE SET tripped = false, at = clock_timestamp(),
         by_type = excluded.by_type, by_name = excluded.by_name, reason = excluded.reason,
         evidence = excluded.evidence
       WHERE latch.tripped
       RETURNING ${columns}`,
      valuesOf(operation, change),
    );
    return changed === undefined ? this.#existing(operation) : latchOf(changed);
  }

  async #existing(operation: string): Promise<FleetLatch> {
    const rows = await this.#pool.query<LatchRow>(
      `SELECT ${columns} FROM changeover.latches WHERE operation = $1`,
      [operation],
    );
    return rows.map(latchOf)[0] as FleetLatch;
  }
}

const valuesOf = (operation: string, { by, reason, evidence }: FleetChange): unknown[] => [
  operation,
  by.type,
  storable(by.name),
  storable(reason),
  JSON.stringify(evidence ?? {}),
];

const latchOf = (row: LatchRow): FleetLatch => ({
  operation: row.operation,
  tripped: row.tripped,
  epoch: Number(row.epoch),
  at: row.at.toISOString(),
  by: { type: row.by_type, name: row.by_name },
  reason: row.reason,
  evidence: row.evidence,
});
