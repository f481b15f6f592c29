import type * as Pg from "pg";
import type * as Boss from "pg-boss";
import { CodedError, codeOf, toError } from "../../base/errors.ts";
import { checkAddress, loadPg, postgresFailure, shownAddress } from "../driver.ts";

/** The schema that pg-boss keeps its tables in, apart from those of other programs. */
export const QUEUE_SCHEMA = "changeover_queue";

/** Milliseconds until a connection must stand, and that a statement or a lock may take. */
const CONNECT_MS = 5000;
const STATEMENT_MS = 30_000;
const LOCK_MS = 10_000;
/** Milliseconds until what does not end by itself is cut when closing. */
const CLOSE_MS = 500;

/** What pg-boss and we ask: one statement, or several without values. */
export interface Queries {
  // biome-ignore lint/suspicious/noExplicitAny: rows as pg-boss's own interface has them.
  executeSql(text: string, values?: unknown[]): Promise<{ rows: any[] }>;
}

/** Loads pg-boss, which a plain install does not bring. Rejects with `POSTGRES_PACKAGE_MISSING`. */
export async function loadPgBoss(): Promise<typeof Boss> {
  try {
    return await import("pg-boss");
  } catch (error) {
    if (codeOf(error) !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new CodedError(
      "POSTGRES_PACKAGE_MISSING",
      'The package "pg-boss" is not installed. Run: npm install pg-boss',
      { cause: error },
    );
  }
}

/**
 * Who the queue's tables belong to, or will: their owner; else the role of the fleet, where `migrateFleet`
 * made the schema for it; else whoever logged in. Working as that role lets logins share a queue.
 */
const roleQuery = `
  SELECT owner.role, owner.role <> current_user AND pg_has_role(owner.role, 'MEMBER') AS differs
  FROM (SELECT COALESCE(
    (SELECT pg_get_userbyid(relowner)::text FROM pg_class
      WHERE relname = 'version' AND relnamespace = to_regnamespace('${QUEUE_SCHEMA}')),
    (SELECT rolname::text FROM pg_roles
      WHERE rolname = 'changeover_app' AND to_regnamespace('${QUEUE_SCHEMA}') IS NOT NULL
        AND has_schema_privilege(rolname, to_regnamespace('${QUEUE_SCHEMA}'), 'CREATE')),
    current_user::text) AS role) AS owner`;

/** A few connections to the database of a queue, with time limits; errors never hold the password. */
export class QueueDatabase implements Queries {
  readonly #pool: Pg.Pool;
  readonly #url: string;

  private constructor({ Pool }: typeof Pg, url: string) {
    this.#url = url;
    this.#pool = new Pool({
      connectionString: url,
      application_name: "changeover backfill",
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: STATEMENT_MS,
      keepAlive: true,
      max: 4,
      allowExitOnIdle: true,
      onConnect: prepare,
    });
    // An idle connection that breaks is replaced by the next query, which tells if it cannot.
    this.#pool.on("error", () => undefined);
  }

  /** Connects to nothing yet. Rejects with `POSTGRES_PACKAGE_MISSING` and `CONFIG_INVALID`. */
  static async open(url: string): Promise<QueueDatabase> {
    checkAddress(url);
    return new QueueDatabase(await loadPg(), url);
  }

  /** `host:port/database`: what may be shown of where it is. */
  get address(): string {
    return shownAddress(this.#url);
  }

  /** Rejects with Postgres's own errors, which pg-boss knows; `failure` makes coded ones of them. */
  executeSql(text: string, values?: unknown[]): ReturnType<Queries["executeSql"]> {
    return this.#pool.query(text, values);
  }

  /** Runs `work` in one transaction; rolls back what answers false, or throws. */
  async atOnce(work: (queries: Queries) => Promise<boolean>): Promise<boolean> {
    let broken = false;
    const client = await this.#pool.connect();
    try {
      await client.query("BEGIN");
      const done = await work({ executeSql: (text, values) => client.query(text, values) });
      await client.query(done ? "COMMIT" : "ROLLBACK");
      return done;
    } catch (error) {
      // A connection in the middle of a transaction is of no use to the next one.
      broken = true;
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** What pg-boss or a statement threw, as a coded error that says who has to allow what. */
  failure(error: unknown): CodedError {
    const failure = postgresFailure(error, this.#url, "migrating");
    if (failure.code !== "POSTGRES_FORBIDDEN") return failure;
    return new CodedError(
      "POSTGRES_QUEUE_FORBIDDEN",
      `Postgres at ${this.address} does not let this login keep a queue (${toError(error).message.slice(0, 200)}). Run changeover fleet migrate once as the owner of the database and GRANT changeover_app TO <login>; or GRANT CREATE ON DATABASE <database> TO <login>.`,
      { status: 503, cause: error, details: failure.details },
    );
  }

  /** Ends all connections; those that do not end within half a second are left to the process. */
  async close(wait: (ms: number) => Promise<void>): Promise<void> {
    await Promise.race([this.#pool.end().catch(() => undefined), wait(CLOSE_MS)]);
  }
}

async function prepare(client: Pg.ClientBase): Promise<void> {
  // Not as start-up parameters: poolers refuse those they do not know.
  await client.query(
    `SET statement_timeout = ${STATEMENT_MS}; SET lock_timeout = ${LOCK_MS}; SET idle_in_transaction_session_timeout = ${STATEMENT_MS}; SET client_min_messages = warning`,
  );
  const { rows } = await client.query<{ role: string; differs: boolean }>(roleQuery);
  const [owner] = rows;
  if (owner?.differs !== true) return;
  await client.query(`SET ROLE "${owner.role.replaceAll('"', '""')}"`);
}
