import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import type { App } from "../app/app.ts";
import type { Backend } from "../app/backend.ts";
import { operatorTokenFile } from "../app/secrets.ts";
import { CodedError } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { configuredBackend, openBackend } from "./backend.ts";
import type { CommandContext } from "./context.ts";
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
  return using(localOperator(app, `directly on ${dataDir}; nothing is running`), use);
}

/** The running `changeover start` of the data folder, or null; not asked for with `--gateway`. */
async function liveRun(context: CommandContext): Promise<RunRecord | null> {
  return runningOn(context.config().dataDir);
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
  const { backend, sandbox } = await openBackend(config, { logger: silentLogger, clock });
  try {
    return await use(backend);
  } finally {
    await sandbox?.close();
  }
}

async function openApp(context: CommandContext, backend: Backend | null): Promise<App> {
  const { createApp } = await withPackage(
    "commands in this process",
    () => import("../app/app.ts"),
  );
  return createApp(context.config(), { logger: silentLogger, clock: context.clock, backend });
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
