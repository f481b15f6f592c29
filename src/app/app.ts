import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { type CloseResult, Resources } from "../base/resources.ts";
import { type Changeover, createChangeover, type PolicyInput } from "../changeover.ts";
import { FileLatchStore } from "../disk/file-latch-store.ts";
import { FileMismatchStore } from "../disk/mismatch-store.ts";
import { createFileService, type FileService, type MigratedFiles } from "../files/file-service.ts";
import { migrateFiles } from "../files/operations.ts";
import { ProviderSelector } from "../files/selection/provider-selector.ts";
import { Spool } from "../files/spool.ts";
import type { MetricsDoor } from "../metrics/recorder.ts";
import { FaultSwitch } from "../rehearsal/faults.ts";
import type { RolloutController } from "../rollout/controller/controller.ts";
import { defaultBudget } from "../shadow/budget.ts";
import { type Backend, BackendProbe } from "./backend.ts";
import type { Config } from "./config.ts";
import type { Control } from "./control.ts";
import { type FileManagers, openFileManagers } from "./files/file-managers.ts";
import { addFilesMetrics } from "./files-metrics.ts";
import { openShared, type SharedParts } from "./fleet/open-shared.ts";
import { configuredServers, type SharedServers } from "./fleet/shared-servers.ts";
import { History } from "./history.ts";
import { NoticingJournal } from "./notices/noticing-journal.ts";
import { Webhook } from "./notices/webhook.ts";
import { Operator } from "./operator.ts";
import { readGuardPolicy } from "./policy-file.ts";
import { openRollout, type RolloutParts } from "./rollout/open-rollout.ts";
import { readOperatorToken, readOwners } from "./secrets.ts";
import type { Snapshot } from "./snapshot.ts";
import { takeSnapshot } from "./take-snapshot.ts";
import { recordObservations } from "./upkeep/observation-record.ts";

export type { Backend } from "./backend.ts";

/** Can calls be served, and what is amiss? */
export interface Readiness {
  readonly ready: boolean;
  /** Why not; and what is not as it should be although calls are served. */
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
  readonly metrics: Pick<MetricsDoor, "contentType" | "text" | "exposition">;
  /** Rates and latencies of the last minutes. */
  readonly history: Pick<History, "points">;
  snapshot(): Snapshot;
  readiness(): Readiness;
  /** Closes everything it opened, in reverse order, each within its time limit. Never rejects. */
  close(): Promise<readonly CloseResult[]>;
}

/** What an app is made of beside its configuration. */
export interface AppParts extends RolloutParts {
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Null for commands that touch flags and latches only: file calls are then refused. */
  readonly backend: Backend | null;
  /** Servers that several processes share; the configured ones when left out. */
  readonly shared?: SharedServers;
}

/**
 * The composition root: the only file that knows every part. Opens them in order and connects them.
 * Rejects with `CONFIG_…`, `FLAGS_…`, `GUARD_INVALID_POLICY` or `ROLLOUT_INVALID_PLAN`, and then leaves nothing open.
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
  const policy = await readGuardPolicy(config.guardPolicyFile);
  const webhook = openWebhook(config, parts);
  const servers = parts.shared ?? configuredServers(config);
  const shared = await openShared(servers, { config, clock, logger, resources });
  if (webhook !== null) resources.add("notices", () => webhook.close(), 2500);
  const changeover = await openChangeover(config, parts, { policy, webhook, shared });
  resources.add("changeover", () => changeover.close(), 2000);
  const { recordFile: file } = config;
  if (file !== null) {
    resources.add("record", recordObservations({ file, changeover, clock, logger }));
  }
  const faults = new FaultSwitch();
  const managers = openFileManagers({ config, backend, logger, clock, resources });
  const { legacy, candidate, steady, rehearsal } = managers;
  addFilesMetrics(changeover.metrics, {
    providers: steady,
    spool,
    spoolLimitBytes: config.spoolBytes,
    uploads: managers.uploads,
    candidate: managers.streaming,
  });
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
  const { operations, metrics } = changeover;
  const history = new History({
    operations: () => operations,
    totals: (name) => metrics.totals(name),
    clock,
  });
  resources.add("history", () => history.close());
  const rollout = await runRollouts(config, parts, { changeover, policy, shared });
  // A step under way may wait for the flag system and for the store.
  resources.add("rollout", () => rollout.close(), 5000);
  const probe = backend === null ? null : new BackendProbe(backend, logger);
  await probe?.start(clock);
  if (probe !== null) resources.add("probe", () => probe.close(), 500);
  return {
    config,
    logger,
    spool,
    operatorToken,
    owners,
    files: openFiles(config, parts, files, managers),
    control: new Operator({ changeover, rollout, faults, clock }),
    metrics: changeover.metrics,
    history,
    snapshot: () =>
      takeSnapshot({
        changeover,
        history,
        rollout,
        faults,
        spool,
        providers: steady,
        clock,
        startedMs,
        config,
        notices: webhook?.counts ?? null,
      }),
    readiness: () => readinessOf(changeover, probe),
    close: () => resources.close(),
  };
}

interface RolloutSubject {
  readonly changeover: Changeover;
  readonly policy: PolicyInput;
  readonly shared: SharedParts;
}

async function runRollouts(
  config: Config,
  parts: AppParts,
  { changeover, policy, shared }: RolloutSubject,
): Promise<RolloutController> {
  const { logger, backend, clock = systemClock } = parts;
  const common = { config, changeover, policy, clock, logger };
  const rollout = await openRollout({ ...shared, ...parts, ...common, mayLead: backend !== null });
  const { fleet } = shared;
  changeover.metrics.readFrom({
    rollout: () => changeover.operations.map(({ name }) => rollout.status(name)),
    fleet: () =>
      fleet === undefined ? null : { connected: fleet.connected, instances: rollout.instances },
  });
  // A process for one command looks once, so that its snapshot tells how things stand.
  if (backend === null) await rollout.tick();
  else rollout.start();
  return rollout;
}

function openFiles(
  { maxFileBytes, blockedTypes }: Config,
  { logger, clock = systemClock }: AppParts,
  files: MigratedFiles,
  { profiles, steady }: Pick<FileManagers, "profiles" | "steady">,
): FileService {
  const selector = new ProviderSelector({ profiles, providers: steady, clock });
  const limits = { maxFileBytes, blockedTypes: blockedTypes ?? [] };
  return createFileService({ files, profiles, ...limits, selector, logger });
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

function openWebhook(config: Config, { logger, clock = systemClock }: AppParts): Webhook | null {
  const { webhookUrl: url, webhookSecret: secret, webhookFormat: format } = config;
  return url === null ? null : new Webhook({ url, secret, format, logger, clock });
}

interface ChangeoverParts {
  readonly policy: PolicyInput;
  readonly webhook: Webhook | null;
  readonly shared: SharedParts;
}

async function openChangeover(
  config: Config,
  parts: AppParts,
  { policy, webhook, shared }: ChangeoverParts,
): Promise<Changeover> {
  const { logger, clock = systemClock } = parts;
  const { flags, journal, fleet } = shared;
  const folder = config.dataDir;
  const report = (part: string, error: unknown): void =>
    logger.error({ part, err: error }, "A store of the data folder failed");
  const { legacyMemoryBytes, candidateMemoryBytes, admissionWaitMs: waitMs } = config;
  return createChangeover({
    logger,
    clock,
    flags,
    // Printed only for a scraper that asks for OpenMetrics.
    metrics: { exemplars: true },
    journal:
      webhook === null ? journal : new NoticingJournal(journal, (each) => webhook.send(each)),
    latchStore: new FileLatchStore({ folder, clock, report }),
    mismatchStore: new FileMismatchStore({ folder, clock, report }),
    // What is kept for a rehearsal takes room in the spool, which callers need more.
    shadow: {
      heldBytesMax: Math.min(defaultBudget.heldBytesMax, Math.floor(config.spoolBytes / 8)),
    },
    guard: policy,
    ...(fleet === undefined ? {} : { fleet }),
    limits: {
      waitMs,
      ...(legacyMemoryBytes === null ? {} : { legacyBytes: legacyMemoryBytes }),
      ...(candidateMemoryBytes === null ? {} : { candidateBytes: candidateMemoryBytes }),
    },
  });
}

function readinessOf(changeover: Changeover, probe: BackendProbe | null): Readiness {
  const problem = probe === null ? "no backend is set up" : probe.problem;
  const reasons = problem === null ? [] : [problem];
  // Legacy serves every call until then, so there is no reason to send calls elsewhere.
  if (changeover.flags.freshness().state === "never") {
    reasons.push("flags have not been loaded: every call runs on legacy");
  }
  return { ready: problem === null, reasons };
}
