import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Clock, systemClock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import type { Unsubscribe } from "../base/event.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import { ChildLog } from "./child/child-log.ts";
import { BackendProcess, type ChildExit } from "./child/child-process.ts";
import { Children, type WatchedChild } from "./child/children.ts";
import type { StandInSettings, StandInsReady } from "./provider-stand-in.ts";
import { requirePackages } from "./required-packages.ts";
import type { SupabaseReady, SupabaseSettings } from "./supabase-backend.ts";

/** Where the sandbox's servers are, and the keys for them. All are on 127.0.0.1. */
export interface SandboxAddresses {
  readonly supabase: {
    readonly url: string;
    /** For the server: reads and writes everything. */
    readonly secretKey: string;
    /** For browsers: sees nothing here. */
    readonly publishableKey: string;
    /** The private bucket for file contents; it exists. */
    readonly bucket: string;
  };
  readonly kimi: { readonly baseUrl: string; readonly apiKey: string; readonly adminUrl: string };
  readonly glm: { readonly baseUrl: string; readonly apiKey: string; readonly adminUrl: string };
}

/** How the sandbox is started. */
export interface SandboxOptions {
  /** Everything the sandbox keeps is below this folder, which is created when missing. One sandbox at a time. */
  readonly dataDir: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Fixed ports on 127.0.0.1; default 0: any free ones. */
  readonly ports?: {
    readonly supabase?: number;
    readonly kimi?: number;
    readonly glm?: number;
  };
  /** Milliseconds until all servers must be ready. Default 30000. */
  readonly startTimeoutMs?: number;
  /** The largest object in bytes, for buckets without a limit of their own. Default 5 GiB. */
  readonly maxObjectBytes?: number;
  /** Milliseconds until an unfinished resumable upload is removed. Default 24 hours, as hosted. */
  readonly uploadExpiryMs?: number;
}

/** A running sandbox. It does not keep the process alive by itself. */
export interface Sandbox {
  readonly addresses: SandboxAddresses;
  /** The process ids of the children. */
  readonly pids: readonly number[];
  /** Calls `listener` when a child dies that nobody asked to stop; at once for one that already has. */
  onExit(listener: (exit: ChildExit) => void): Unsubscribe;
  /** Stops all children, within about a second. Calling it again waits for the first call. */
  close(): Promise<void>;
}

/** The private bucket that exists after the start. */
const BUCKET = "changeover-files";
const DEFAULT_START_TIMEOUT_MS = 30_000;
const DEFAULT_MAX_OBJECT_BYTES = 5 * 1024 ** 3;
const DEFAULT_UPLOAD_EXPIRY_MS = 24 * 3600 * 1000;

/** The children's programs are beside this file, as TypeScript in a clone and as JavaScript in the package. */
const EXTENSION = import.meta.url.endsWith(".ts") ? ".ts" : ".js";

/**
 * Starts the embedded backend: Supabase (the real `@supabase/lite` on SQLite) and loopback stand-ins
 * for the file APIs of Kimi and GLM, each in a child process that ends with this one, however this one
 * ends. What they print goes to `<dataDir>/logs`. Rejects with `SANDBOX_PACKAGE_MISSING`,
 * `SANDBOX_FOLDER_IN_USE`, `SANDBOX_PORT_UNAVAILABLE`, `SANDBOX_MIGRATION_FAILED`,
 * `SANDBOX_KEY_FILE_BROKEN`, or `SANDBOX_START_FAILED` with the child's last lines; nothing is left
 * running then.
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  requirePackages();
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const clock = options.clock ?? systemClock;
  const startedMs = clock.monotonicMs();
  const starts = await Promise.allSettled([
    startSupabase(options, clock),
    startStandIns(options, clock),
  ]);
  const [supabase, standIns] = starts;
  if (supabase.status === "rejected" || standIns.status === "rejected") {
    const started = starts.filter((start) => start.status === "fulfilled");
    await Promise.all(started.map((start) => start.value.process.stop()));
    const failed = starts.find((start) => start.status === "rejected");
    throw failed?.reason;
  }
  const addresses = { supabase: supabase.value.ready, ...standIns.value.ready };
  const children = [supabase.value.process, standIns.value.process];
  const sandbox = new RunningSandbox(addresses, children, options.logger ?? silentLogger);
  const ms = Math.round(clock.monotonicMs() - startedMs);
  (options.logger ?? silentLogger).info({ ms, pids: sandbox.pids }, "The sandbox is running.");
  return sandbox;
}

type Child = WatchedChild & { stop(): Promise<void> };

class RunningSandbox implements Sandbox {
  readonly addresses: SandboxAddresses;
  readonly #stops: readonly Child[];
  readonly #children: Children;
  #closing: Promise<void> | undefined;

  constructor(addresses: SandboxAddresses, children: readonly Child[], logger: Logger) {
    this.addresses = addresses;
    this.#stops = children;
    this.#children = new Children(children, logger);
  }

  get pids(): readonly number[] {
    return this.#children.pids;
  }

  onExit(listener: (exit: ChildExit) => void): Unsubscribe {
    return this.#children.onExit(listener);
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all(this.#stops.map((child) => child.stop())).then(() => undefined);
    return this.#closing;
  }
}

function startSupabase(
  options: SandboxOptions,
  clock: Clock,
): Promise<Started<SupabaseSettings, SupabaseReady>> {
  const settings: SupabaseSettings = {
    folder: join(options.dataDir, "supabase"),
    migrationsFolder: fileURLToPath(new URL("../../supabase/migrations/", import.meta.url)),
    port: options.ports?.supabase ?? 0,
    bucket: BUCKET,
    maxObjectBytes: checkSize(options.maxObjectBytes ?? DEFAULT_MAX_OBJECT_BYTES),
    uploadExpiryMs: options.uploadExpiryMs ?? DEFAULT_UPLOAD_EXPIRY_MS,
  };
  return startChild("supabase", "supabase-backend", settings, options, clock);
}

function startStandIns(
  options: SandboxOptions,
  clock: Clock,
): Promise<Started<StandInSettings, StandInsReady>> {
  const settings: StandInSettings = {
    folder: join(options.dataDir, "providers"),
    ports: { kimi: options.ports?.kimi ?? 0, glm: options.ports?.glm ?? 0 },
  };
  return startChild("providers", "provider-stand-in", settings, options, clock);
}

interface Started<Settings, Ready> {
  readonly process: BackendProcess<Settings, Ready>;
  readonly ready: Ready;
}

function startChild<Settings, Ready>(
  name: string,
  program: string,
  settings: Settings,
  options: SandboxOptions,
  clock: Clock,
): Promise<Started<Settings, Ready>> {
  return BackendProcess.start<Settings, Ready>({
    name,
    program: new URL(`./${program}${EXTENSION}`, import.meta.url),
    settings,
    log: new ChildLog({ file: join(options.dataDir, "logs", `${name}.log`) }),
    clock,
    startTimeoutMs: options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS,
  });
}

function checkSize(bytes: number): number {
  if (Number.isSafeInteger(bytes) && bytes >= 1) return bytes;
  throw new CodedError(
    "SANDBOX_OPTION_INVALID",
    `maxObjectBytes is a whole number of at least 1, not ${bytes}.`,
  );
}
