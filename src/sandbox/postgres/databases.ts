import { Client } from "pg";
import { codeOf } from "../../base/errors.ts";
import { CHANGEOVER_DATABASE, databaseUrl, UNLEASH_DATABASE } from "./database-url.ts";

/** Milliseconds for connecting and for each statement. */
const LIMIT_MS = 10_000;
/** What Postgres answers to a wrong password (SQLSTATE invalid_password). */
const WRONG_PASSWORD = "28P01";

/** Creates the two databases that are missing; `wrong-password` when the server knows another one. */
export async function createDatabases(
  port: number,
  password: string,
): Promise<"created" | "wrong-password"> {
  const client = new Client({
    connectionString: databaseUrl(port, password, "postgres"),
    connectionTimeoutMillis: LIMIT_MS,
    query_timeout: LIMIT_MS,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ datname: string }>("SELECT datname FROM pg_database");
    for (const name of [CHANGEOVER_DATABASE, UNLEASH_DATABASE]) {
      if (rows.every(({ datname }) => datname !== name)) {
        await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
      }
    }
    return "created";
  } catch (error) {
    if (codeOf(error) === WRONG_PASSWORD) return "wrong-password";
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}
