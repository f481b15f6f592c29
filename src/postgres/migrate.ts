import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type * as Pg from "pg";
import { CodedError } from "../base/errors.ts";
import { checkAddress, loadPg, postgresFailure } from "./driver.ts";

/** How the fleet's tables are made. */
export interface MigrateFleetOptions {
  /**
   * Lets the role `changeover_app` log in with this password, 16 to 200 printable ASCII characters, so
   * that instances need no other login: `postgres://changeover_app:<password>@…`. Without it the role
   * cannot log in, and instances use a login that is a member of it.
   */
  readonly appPassword?: string;
  /** Milliseconds that one statement may take; default 60,000. */
  readonly statementTimeoutMs?: number;
}

/** Where the SQL lies, from the sources as from the build. */
const folder = new URL("../../supabase/fleet/", import.meta.url);

/** Any number nobody else uses: two migrations of one database wait for each other. */
const advisoryLock = 5_283_711_604;

/**
 * Makes the schema `changeover` with all that the fleet shares, and the role `changeover_app` that every
 * instance works under; needs the right to create both (the owner of the database, with CREATEROLE). May
 * be called any number of times, by several processes at once: what exists stays as it is.
 *
 * The role may add to the journal and read it, and never change or remove what is there. Whoever logs in
 * as the owner still could, so give instances a login of their own: `appPassword`, or
 * `GRANT changeover_app TO <login>`.
 *
 * Rejects with `POSTGRES_PACKAGE_MISSING`, `CONFIG_INVALID`, and what `postgresFailure` knows.
 */
export async function migrateFleet(url: string, options: MigrateFleetOptions = {}): Promise<void> {
  checkAddress(url);
  const login = options.appPassword === undefined ? "" : allowLogin(options.appPassword);
  const { Client } = await loadPg();
  const client = new Client({
    connectionString: url,
    application_name: "changeover migrate",
    connectionTimeoutMillis: 5000,
    query_timeout: options.statementTimeoutMs ?? 60_000,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await apply(client, login);
  } catch (error) {
    throw postgresFailure(error, url, "migrating");
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function apply(client: Pg.Client, login: string): Promise<void> {
  const names = (await readdir(fileURLToPath(folder))).filter((name) => name.endsWith(".sql"));
  await client.query("BEGIN");
  await client.query("SELECT pg_advisory_xact_lock($1)", [advisoryLock]);
  for (const name of names.sort()) {
    await client.query(await readFile(new URL(name, folder), "utf8"));
  }
  if (login !== "") await client.query(login);
  await client.query("COMMIT");
}

/**
 * The password is sent as its SCRAM-SHA-256 verifier, in the server's own form, so that it cannot end in
 * a server's log: https://www.postgresql.org/docs/current/catalog-pg-authid.html
 */
function allowLogin(password: string): string {
  if (!/^[\x21-\x7e]{16,200}$/.test(password)) {
    throw new CodedError(
      "CONFIG_INVALID",
      "The password of changeover_app is not accepted: use 16 to 200 printable ASCII characters without spaces.",
      { status: 400 },
    );
  }
  const iterations = 4096;
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const keyOf = (name: string): Buffer => createHmac("sha256", salted).update(name).digest();
  const stored = createHash("sha256").update(keyOf("Client Key")).digest("base64");
  const server = keyOf("Server Key").toString("base64");
  const verifier = `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${stored}:${server}`;
  return `ALTER ROLE changeover_app LOGIN PASSWORD '${verifier}'`;
}
