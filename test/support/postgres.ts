import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { systemClock } from "../../src/base/clock.ts";
import { startPostgres } from "../../src/sandbox/postgres/postgres.ts";

/** A Postgres for tests. */
export interface TestPostgres {
  /** An empty database of its own. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * A real Postgres with an empty database, without fsync, in a temporary folder; takes a second or two.
 * `CHANGEOVER_TEST_POSTGRES_URL` names a running one to use instead, as a role that may create
 * databases: then a new database is made there, and dropped by `close`.
 */
export async function startTestPostgres(): Promise<TestPostgres> {
  const external = process.env["CHANGEOVER_TEST_POSTGRES_URL"];
  if (external !== undefined && external !== "") return databaseOn(external);
  const dataDir = await mkdtemp(join(tmpdir(), "changeover-postgres-"));
  const stops: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const stop of stops) await stop();
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const server = await startPostgres({ dataDir, clock: systemClock, fsync: false });
    stops.push(() => server.process.stop());
    await server.process.joined;
    return { url: server.ready.changeoverUrl, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function databaseOn(server: string): Promise<TestPostgres> {
  const name = `test_${randomBytes(8).toString("hex")}`;
  await run(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, close: () => run(server, `DROP DATABASE ${name} WITH (FORCE)`) };
}

async function run(server: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
