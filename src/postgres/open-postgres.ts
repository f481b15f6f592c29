import { type PoolOptions, PostgresPool } from "./pool.ts";
import { PostgresFleet, type PostgresFleetOptions } from "./postgres-fleet.ts";
import { PostgresJournal } from "./postgres-journal.ts";
import { PostgresLease } from "./postgres-lease.ts";
import { PostgresRolloutStore } from "./postgres-rollout-store.ts";

/** How a process takes part in a fleet. */
export interface PostgresOptions extends PoolOptions, Omit<PostgresFleetOptions, "pool"> {
  /** Milliseconds that the lease of the rollouts lasts; default 5,000. */
  readonly leaseTtlMs?: number;
}

/** Everything that a fleet keeps in Postgres. */
export interface PostgresPorts {
  readonly fleet: PostgresFleet;
  readonly journal: PostgresJournal;
  readonly lease: PostgresLease;
  readonly rollouts: PostgresRolloutStore;
  /** `host:port/database`: what may be shown. */
  readonly address: string;
  /** Ends all connections, within about two seconds. Never rejects. */
  close(): Promise<void>;
}

/**
 * Makes the ports of a fleet on Postgres. Connects to nothing yet, so it does not fail when Postgres is
 * down; the tables come from `migrateFleet`. Rejects with `POSTGRES_PACKAGE_MISSING`, and with
 * `CONFIG_INVALID` for an address or a name that cannot be one.
 */
export async function openPostgres(options: PostgresOptions): Promise<PostgresPorts> {
  const pool = await PostgresPool.open({
    ...options,
    applicationName: options.applicationName ?? `changeover ${options.instance}`.slice(0, 63),
  });
  const fleet = new PostgresFleet({ ...options, pool });
  const { leaseTtlMs } = options;
  return {
    fleet,
    journal: new PostgresJournal({ pool }),
    lease: new PostgresLease({ pool, ...(leaseTtlMs === undefined ? {} : { ttlMs: leaseTtlMs }) }),
    rollouts: new PostgresRolloutStore({ pool }),
    address: pool.address,
    close: async () => {
      await fleet.close();
      await pool.close();
    },
  };
}
