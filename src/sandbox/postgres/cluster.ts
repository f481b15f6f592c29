import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import { portUnavailable } from "../kept-port.ts";
import type { PostgresBinaries } from "./binaries.ts";
import { POSTGRES_ROLE } from "./database-url.ts";
import { giveFolder, launchAs, type OsUser } from "./os-user.ts";

/** A Postgres data folder and what runs on it. */
export interface ClusterOptions {
  /** Where `data` is, or will be. */
  readonly folder: string;
  readonly binaries: PostgresBinaries;
  readonly user: OsUser;
  /** False loses what was written last when the machine fails; for tests only. */
  readonly fsync: boolean;
  readonly clock: Clock;
  /** Aborted when the program has to end at once. */
  readonly ending: AbortSignal;
}

/** How long Postgres gets to stop cleanly, then to stop at once, in milliseconds; then it is killed. */
const FAST_STOP_MS = 2500;
const IMMEDIATE_STOP_MS = 400;
/** The longest list of last lines that an error quotes, in characters. */
const MAX_TAIL = 2000;
const ENVIRONMENT = { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin:/usr/sbin:/sbin" };

/**
 * What the server is started with (names as in postgresql.conf). Eight instances with ten connections
 * each and Unleash with eight fit; memory is what a small machine can spare.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "100",
  shared_buffers: "32MB",
  wal_level: "minimal",
  max_wal_senders: "0",
  min_wal_size: "32MB",
  max_wal_size: "256MB",
  // Little is left to write when it stops.
  checkpoint_timeout: "60s",
  io_method: "sync",
  max_parallel_workers_per_gather: "0",
  jit: "off",
  log_checkpoints: "off",
  // Statements may hold tokens; the log says what went wrong, not with which words.
  log_min_error_statement: "panic",
  lc_messages: "C",
  timezone: "UTC",
  log_timezone: "UTC",
};

/** The data folder inside of `folder`. */
export function dataFolderIn(folder: string): string {
  return join(folder, "data");
}

/** Makes the data folder with `password` for the role `changeover`, unless it is there already. */
export async function initialise(options: ClusterOptions, password: string): Promise<void> {
  const { folder, user, binaries } = options;
  if (existsSync(join(dataFolderIn(folder), "PG_VERSION"))) return;
  // Made beside it and renamed: a start that is cut off leaves no half-made folder that looks ready.
  const work = join(folder, "data.new");
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { mode: 0o700 });
  giveFolder(work, user);
  const passwordFile = join(folder, "password.new");
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user.ids !== null) chownSync(passwordFile, user.ids.uid, user.ids.gid);
  const flags = `--username=${POSTGRES_ROLE} --auth=scram-sha-256 --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 --no-instructions`;
  const args = [`--pgdata=${work}`, `--pwfile=${passwordFile}`, ...flags.split(" ")];
  if (!options.fsync) args.push("--no-sync");
  try {
    await run(options, binaries.initdb, args);
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(work, dataFolderIn(folder));
}

/**
 * Gives the role a new password, with nothing but the files: for a key file that was lost. The server
 * must not be running.
 */
export async function resetPassword(options: ClusterOptions, password: string): Promise<void> {
  const args = ["--single", "-D", dataFolderIn(options.folder), "-c", "log_statement=none"];
  // Our own keys are made of letters, digits, - and _ only.
  const sql = `ALTER ROLE ${POSTGRES_ROLE} PASSWORD '${password.replaceAll("'", "''")}'\n`;
  await run(options, options.binaries.postgres, [...args, "postgres"], sql);
}

async function run(
  options: ClusterOptions,
  program: string,
  args: readonly string[],
  input = "",
): Promise<void> {
  options.ending.throwIfAborted();
  const child = start(options, program, args, "pipe");
  child.stdin?.end(input);
  const tail = tailOf(child);
  const onEnding = (): void => void child.kill("SIGKILL");
  options.ending.addEventListener("abort", onEnding, { once: true });
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode, signal) => resolve(signal ?? exitCode));
  });
  options.ending.removeEventListener("abort", onEnding);
  if (code !== 0) throw failed(`${program} ended with ${code}`, tail());
}

/** A running Postgres server. */
export class PostgresServer {
  readonly port: number;
  readonly pid: number;
  /** Resolves when the server has ended, whoever asked for it. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #clock: Clock;

  private constructor(child: ChildProcess, port: number, clock: Clock) {
    this.#child = child;
    this.port = port;
    this.#clock = clock;
    this.pid = child.pid ?? -1;
    this.ended = new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      child.once("exit", () => resolve());
    });
  }

  /**
   * Starts the server on the port and waits until it takes connections. Rejects with
   * `SANDBOX_PORT_UNAVAILABLE`, or with `SANDBOX_START_FAILED` and the last lines.
   */
  static async start(options: ClusterOptions, port: number): Promise<PostgresServer> {
    options.ending.throwIfAborted();
    const settings = { ...SETTINGS, fsync: options.fsync ? "on" : "off" };
    const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const args = ["-D", dataFolderIn(options.folder), "-p", String(port), ...flags];
    const child = start(options, options.binaries.postgres, args, "ignore");
    const tail = tailOf(child);
    // A signal is all there is time for; the next start recovers what was committed.
    options.ending.addEventListener("abort", () => void child.kill("SIGINT"), { once: true });
    const outcome = await new Promise<"ready" | "ended">((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => resolve("ended"));
      child.stderr?.on("data", () => {
        if (tail().includes("ready to accept connections")) resolve("ready");
      });
    });
    if (outcome === "ready") return new PostgresServer(child, port, options.clock);
    if (tail().includes("Address already in use")) throw portUnavailable(port, "EADDRINUSE");
    throw failed("the server ended", tail());
  }

  /** Stops cleanly (transactions are rolled back), within about 3 s: what takes longer is cut off. */
  async stop(): Promise<void> {
    // Postgres's own signals: SIGINT is its "fast" shutdown, SIGQUIT its "immediate" one.
    this.#child.kill("SIGINT");
    const hurry = this.#clock.after(FAST_STOP_MS, () => this.#child.kill("SIGQUIT"));
    const kill = this.#clock.after(FAST_STOP_MS + IMMEDIATE_STOP_MS, () =>
      this.#child.kill("SIGKILL"),
    );
    await this.ended;
    hurry.cancel();
    kill.cancel();
  }
}

function start(
  { user, folder }: ClusterOptions,
  program: string,
  args: readonly string[],
  stdin: "ignore" | "pipe",
): ChildProcess {
  const { file, args: all, ids } = launchAs(user, program, args);
  const stdio = [stdin, "pipe", "pipe"] as const;
  const options = { cwd: folder, env: ENVIRONMENT, windowsHide: true, ...ids };
  return spawn(file, [...all], { ...options, stdio: [...stdio] });
}

/** Passes a program's output on to ours, which is the log, and keeps its last lines for an error. */
function tailOf({ stdout, stderr }: ChildProcess): () => string {
  let tail = "";
  for (const stream of [stdout, stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      process.stderr.write(chunk);
      tail = (tail + chunk.toString("utf8")).slice(-MAX_TAIL);
    });
  }
  return () => tail;
}

function failed(why: string, tail: string): CodedError {
  return new CodedError(
    "SANDBOX_START_FAILED",
    `The embedded Postgres could not be started: ${why}.${tail === "" ? "" : ` Its last lines:\n${tail.trim()}`}`,
  );
}
