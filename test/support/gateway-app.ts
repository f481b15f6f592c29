import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { App, Readiness } from "../../src/app/app.ts";
import { readConfig } from "../../src/app/config.ts";
import type { Control, ControlReport, MismatchEntry } from "../../src/app/control.ts";
import type { Snapshot } from "../../src/app/snapshot.ts";
import { systemClock } from "../../src/base/clock.ts";
import type { LogFields, Logger } from "../../src/base/logger.ts";
import { createFileService } from "../../src/files/file-service.ts";
import { migrateFiles } from "../../src/files/operations.ts";
import { noThroughput } from "../../src/files/providers/health/throughput.ts";
import {
  glmBigmodelProfile,
  kimiProfile,
  noneProfile,
  type ProviderProfile,
} from "../../src/files/providers/profiles.ts";
import { noProvider } from "../../src/files/selection/no-provider.ts";
import type { Selected } from "../../src/files/selection/provider-selector.ts";
import { type SelectionRequest, selectProvider } from "../../src/files/selection/selection.ts";
import { Spool } from "../../src/files/spool.ts";
import { type StaticFlag, staticFlags } from "../../src/flags/static-flags.ts";
import type { Facade } from "../../src/migration/facade.ts";
import type { FlagState } from "../../src/migration/flags.ts";
import { MemoryJournal } from "../../src/migration/journal.ts";
import { FaultSwitch } from "../../src/rehearsal/faults.ts";
import { idleStatus } from "../../src/rollout/controller/describe-status.ts";
import { defaultPlan } from "../../src/rollout/plan/plan.ts";
import { createGateway, type Gateway, type GatewayOptions } from "../../src/server/gateway.ts";
import { MismatchCases } from "../../src/shadow/cases/mismatch-cases.ts";
import { MismatchLog } from "../../src/shadow/mismatch-log.ts";
import { makeFacade } from "./facade.ts";
import { MemoryFileManager, MemoryStore } from "./memory-files.ts";

/** What a test may say about the app behind its gateway. */
export interface GatewayAppOptions {
  readonly owners?: Readonly<Record<string, string>> | null;
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, StaticFlag>>;
  readonly maxFileBytes?: number;
  readonly spoolBytes?: number;
  readonly gateway?: GatewayOptions;
  /** What `readiness` says. */
  readonly reasons?: readonly string[];
  /** What a rollback reports as its one step. */
  readonly rollbackStep?: "done" | "failed";
}

/** A line that was logged. */
export interface LogLine {
  readonly level: keyof Logger;
  readonly fields: LogFields;
  readonly message: string;
}

/** An app of memory files and everything a test wants to look at. */
export interface AppParts {
  readonly app: App;
  readonly store: MemoryStore;
  readonly legacy: MemoryFileManager;
  readonly candidate: MemoryFileManager;
  readonly log: readonly LogLine[];
  readonly commands: readonly unknown[];
  /** Files staged on disk at the moment. */
  spooled(): Promise<readonly string[]>;
}

/** The same behind a gateway that listens. */
export interface TestGateway extends AppParts {
  readonly url: string;
  readonly port: number;
  readonly gateway: Gateway;
  close(): Promise<void>;
}

export const operatorToken = "operator-token-of-the-tests";

/** Starts a gateway on a free port of 127.0.0.1. */
export async function startGateway(options: GatewayAppOptions = {}): Promise<TestGateway> {
  const parts = await makeApp(options);
  const gateway = createGateway(parts.app, options.gateway);
  const { url, port } = await gateway.listen();
  return {
    ...parts,
    url,
    port,
    gateway,
    close: async () => {
      await gateway.close(0);
      await parts.app.close();
    },
  };
}

/** The app alone, with what a test looks at. */
export async function makeApp(options: GatewayAppOptions = {}): Promise<AppParts> {
  const { owners = null, environment = {}, flags = {}, reasons = [] } = options;
  const dir = await mkdtemp(join(tmpdir(), "changeover-gateway-"));
  const log: LogLine[] = [];
  const store = new MemoryStore();
  const legacy = new MemoryFileManager(store);
  const candidate = new MemoryFileManager(store);
  const spool = new Spool({ dir, limitBytes: options.spoolBytes ?? 64 * 1024 * 1024 });
  const { maxFileBytes = 32 * 1024 * 1024 } = options;
  const config = {
    ...readConfig({
      CHANGEOVER_PORT: "0",
      CHANGEOVER_DATA_DIR: dir,
      CHANGEOVER_MAX_FILE_BYTES: String(maxFileBytes),
      ...environment,
    }),
  };
  const source = staticFlags(flags);
  const { facade } = makeFacade({}, { flags: source });
  const migrated = migrateFiles({
    migrate: (definition) => facade.migrate(definition),
    legacy,
    candidate,
  });
  const profiles = [noneProfile, kimiProfile, glmBigmodelProfile];
  const commands: unknown[] = [];
  const readiness: Readiness = { ready: reasons.length === 0, reasons };
  const app: App = {
    config,
    logger: collectingLogger(log),
    files: createFileService({
      files: migrated,
      profiles,
      maxFileBytes,
      blockedTypes: config.blockedTypes ?? [],
      selector: { choose: async (request) => chosenAmong(request, profiles) },
      logger: collectingLogger(log),
    }),
    spool,
    control: makeControl({ facade, source, commands, step: options.rollbackStep ?? "done" }),
    operatorToken,
    owners: owners === null ? null : new Map(Object.entries(owners)),
    metrics: {
      contentType: "text/plain; version=0.0.4; charset=utf-8",
      text: () => Promise.resolve("changeover_calls_total 1\n"),
      exposition: async () => ({
        contentType: "text/plain; version=0.0.4; charset=utf-8",
        text: "changeover_calls_total 1\n",
      }),
    },
    history: { points: () => [] },
    snapshot: () => ({ version: "0.1.0", pid: process.pid }) as Snapshot,
    readiness: () => readiness,
    close: async () => {
      await spool.close();
      await rm(dir, { recursive: true, force: true });
      return [];
    },
  };
  const spooled = async (): Promise<readonly string[]> => {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    // The spool's own lock lies beside what is staged, whose names are UUIDs.
    return names.filter((name) => /^[0-9a-f-]{36}$/.test(name));
  };
  return { app, store, legacy, candidate, log, commands, spooled };
}

/** Every provider is well and has room. */
function chosenAmong(request: SelectionRequest, profiles: readonly ProviderProfile[]): Selected {
  const well = { health: "up", healthReason: "", quota: null, throughput: noThroughput } as const;
  const selection = selectProvider(
    request,
    profiles.map((profile) => ({ profile, ...well })),
  );
  const { choice } = selection;
  if (choice === null) throw noProvider(["nobody takes it"], { mayChange: false });
  return { ...selection, choice };
}

function collectingLogger(log: LogLine[]): Logger {
  const at =
    (level: keyof Logger) =>
    (fields: LogFields, message: string): void => {
      log.push({ level, fields, message });
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

interface ControlParts {
  readonly facade: Facade;
  readonly source: ReturnType<typeof staticFlags>;
  readonly commands: unknown[];
  readonly step: "done" | "failed";
}

/** A control on real flags, faults and journal; a rollback is one step whose result the test chose. */
function makeControl({ facade, source, commands, step }: ControlParts): Control {
  const faults = new FaultSwitch();
  const journal = new MemoryJournal();
  const full = (name: string): string => facade.operation(`files.${name}`).name;
  const cases = new MismatchCases(new MismatchLog(), (name) => facade.operation(name), systemClock);
  const report = (operation: string): ControlReport => ({
    operation,
    complete: step === "done",
    steps: [{ name: "switch the flag off", result: step, ms: 1, detail: null }],
    flag: source.state(operation),
  });
  return {
    setFlag: async (name, values, change): Promise<FlagState> => {
      commands.push({ command: "set", name, values, change });
      const { control } = source;
      if (control === null) throw new Error("These flags cannot be changed.");
      if (values.shadow !== undefined) await control.setShadow(full(name), values.shadow, change);
      if (values.percentage !== undefined) {
        await control.setPercentage(full(name), values.percentage, change);
      }
      return control.read(full(name));
    },
    rollouts: () => [],
    commandRollout: async (name, command, change, dryRun = false) => {
      commands.push({ command: `rollout ${command}`, name, change, dryRun });
      const operation = full(name);
      const status = idleStatus(operation, defaultPlan.of(operation, "read"), 0);
      return { operation, command, done: !dryRun, sentence: "As told.", flag: null, status };
    },
    rollBack: async (name, change) => {
      commands.push({ command: "rollback", name, change });
      return report(full(name));
    },
    rollBackAll: async (change) => {
      commands.push({ command: "rollback-all", change });
      return facade.operations.map(({ name }) => report(name));
    },
    rearm: async (name, change) => {
      commands.push({ command: "rearm", name, change });
      return report(full(name));
    },
    setFault: async (path, fault) => faults.set(path, fault),
    mismatches: (): readonly MismatchEntry[] => cases.list(),
    mismatch: (id) => cases.show(id),
    replayMismatch: (id) => cases.replay(id),
    exportMismatch: (id, options) => cases.exportVitest(id, options),
    explain: (name, key) => {
      const { decision, input } = facade.explain(full(name), key);
      const bucket = source.bucket?.(full(name), key) ?? null;
      const verdict = {
        rule: "overall",
        verdict: "inconclusive",
        observed: null,
        limit: null,
        samples: 0,
        sentence: "The candidate has not had a call yet.",
      } as const;
      const told = { bucket, flag: source.state(full(name)), latch: null, verdict };
      return { operation: full(name), key, ...decision, ...told, input };
    },
    journal: (query) => journal.read(query),
  };
}
