import { mkdirSync } from "node:fs";
import { type Clock, systemClock } from "../base/clock.ts";
import type { Unsubscribe } from "../base/event.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import type { ChildExit } from "./child/child-process.ts";
import { Children } from "./child/children.ts";
import { type StartedPostgres, startPostgres } from "./postgres/postgres.ts";
import { FLEET_PACKAGES, requirePackages } from "./required-packages.ts";
import {
  type StartedUnleash,
  startUnleash,
  type UnleashAccess,
  type UnleashAddress,
} from "./unleash/unleash.ts";

/** How the embedded Postgres and Unleash are started. */
export interface FleetBackendOptions {
  /** Everything is kept in `postgres` and `unleash` below this folder. One fleet backend at a time. */
  readonly dataDir: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Fixed ports on 127.0.0.1; default 0: those of the last run if they are free, else any free ones. */
  readonly ports?: { readonly postgres?: number; readonly unleash?: number };
  /** Default true; false loses what was written last when the machine fails. For tests. */
  readonly fsync?: boolean;
  /** Milliseconds until Postgres must take connections. Default 60000. */
  readonly postgresTimeoutMs?: number;
  /** Milliseconds until Unleash must be up. Default 120000. */
  readonly unleashTimeoutMs?: number;
}

/** Where both servers are. All are on 127.0.0.1. */
export interface FleetAddresses {
  /** `url` names the product's own database, `changeover`; it holds a password. */
  readonly postgres: { readonly url: string };
  /** May still be starting: it answers with 503 until `FleetBackend.unleash` resolves. */
  readonly unleash: UnleashAddress;
}

/** A Postgres and an Unleash, each starting or up. They do not keep the process alive once they are up. */
export interface FleetBackend {
  readonly addresses: FleetAddresses;
  /**
   * Resolves when Postgres takes connections: a third of a second after the start, 1.5 to 8 s the
   * first time. Until then connections are refused or cut. Rejects as `unleash` does.
   */
  readonly postgresReady: Promise<void>;
  /**
   * Resolves when Unleash is up and set up, with the token that may write flags: 4 to 20 seconds after
   * the start. Rejects with `SANDBOX_START_FAILED`, `SANDBOX_UNLEASH_SETUP` or, when it was closed
   * before, `SANDBOX_CLOSED`. Nobody has to wait for it.
   */
  readonly unleash: Promise<UnleashAccess>;
  /** The process ids of the children, and of the Postgres server itself once that is up. */
  readonly pids: readonly number[];
  /** Calls `listener` when a child dies that nobody asked to stop; at once for one that already has. */
  onExit(listener: (exit: ChildExit) => void): Unsubscribe;
  /** Stops Unleash, then Postgres: within 4.5 seconds, mostly half a second. */
  close(): Promise<void>;
}

/** The longest that `close` takes, in milliseconds. */
export const FLEET_CLOSE_LIMIT_MS = 4500;

/**
 * Starts the embedded Postgres and, on it, the real `unleash-server`, each in a child process that ends
 * with this one, however this one ends. Resolves as soon as both addresses are taken, within about half
 * a second; the servers join later. Rejects with `SANDBOX_PACKAGE_MISSING`, `SANDBOX_POSTGRES_USER`,
 * `SANDBOX_FOLDER_IN_USE`, `SANDBOX_PORT_UNAVAILABLE`, `SANDBOX_KEY_FILE_BROKEN`, or
 * `SANDBOX_START_FAILED` with the child's last lines; nothing is left running then.
 */
export async function startFleetBackend(options: FleetBackendOptions): Promise<FleetBackend> {
  requirePackages(import.meta.url, FLEET_PACKAGES);
  const { dataDir, ports = {}, clock = systemClock, logger = silentLogger } = options;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const startedMs = clock.monotonicMs();
  const postgres = await startPostgres({
    dataDir,
    clock,
    port: ports.postgres ?? 0,
    fsync: options.fsync ?? true,
    ...(options.postgresTimeoutMs === undefined
      ? {}
      : { startTimeoutMs: options.postgresTimeoutMs }),
  });
  try {
    const unleash = await startUnleash({
      dataDir,
      clock,
      databaseUrl: postgres.ready.unleashUrl,
      port: ports.unleash ?? 0,
      ...(options.unleashTimeoutMs === undefined
        ? {}
        : { startTimeoutMs: options.unleashTimeoutMs }),
    });
    const fleet = new RunningFleetBackend(postgres, unleash, logger);
    const logReady = (name: string): (() => void) => {
      return () =>
        logger.info({ ms: Math.round(clock.monotonicMs() - startedMs) }, `${name} is up.`);
    };
    const logFailed = (error: unknown): void => logger.warn({ error }, "A server did not come up.");
    fleet.postgresReady.then(logReady("Postgres"), logFailed);
    fleet.unleash.then(logReady("Unleash"), logFailed);
    return fleet;
  } catch (error) {
    await postgres.process.stop();
    throw error;
  }
}

class RunningFleetBackend implements FleetBackend {
  readonly addresses: FleetAddresses;
  readonly postgresReady: Promise<void>;
  readonly unleash: Promise<UnleashAccess>;
  readonly #postgres: StartedPostgres;
  readonly #unleash: StartedUnleash;
  readonly #children: Children;
  #serverPid: number | null = null;
  #closing: Promise<void> | undefined;

  constructor(postgres: StartedPostgres, unleash: StartedUnleash, logger: Logger) {
    this.addresses = {
      postgres: { url: postgres.ready.changeoverUrl },
      unleash: unleash.address,
    };
    this.postgresReady = postgres.process.joined.then(({ serverPid }) => {
      this.#serverPid = serverPid;
    });
    this.unleash = unleash.ready;
    this.#postgres = postgres;
    this.#unleash = unleash;
    this.#children = new Children([postgres.process, unleash.process], logger);
  }

  get pids(): readonly number[] {
    const server = this.#serverPid;
    return server === null ? this.#children.pids : [...this.#children.pids, server];
  }

  onExit(listener: (exit: ChildExit) => void): Unsubscribe {
    return this.#children.onExit(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#unleash.process.stop().then(() => this.#postgres.process.stop());
    return this.#closing;
  }
}
