import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import type { App } from "../app/app.ts";
import type { Backend } from "../app/backend.ts";
import type { Config } from "../app/config.ts";
import { configuredBackend } from "../app/configured-backend.ts";
import { operatorTokenFile } from "../app/secrets.ts";
import { CodedError } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { openBackend } from "./backend.ts";
import { type CommandContext, usage } from "./context.ts";
import type { FileDoor } from "./doors/file-door.ts";
import { gatewayFiles } from "./doors/gateway-files.ts";
import { localFiles } from "./doors/local-files.ts";
import { localOperator, type OperatorDoor, remoteOperator } from "./doors/operator-door.ts";
import { openDataFolder } from "./process/data-folder.ts";
import { withPackage } from "./process/optional-package.ts";
import { Remote } from "./remote.ts";
import { type RunRecord, runningOn } from "./run-file.ts";

/**
 * Runs a file command. With `--gateway` through that gateway; else in this process, on the backend of
 * the running `changeover start`, on the configured one, or on the embedded one, started for this
 * command only. Whatever was opened is closed again.
 */
export async function withFiles<T>(
  context: CommandContext,
  use: (files: FileDoor) => Promise<T>,
): Promise<T> {
  const { globals, output } = context;
  if (globals.gateway !== undefined) {
    output.note({ style: "faint", text: `Through the gateway at ${globals.gateway}.` });
    return using(gatewayFiles(await openRemote(context, globals.gateway, null)), use);
  }
  return withBackend(context, async (backend) => {
    const app = await openApp(context, backend);
    return using(await closeOnThrow(app, () => localFiles(app, globals.apiKey)), use);
  });
}

/**
 * Runs an operator's command: through the control API of `--gateway` or of the running `changeover
 * start`; directly on the data folder when nothing is running.
 */
export async function withOperator<T>(
  context: CommandContext,
  use: (operator: OperatorDoor) => Promise<T>,
): Promise<T> {
  const { globals } = context;
  const run = await liveRun(context);
  const origin = globals.gateway ?? run?.gateway;
  if (origin !== undefined && origin !== null) {
    const remote = await openRemote(context, origin, run);
    return using(remoteOperator(remote, `through the running process at ${origin}`), use);
  }
  if (run !== null) throw starting(run);
  const { dataDir } = context.config();
  await openDataFolder(dataDir);
  const app = await openApp(context, null);
  const way = `directly on ${dataDir}; nothing is running`;
  return using(localOperator(app, { way, effect: effectOf(context.config()) }), use);
}

/** When flags and rollouts that are written while nothing runs count. */
function effectOf({ dataDir, flagsFrom, unleashUrl, postgresUrl }: Config): string | null {
  // They were written to servers that every process reads.
  if (unleashUrl !== null) return null;
  const light = flagsFrom === "file" || (flagsFrom === null && postgresUrl !== null);
  return light
    ? `Nothing is running: this changed files in ${dataDir}, and takes effect with changeover start.`
    : `Nothing is running: this changed the light mode's files in ${dataDir} alone, and takes effect when you start with --flags file. The embedded Unleash of a plain changeover start does not read them.`;
}

/** A running product with both its doors: for callers, and for operators. */
export interface LiveProduct {
  readonly operator: OperatorDoor;
  /** Scheme, host and port of its gateway. */
  readonly origin: string;
  readonly operatorToken: string;
  readonly apiKey: string | undefined;
}

/**
 * Runs a command on a running product: that of `--gateway`, or the `changeover start` of the data folder.
 * Throws `CLI_NOT_RUNNING`, `CLI_STARTING` and `CLI_NO_OPERATOR_TOKEN`.
 */
export async function withLiveProduct<T>(
  context: CommandContext,
  use: (product: LiveProduct) => Promise<T>,
): Promise<T> {
  const { gateway, apiKey } = context.globals;
  const run = await liveRun(context);
  const origin = gateway ?? run?.gateway ?? null;
  if (origin === null) {
    if (run !== null) throw starting(run);
    throw new CodedError(
      "CLI_NOT_RUNNING",
      "Nothing is running. Start it first (changeover start), or name a gateway with --gateway.",
      { status: 404 },
    );
  }
  const remote = await openRemote(context, origin, run);
  const operator = remoteOperator(remote, `through the running process at ${origin}`);
  const operatorToken = remote.operatorToken();
  return using(operator, () => use({ operator, origin, operatorToken, apiKey }));
}

/** The running `changeover start` of the data folder, or null; not asked for with `--gateway`. */
async function liveRun(context: CommandContext): Promise<RunRecord | null> {
  return runningOn(context.config().dataDir);
}

/**
 * Runs a command on the backend itself: that of the running `changeover start`, the configured one, or
 * the embedded one, started for this command only. Throws `CLI_USAGE` with `--gateway`.
 */
export async function withBackendOnly<T>(
  context: CommandContext,
  use: (backend: Backend) => Promise<T>,
): Promise<T> {
  if (context.globals.gateway !== undefined) {
    throw usage("This command works on the backend itself and not through a gateway.");
  }
  return withBackend(context, use);
}

async function withBackend<T>(
  context: CommandContext,
  use: (backend: Backend) => Promise<T>,
): Promise<T> {
  const { output, clock } = context;
  const config = context.config();
  const run = await liveRun(context);
  if (run !== null) {
    if (run.backend === null) throw starting(run);
    output.note({
      style: "faint",
      text: `In this process, on the backend of the running changeover (process ${run.pid}).`,
    });
    return use(run.backend);
  }
  await openDataFolder(config.dataDir);
  const embedded = configuredBackend(config) === null;
  output.note({
    style: "faint",
    text: embedded
      ? `Nothing runs on ${config.dataDir}: starting the embedded backend for this command.`
      : "In this process, on the backend of SUPABASE_URL.",
  });
  const opened = await openBackend(config, { logger: silentLogger, clock, flags: "file" });
  try {
    return await use(opened.backend);
  } finally {
    await opened.close();
  }
}

/** The configuration of a command beside a running product: its own servers, and its flag files. */
export async function sharedConfig(context: CommandContext): Promise<Config> {
  const config = context.config();
  const run = await liveRun(context);
  const flagsDir = run?.flagsDir ?? config.flagsDir;
  return { ...config, ...run?.shared, flagsDir };
}

async function openApp(context: CommandContext, backend: Backend | null): Promise<App> {
  const { createApp } = await withPackage(
    "commands in this process",
    () => import("../app/app.ts"),
  );
  return createApp(await sharedConfig(context), {
    logger: silentLogger,
    clock: context.clock,
    backend,
  });
}

/** Closes an app when what is made of it throws. */
async function closeOnThrow<T>(app: App, make: () => T): Promise<T> {
  try {
    return make();
  } catch (error) {
    await app.close();
    throw error;
  }
}

async function openRemote(
  context: CommandContext,
  origin: string,
  known: RunRecord | null,
): Promise<Remote> {
  const { apiKey } = context.globals;
  const operatorToken = await tokenFor(context, origin, known);
  return Remote.open({ origin, apiKey, operatorToken });
}

/**
 * The configured token; or the data folder's own, which is only ever sent to the process that runs on
 * that folder or to another one of this machine.
 */
async function tokenFor(
  context: CommandContext,
  origin: string,
  known: RunRecord | null,
): Promise<string | null> {
  const { operatorToken, dataDir } = context.config();
  if (operatorToken !== null) return operatorToken;
  if (known?.gateway !== origin && !isThisMachine(origin)) return null;
  const text = await readFile(join(dataDir, operatorTokenFile), "utf8").catch(() => "");
  return text.trim() === "" ? null : text.trim();
}

function isThisMachine(origin: string): boolean {
  const host = new URL(origin).hostname.replace(/^\[|\]$/g, "");
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

async function using<D extends { close(): Promise<void> }, T>(
  door: D,
  use: (door: D) => Promise<T>,
): Promise<T> {
  try {
    return await use(door);
  } finally {
    await door.close();
  }
}

function starting(run: RunRecord): CodedError {
  return new CodedError(
    "CLI_STARTING",
    `changeover (process ${run.pid}) is still starting on ${run.dataDir}. Try again in a few seconds.`,
    { status: 503, retryable: true, retryAfterSeconds: 3 },
  );
}
