import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { type CloseResult, Resources } from "../base/resources.ts";
import { type Changeover, createChangeover } from "../changeover.ts";
import { FileJournal } from "../disk/file-journal.ts";
import { FileLatchStore } from "../disk/file-latch-store.ts";
import { FileMismatchStore } from "../disk/mismatch-store.ts";
import { ContentLock } from "../files/content-lock.ts";
import type { FileManager } from "../files/file-manager.ts";
import { createFileService, type FileService } from "../files/file-service.ts";
import { LegacyFileManager, openLegacyFileManager } from "../files/legacy/legacy-file-manager.ts";
import { migrateFiles } from "../files/operations.ts";
import { createProvider } from "../files/providers/create-provider.ts";
import {
  glmBigmodelProfile,
  glmZaiProfile,
  kimiProfile,
  noneProfile,
  type ProviderProfile,
} from "../files/providers/profiles.ts";
import type { Provider } from "../files/providers/provider.ts";
import { createSteadyProvider } from "../files/providers/steady/create-steady-provider.ts";
import type { SteadyProvider } from "../files/providers/steady/steady-provider.ts";
import { openUploadRehearsal } from "../files/rehearsal/open-rehearsal.ts";
import type { UploadRehearsal } from "../files/rehearsal/upload-rehearsal.ts";
import { Spool } from "../files/spool.ts";
import {
  openStreamingFileManager,
  StreamingFileManager,
} from "../files/streaming/streaming-file-manager.ts";
import { fileFlags } from "../flags/file-flags.ts";
import { FaultSwitch } from "../rehearsal/faults.ts";
import { defaultBudget } from "../shadow/budget.ts";
import { type Backend, BackendProbe, noFileManager } from "./backend.ts";
import type { Config } from "./config.ts";
import type { Control } from "./control.ts";
import { Operator } from "./operator.ts";
import { readGuardPolicy } from "./policy-file.ts";
import { readOperatorToken, readOwners } from "./secrets.ts";
import type { Snapshot } from "./snapshot.ts";
import { takeSnapshot } from "./take-snapshot.ts";

export type { Backend } from "./backend.ts";

/** Can calls be served, and if not, why not? */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

/** The assembled product, without any door to the outside. */
export interface App {
  readonly config: Config;
  readonly logger: Logger;
  readonly files: FileService;
  readonly spool: Spool;
  readonly control: Control;
  /** Token of the control API; compare it in constant time and never log it. */
  readonly operatorToken: string;
  /** Bearer key to owner, or null when there is one owner (`local`) and any key will do. */
  readonly owners: ReadonlyMap<string, string> | null;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  snapshot(): Snapshot;
  readiness(): Readiness;
  /** Closes everything it opened, in reverse order, each within its time limit. Never rejects. */
  close(): Promise<readonly CloseResult[]>;
}

/** What an app is made of beside its configuration. */
export interface AppParts {
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Null for commands that touch flags and latches only: file calls are then refused. */
  readonly backend: Backend | null;
}

/**
 * The composition root: the only file that knows every part. Opens them in order and connects them.
 * Rejects with `CONFIG_…`, `FLAGS_…` or `GUARD_INVALID_POLICY`, and then leaves nothing open.
 */
export async function createApp(config: Config, parts: AppParts): Promise<App> {
  const resources = new Resources(parts.clock ?? systemClock);
  try {
    return await assemble(config, parts, resources);
  } catch (error) {
    await resources.close();
    throw error;
  }
}

async function assemble(config: Config, parts: AppParts, resources: Resources): Promise<App> {
  const { logger, backend, clock = systemClock } = parts;
  const startedMs = clock.now();
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const operatorToken = await readOperatorToken(config.dataDir, config.operatorToken);
  const owners = await readOwners(config.keysFile);
  const spool = await openSpool(config, clock, resources);
  const changeover = await openChangeover(config, parts);
  resources.add("changeover", () => changeover.close(), 2000);
  const faults = new FaultSwitch();
  const { profiles, legacy, candidate, steady, rehearsal } = openManagers(config, parts, resources);
  const { candidateDeadlineMs: deadlineMs } = config;
  const files = migrateFiles({
    migrate: (definition) =>
      changeover.migrate(
        faults.wrap(deadlineMs === null ? definition : { ...definition, deadlineMs }),
      ),
    legacy,
    candidate,
    rehearsal,
  });
  const probe = backend === null ? null : new BackendProbe(backend, logger);
  await probe?.start(clock);
  if (probe !== null) resources.add("probe", () => probe.close(), 500);
  return {
    config,
    logger,
    spool,
    operatorToken,
    owners,
    files: createFileService({ files, profiles, maxFileBytes: config.maxFileBytes }),
    control: new Operator({ changeover, faults, clock }),
    metrics: changeover.metrics,
    snapshot: () =>
      takeSnapshot({ changeover, faults, spool, providers: steady, clock, startedMs, config }),
    readiness: () => readinessOf(changeover, probe),
    close: () => resources.close(),
  };
}

async function openSpool(config: Config, clock: Clock, resources: Resources): Promise<Spool> {
  const spool = new Spool({
    dir: join(config.dataDir, "spool"),
    limitBytes: config.spoolBytes,
    // Longer than the gateway's own limit for a silent body, so that a client is told 408 and why.
    idleMs: 120_000,
    clock,
  });
  await spool.sweep();
  resources.add("spool", () => spool.close());
  return spool;
}

async function openChangeover(config: Config, parts: AppParts): Promise<Changeover> {
  const { logger, clock = systemClock } = parts;
  const folder = config.dataDir;
  const report = (part: string, error: unknown): void =>
    logger.error({ part, err: error }, "A store of the data folder failed");
  const { legacyMemoryBytes, candidateMemoryBytes, admissionWaitMs: waitMs } = config;
  return createChangeover({
    logger,
    clock,
    flags: fileFlags({
      folder: config.flagsDir,
      stateFolder: folder,
      staleMs: config.flagsStaleMs,
      clock,
      logger,
    }),
    journal: new FileJournal({ folder, clock }),
    latchStore: new FileLatchStore({ folder, clock, report }),
    mismatchStore: new FileMismatchStore({ folder, clock, report }),
    // What is kept for a rehearsal takes room in the spool, which callers need more.
    shadow: {
      heldBytesMax: Math.min(defaultBudget.heldBytesMax, Math.floor(config.spoolBytes / 8)),
    },
    guard: await readGuardPolicy(config.guardPolicyFile),
    limits: {
      waitMs,
      ...(legacyMemoryBytes === null ? {} : { legacyBytes: legacyMemoryBytes }),
      ...(candidateMemoryBytes === null ? {} : { candidateBytes: candidateMemoryBytes }),
    },
  });
}

interface Managers {
  readonly profiles: readonly ProviderProfile[];
  readonly legacy: FileManager;
  readonly candidate: FileManager;
  /** The candidate's providers. */
  readonly steady: readonly SteadyProvider[];
  /** Null without a backend. */
  readonly rehearsal: UploadRehearsal | null;
}

function openManagers(config: Config, parts: AppParts, resources: Resources): Managers {
  const { logger, backend, clock = systemClock } = parts;
  if (backend === null) {
    const none = noFileManager();
    const profiles = [noneProfile];
    return { profiles, legacy: none, candidate: none, steady: [], rehearsal: null };
  }
  const { supabase } = backend;
  const lock = new ContentLock();
  const common = { supabase, lock, clock, logger };
  const uploads = config.uploadConcurrency;
  const legacy = openLegacyFileManager({
    ...common,
    providers: bufferedProviders(backend, clock),
  });
  resources.add("legacy", () => legacy.close());
  const profiles = profilesOf(backend);
  const steady = steadyProviders(config, parts, profiles);
  const candidate = openStreamingFileManager({
    ...common,
    uploads,
    providers: steady,
    storage: { writeConnections: uploads * 2 },
    resumable: {
      folder: join(config.dataDir, "partial-uploads"),
      fromBytes: config.resumableFromBytes,
      connections: uploads,
    },
  });
  resources.add("streaming", () => candidate.close());
  for (const provider of steady) provider.watch();
  const rehearsal = openUploadRehearsal({
    ...{ supabase, clock, logger },
    legacy: (stage) => new LegacyFileManager(stage),
    candidate: (stage) => new StreamingFileManager(stage),
    providers: (["kimi", "glm"] as const).filter((name) => backend[name] !== null),
  });
  resources.add("rehearsal", () => rehearsal.close(), 2000);
  return { profiles, legacy, candidate, steady, rehearsal };
}

/** The legacy path calls providers as it always did: one attempt, no limits of ours. */
function bufferedProviders({ kimi, glm }: Backend, clock: Clock): Provider[] {
  const open = { transport: "buffered", clock } as const;
  return [
    ...(kimi === null ? [] : [createProvider({ name: "kimi", ...kimi, ...open })]),
    ...(glm === null ? [] : [createProvider({ name: "glm", ...glm, ...open })]),
  ];
}

function steadyProviders(
  config: Config,
  { backend, logger, clock = systemClock }: AppParts,
  profiles: readonly ProviderProfile[],
): SteadyProvider[] {
  const { uploadConcurrency, providerRequestsPerSecond, providerBytesPerSecond } = config;
  const limits = {
    uploads: uploadConcurrency,
    ...(providerRequestsPerSecond === null ? {} : { requestsPerSecond: providerRequestsPerSecond }),
  };
  return (["kimi", "glm"] as const).flatMap((name) => {
    const access = backend?.[name] ?? null;
    const profile = profiles.find(({ provider }) => provider === name);
    if (access === null || profile === undefined) return [];
    return createSteadyProvider({
      ...access,
      name,
      profile,
      limits,
      clock,
      logger,
      ...(providerBytesPerSecond === null ? {} : { bytesPerSecond: providerBytesPerSecond }),
    });
  });
}

/** GLM's two sites have different limits; the address says which one it is. */
export function profilesOf({ kimi, glm }: Backend): readonly ProviderProfile[] {
  const glmProfile = glm?.baseUrl.includes("bigmodel") ? glmBigmodelProfile : glmZaiProfile;
  return [
    noneProfile,
    ...(kimi === null ? [] : [kimiProfile]),
    ...(glm === null ? [] : [glmProfile]),
  ];
}

function readinessOf(changeover: Changeover, probe: BackendProbe | null): Readiness {
  const reasons: string[] = [];
  if (changeover.flags.freshness().state === "never") reasons.push("flags have not been loaded");
  if (probe === null) reasons.push("no backend is set up");
  else if (probe.problem !== null) reasons.push(probe.problem);
  return { ready: reasons.length === 0, reasons };
}
