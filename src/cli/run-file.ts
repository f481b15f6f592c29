import { readFileSync, rmSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Backend } from "../app/backend.ts";
import type { Config } from "../app/config.ts";
import { replaceFile, withFileLock } from "../base/atomic-file.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError, codeOf } from "../base/errors.ts";
import { identify, isRunning, type ProcessIdentity } from "./process/process-identity.ts";

/** What a running `changeover start` tells other commands. Holds the backend's keys: mode 0600. */
export interface RunRecord extends ProcessIdentity {
  readonly version: 1;
  readonly dataDir: string;
  /** ISO 8601. */
  readonly since: string;
  /** The gateway's address, or null while it is starting. */
  readonly gateway: string | null;
  /** What file commands connect to, or null while it is starting. */
  readonly backend: Backend | null;
  /** The embedded Postgres and Unleash, for commands beside it; null: there are none. */
  readonly shared: SharedAddresses | null;
  /** Its folder of flag files, for commands in other folders; null while it is starting. */
  readonly flagsDir: string | null;
  /** The embedded backend's processes, which end with the main one. */
  readonly children: readonly ProcessIdentity[];
}

/** Settings that lead a command to the servers of the running product. */
export type SharedAddresses = Pick<
  Config,
  | "postgresUrl"
  | "unleashUrl"
  | "unleashToken"
  | "unleashAdminToken"
  | "unleashEnvironment"
  | "unleashProject"
>;

const identity = { pid: v.number(), startedAs: v.nullable(v.string()) };
const provider = v.nullable(v.object({ baseUrl: v.string(), apiKey: v.string() }));
const schema: v.GenericSchema<unknown, RunRecord> = v.object({
  ...identity,
  version: v.literal(1),
  dataDir: v.string(),
  since: v.string(),
  gateway: v.nullable(v.string()),
  backend: v.nullable(
    v.object({
      supabase: v.object({ url: v.string(), secretKey: v.string(), bucket: v.string() }),
      kimi: provider,
      glm: provider,
    }),
  ),
  // Left out by an earlier version.
  shared: v.optional(
    v.nullable(
      v.object({
        postgresUrl: v.nullable(v.string()),
        unleashUrl: v.nullable(v.string()),
        unleashToken: v.nullable(v.string()),
        unleashAdminToken: v.nullable(v.string()),
        unleashEnvironment: v.string(),
        unleashProject: v.string(),
      }),
    ),
    null,
  ),
  flagsDir: v.optional(v.nullable(v.string()), null),
  children: v.array(v.object(identity)),
});

const pathIn = (dataDir: string): string => join(dataDir, "run.json");

/** The record of the process that runs on this data folder now, or null when none does. */
export async function runningOn(dataDir: string): Promise<RunRecord | null> {
  const record = await readRecord(dataDir);
  return record !== null && (await isRunning(record)) ? record : null;
}

/** What a claim found and cleared away; null when there was nothing. */
export interface Cleared {
  readonly pid: number | null;
  /** Processes of the embedded backend that had outlived it and were ended. */
  readonly children: number;
}

/** The claim of this process on a data folder. */
export class RunFile {
  /** What an earlier process had left behind, for example after `kill -9`. */
  readonly cleared: Cleared | null;
  readonly #path: string;
  #record: RunRecord;

  private constructor(path: string, record: RunRecord, cleared: Cleared | null) {
    this.#path = path;
    this.#record = record;
    this.cleared = cleared;
  }

  /**
   * Claims the folder for this process: one at a time. Clears what a process left that is gone.
   * Throws `CLI_ALREADY_RUNNING` when one is alive.
   */
  static async claim(dataDir: string, clock: Clock): Promise<RunFile> {
    const path = pathIn(dataDir);
    const self = (await identify(process.pid)) ?? { pid: process.pid, startedAs: null };
    return withFileLock(path, clock, async () => {
      const text = await readText(path);
      const before = text === null ? null : parseRecord(text);
      if (before !== null && (await isRunning(before))) throw alreadyRunning(before);
      const cleared = text === null ? null : await clearAway(before, clock);
      const since = new Date(clock.now()).toISOString();
      const empty = { gateway: null, backend: null, shared: null, flagsDir: null, children: [] };
      const record: RunRecord = { version: 1, ...self, dataDir, since, ...empty };
      await replaceFile(path, print(record));
      return new RunFile(path, record, cleared);
    });
  }

  /** Tells other commands where things are. Throws what the disk throws. */
  async announce(
    facts: Partial<Pick<RunRecord, "gateway" | "backend" | "shared" | "flagsDir">> & {
      readonly pids?: readonly number[];
    },
  ): Promise<void> {
    const { pids, ...known } = facts;
    const found = pids === undefined ? null : await Promise.all(pids.map(identify));
    const children = found?.filter((each) => each !== null) ?? this.#record.children;
    this.#record = { ...this.#record, ...known, children };
    await replaceFile(this.#path, print(this.#record));
  }

  /** The same at once, for a process that is ending now. Never throws. */
  releaseNow(): void {
    try {
      const now = parseRecord(readFileSync(this.#path, "utf8"));
      if (now !== null && this.#isOwn(now)) rmSync(this.#path, { force: true });
    } catch {
      // There is no file any more.
    }
  }

  /** Removes the file, if it is still this process's own. */
  async release(): Promise<void> {
    const text = await readText(this.#path);
    const now = text === null ? null : parseRecord(text);
    if (now !== null && this.#isOwn(now)) await rm(this.#path, { force: true });
  }

  #isOwn(record: RunRecord): boolean {
    return record.pid === this.#record.pid && record.startedAs === this.#record.startedAs;
  }
}

async function readRecord(dataDir: string): Promise<RunRecord | null> {
  const text = await readText(pathIn(dataDir));
  return text === null ? null : parseRecord(text);
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw new CodedError(
      "CLI_DATA_FOLDER",
      `${path} cannot be read (${code ?? "unknown error"}). Run the command as the user who ran "changeover start", or name another folder with --data-dir.`,
      { status: 400, cause: error },
    );
  }
}

/** Null for a file that is damaged: no live process writes one. */
function parseRecord(text: string): RunRecord | null {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch {
    return null;
  }
}

function print(record: RunRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** Ends processes of the embedded backend that outlived their parent; they normally end with it. */
async function clearAway(record: RunRecord | null, clock: Clock): Promise<Cleared> {
  let ended = 0;
  for (const child of record?.children ?? []) {
    if (child.startedAs === null || !(await endsBySelf(child, clock))) continue;
    process.kill(child.pid, "SIGKILL");
    ended += 1;
  }
  return { pid: record?.pid ?? null, children: ended };
}

/** Gives a child two seconds to notice that its parent is gone; true when it has not. */
async function endsBySelf(child: ProcessIdentity, clock: Clock): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < 2000; waitedMs += 100) {
    if (!(await isRunning(child))) return false;
    await new Promise<void>((resolve) => clock.after(100, resolve));
  }
  return isRunning(child);
}

function alreadyRunning(record: RunRecord): CodedError {
  const where = record.gateway === null ? "and is still starting" : `at ${record.gateway}`;
  return new CodedError(
    "CLI_ALREADY_RUNNING",
    `changeover already runs on the data folder ${record.dataDir}: process ${record.pid} ${where}. Stop it (kill ${record.pid}), or use another folder with --data-dir.`,
    { status: 409, details: { pid: record.pid, gateway: record.gateway } },
  );
}
