import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { ChildLog } from "../child/child-log.ts";
import { BackendProcess } from "../child/child-process.ts";
import { keysOf, newKey } from "../key-file.ts";
import type { PostgresJoined, PostgresReady, PostgresSettings } from "./postgres-backend.ts";
import { POSTGRES_STOP_LIMIT_MS } from "./stop-limit.ts";

/** How the embedded Postgres is started. */
export interface PostgresOptions {
  /** The data is in `postgres/data` below this folder, the log in `logs`. */
  readonly dataDir: string;
  readonly clock: Clock;
  /** Default 0: the last one used if it is free, else any free one. */
  readonly port?: number;
  /** Default true. False is faster and loses what was written last when the machine fails: for tests. */
  readonly fsync?: boolean;
  /** Milliseconds until the server must take connections. Default 60000. */
  readonly startTimeoutMs?: number;
}

/** A Postgres that is starting or up (`process.joined`), and the child process around it. */
export interface StartedPostgres {
  readonly process: BackendProcess<PostgresSettings, PostgresReady, PostgresJoined>;
  readonly ready: PostgresReady;
}

const EXTENSION = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
const START_LIMIT_MS = 60_000;
/** Milliseconds until the child must know where it will listen, which may include ending an orphan. */
const PREPARE_LIMIT_MS = 30_000;
/** What the child gets on top of its own limit before it is killed, in milliseconds. */
const STOP_MARGIN_MS = 250;

/**
 * Starts the embedded Postgres in a child process that stops it with itself, and itself with its parent.
 * Resolves when its address is known, and `process.joined` when it takes connections (a third of a second
 * later; 1.5 to 8 s the first time).
 * Rejects with `SANDBOX_PACKAGE_MISSING`, `SANDBOX_POSTGRES_USER`, `SANDBOX_FOLDER_IN_USE`,
 * `SANDBOX_PORT_UNAVAILABLE`, `SANDBOX_KEY_FILE_BROKEN`, or `SANDBOX_START_FAILED`.
 */
export async function startPostgres(options: PostgresOptions): Promise<StartedPostgres> {
  const { dataDir, clock, port = 0, fsync = true } = options;
  const folder = join(dataDir, "postgres");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { password } = keysOf(join(folder, "keys.json"), { password: () => newKey("") });
  return BackendProcess.start<PostgresSettings, PostgresReady, PostgresJoined>({
    name: "postgres",
    program: new URL(`./postgres-backend${EXTENSION}`, import.meta.url),
    settings: { folder, password, port, fsync },
    log: new ChildLog({ file: join(dataDir, "logs", "postgres.log") }),
    clock,
    startTimeoutMs: PREPARE_LIMIT_MS,
    joinTimeoutMs: options.startTimeoutMs ?? START_LIMIT_MS,
    stopLimitMs: POSTGRES_STOP_LIMIT_MS + STOP_MARGIN_MS,
  });
}
