import { Socket } from "node:net";
import type * as Pg from "pg";
import type { Clock } from "../base/clock.ts";
import { checkAddress, loadPg, postgresFailure, shownAddress } from "./driver.ts";

/** How Postgres is reached, and the limits of it. */
export interface PoolOptions {
  /**
   * `postgres://user:password@host:5432/database`. A direct connection, or a pooler in session mode: one
   * in transaction mode swallows what is broadcast. The login must be a member of `changeover_app`.
   */
  readonly url: string;
  readonly clock: Clock;
  /** Where problems go that no caller waits for. */
  readonly report: (part: string, error: unknown) => void;
  /** What the server calls this connection; default `changeover`. */
  readonly applicationName?: string;
  /** Connections at once, beside the one that listens; default 4. */
  readonly connectionsMax?: number;
  /** Milliseconds until a connection must stand; default 3,000. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds that a statement may take, on the server and to its answer; default 3,000. */
  readonly statementTimeoutMs?: number;
  /** Milliseconds that a statement may wait for a lock; default 2,000. */
  readonly lockTimeoutMs?: number;
  /** Milliseconds until a caller gets an answer or an error, whatever happens; default 5,000. */
  readonly callTimeoutMs?: number;
}

type Row = Record<string, unknown>;

/** A connection of its own that hears notifications. Ends by itself when the connection breaks. */
export interface ListenSession {
  query(text: string): Promise<void>;
  /** Resolves, never rejects, when the connection is gone. */
  readonly ended: Promise<unknown>;
  /** Ends it at once, also when the other side is dead. */
  destroy(): void;
}

/**
 * A few connections to Postgres. Every session works under the role `changeover_app`, with time limits;
 * connections that break are replaced by themselves; a server that hangs costs a caller `callTimeoutMs`
 * at most. Everything rejects with the coded errors of `postgresFailure`.
 */
export class PostgresPool {
  readonly #options: Required<PoolOptions>;
  readonly #pg: typeof Pg;
  readonly #pool: Pg.Pool;
  readonly #sockets = new Set<Socket>();

  private constructor(pg: typeof Pg, options: PoolOptions) {
    checkAddress(options.url);
    this.#pg = pg;
    this.#options = {
      applicationName: "changeover",
      connectionsMax: 4,
      connectTimeoutMs: 3000,
      statementTimeoutMs: 3000,
      lockTimeoutMs: 2000,
      callTimeoutMs: 5000,
      ...options,
    };
    this.#pool = new pg.Pool({
      ...this.#clientConfig(),
      max: this.#options.connectionsMax,
      idleTimeoutMillis: 30_000,
      allowExitOnIdle: true,
      onConnect: (client) => this.#prepare(client),
    });
    // An idle connection that breaks is replaced by the next query, which tells if it cannot.
    this.#pool.on("error", () => undefined);
  }

  /** Connects to nothing yet. Rejects with `POSTGRES_PACKAGE_MISSING` and `CONFIG_INVALID`. */
  static async open(options: PoolOptions): Promise<PostgresPool> {
    checkAddress(options.url);
    return new PostgresPool(await loadPg(), options);
  }

  /** What may be shown of where it connects to. */
  get address(): string {
    return shownAddress(this.#options.url);
  }

  /** Runs one statement and gives its rows. */
  async query<T extends object = Row>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<readonly T[]> {
    return this.#within(async () => {
      const { rows } = await this.#pool.query<Row>(text, [...values]);
      return rows as unknown as T[];
    });
  }

  /** Opens a connection for notifications. */
  async listen(onNotification: (channel: string, payload: string) => void): Promise<ListenSession> {
    const socket = this.#socket();
    const client = new this.#pg.Client({ ...this.#clientConfig(), stream: () => socket });
    const { promise: ended, resolve: end } = Promise.withResolvers<unknown>();
    client.on("error", end);
    client.on("end", () => end(undefined));
    client.on("notification", ({ channel, payload }) => onNotification(channel, payload ?? ""));
    const destroy = (): void => {
      end(undefined);
      // It says goodbye where the other side listens, and hangs up where it does not.
      void client.end().catch(() => undefined);
      this.#options.clock.after(500, () => socket.destroy());
    };
    try {
      await this.#within(async () => {
        await client.connect();
        await this.#prepare(client);
      });
    } catch (error) {
      destroy();
      throw error;
    }
    // A library must not keep its process alive.
    socket.unref();
    return {
      ended,
      destroy,
      query: async (text) => {
        await this.#within(() => client.query(text));
      },
    };
  }

  /** Ends every connection; those that do not end within a second are cut. Never rejects. */
  async close(): Promise<void> {
    const { clock } = this.#options;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = clock.after(1000, resolve, true);
    await Promise.race([this.#pool.end().catch(() => undefined), late]);
    timer.cancel();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** A role that is set when connecting, so that one address does for everything: see `migrateFleet`. */
  async #prepare(client: Pg.ClientBase): Promise<void> {
    const { statementTimeoutMs, lockTimeoutMs } = this.#options;
    // Not as start-up parameters: poolers refuse those they do not know.
    await client.query(
      `SET ROLE changeover_app; SET statement_timeout = ${statementTimeoutMs}; SET lock_timeout = ${lockTimeoutMs}`,
    );
  }

  #clientConfig(): Pg.ClientConfig {
    const { url, applicationName, connectTimeoutMs, statementTimeoutMs } = this.#options;
    return {
      connectionString: url,
      application_name: applicationName,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: statementTimeoutMs,
      keepAlive: true,
      stream: () => this.#socket(),
    };
  }

  /** Remembered, so that closing can cut what does not end. */
  #socket(): Socket {
    const socket = new Socket();
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  async #within<T>(work: () => Promise<T>): Promise<T> {
    const { clock, callTimeoutMs, url } = this.#options;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = clock.after(
      callTimeoutMs,
      () => reject(new Error(`no answer within ${callTimeoutMs} ms`)),
      true,
    );
    try {
      return await Promise.race([work(), late]);
    } catch (error) {
      throw postgresFailure(error, url);
    } finally {
      timer.cancel();
    }
  }
}
