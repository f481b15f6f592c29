import { CodedError } from "../../base/errors.ts";
import { migrateFleet } from "../../postgres/migrate.ts";
import type { Config } from "../config.ts";

/**
 * Makes or updates the fleet's tables in the configured Postgres; doing it again changes nothing. Throws
 * `CONFIG_INVALID` without an address, and `POSTGRES_…`.
 */
export async function migrateConfiguredFleet({ postgresUrl }: Config): Promise<void> {
  if (postgresUrl === null) {
    throw new CodedError(
      "CONFIG_INVALID",
      "Set CHANGEOVER_POSTGRES_URL to the address of the Postgres that the fleet is to share, with the login that owns the database and may create roles.",
      { status: 400 },
    );
  }
  await migrateFleet(postgresUrl);
}
