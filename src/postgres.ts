/** A fleet of instances on Postgres: its latches, reports, history, lease and rollouts. */
export { type MigrateFleetOptions, migrateFleet } from "./postgres/migrate.ts";
export {
  openPostgres,
  type PostgresOptions,
  type PostgresPorts,
} from "./postgres/open-postgres.ts";
export type { PostgresFleet } from "./postgres/postgres-fleet.ts";
