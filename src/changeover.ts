import { createRequire } from "node:module";
import { type Clock, systemClock } from "./base/clock.ts";
import type { TypedEvent } from "./base/event.ts";
import { type Logger, silentLogger } from "./base/logger.ts";
import { type Random, systemRandom } from "./base/random.ts";
import { Resources } from "./base/resources.ts";
import { staticFlags } from "./flags/static-flags.ts";
import { FleetMember } from "./guard/fleet/fleet-member.ts";
import { describeInstance } from "./guard/fleet/instance-description.ts";
import { type Latches, LatchKeeper, readLatches } from "./guard/fleet/latch-keeper.ts";
import { Rollbacks } from "./guard/fleet/rollbacks.ts";
import type { OperationTotals } from "./guard/fleet/running-totals.ts";
import { type Breach, Guard } from "./guard/guard.ts";
import type { WindowSnapshot } from "./guard/outcome-counts.ts";
import { type PolicyInput, parsePolicy } from "./guard/policy.ts";
import type { RollbackReport } from "./guard/rollback.ts";
import type { Verdict } from "./guard/verdict.ts";
import { ProcessReadings } from "./metrics/process-readings.ts";
import {
  type MetricsDoor,
  MetricsRecorder,
  type MetricsRecorderOptions,
} from "./metrics/recorder.ts";
import { type AdmissionLimits, pathBudgets } from "./migration/admission/path-budgets.ts";
import { runInScope } from "./migration/call.ts";
import type { Decision, DecisionInput } from "./migration/decision.ts";
import { Facade } from "./migration/facade.ts";
import type { FlagSource } from "./migration/flags.ts";
import type { Fleet } from "./migration/fleet.ts";
import { type Actor, type Journal, MemoryJournal } from "./migration/journal.ts";
import { type LatchStore, MemoryLatchStore } from "./migration/latch.ts";
import type { Observation } from "./migration/observation.ts";
import type {
  AnyOperation,
  MigratedFunction,
  OperationDeclaration,
} from "./migration/operation.ts";
import type { ShadowBudget } from "./shadow/budget.ts";
import type { MismatchCase } from "./shadow/cases/mismatch-case.ts";
import { MismatchCases } from "./shadow/cases/mismatch-cases.ts";
import { LoopPressure } from "./shadow/loop-pressure.ts";
import { type CaseStore, MismatchLog } from "./shadow/mismatch-log.ts";
import type { NoiseField, NoiseLimits } from "./shadow/noise.ts";
import { RehearsalSweep } from "./shadow/rehearsal-sweep.ts";
import { Shadow } from "./shadow/shadow.ts";

export type { Clock } from "./base/clock.ts";
export { CodedError, isCodedError } from "./base/errors.ts";
export type { Logger } from "./base/logger.ts";
export { FileJournal } from "./disk/file-journal.ts";
export { FileLatchStore } from "./disk/file-latch-store.ts";
export { FileMismatchStore } from "./disk/mismatch-store.ts";
export { type FileFlagsOptions, fileFlags } from "./flags/file-flags.ts";
export { type StaticFlag, staticFlags } from "./flags/static-flags.ts";
export { defaultPolicy, type Policy, type PolicyInput, parsePolicy } from "./guard/policy.ts";
export type { RollbackReport } from "./guard/rollback.ts";
export type { Verdict } from "./guard/verdict.ts";
export type { AdmissionLimits } from "./migration/admission/path-budgets.ts";
export type { Answered, Call, CallOptions, Path } from "./migration/call.ts";
export type { Decision, DecisionReason } from "./migration/decision.ts";
export type { FlagControl, FlagSource, FlagState } from "./migration/flags.ts";
export type { Fleet, InstanceStatus, Quorum } from "./migration/fleet.ts";
export type { Actor, Journal, JournalEntry, JournalQuery } from "./migration/journal.ts";
export type { LatchRecord, LatchStore } from "./migration/latch.ts";
export type { Observation } from "./migration/observation.ts";
export type {
  Cost,
  MigratedFunction,
  OperationDeclaration,
  OperationDefinition,
} from "./migration/operation.ts";
export type { Outcome } from "./migration/outcome.ts";
export type { ShadowBudget } from "./shadow/budget.ts";
export type { Mismatch, MismatchCase } from "./shadow/cases/mismatch-case.ts";
export type { MismatchCases } from "./shadow/cases/mismatch-cases.ts";
export { type Replay, replayInput } from "./shadow/cases/replay.ts";
export type { VitestOptions } from "./shadow/cases/vitest-file.ts";
export type { CaseStore } from "./shadow/mismatch-log.ts";
export type { NoiseField, NoiseLimits } from "./shadow/noise.ts";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** The version of this package. */
export const changeoverVersion: string = version;

/** Everything has a safe default: legacy for everyone, guard on, shadow off, journal in memory. */
export interface ChangeoverOptions {
  readonly flags?: FlagSource;
  /** Fields of the guard's policy that differ from the default. */
  readonly guard?: PolicyInput;
  readonly journal?: Journal;
  readonly latchStore?: LatchStore;
  /** The other instances of a fleet; closed by whoever opened it. Default: this process is the only one. */
  readonly fleet?: Fleet;
  readonly shadow?: Partial<ShadowBudget>;
  readonly noise?: Partial<NoiseLimits>;
  /** Where the last 100 shapes of difference are kept over restarts. Default: in memory only. */
  readonly mismatchStore?: CaseStore;
  readonly limits?: AdmissionLimits;
  /** How many operations have series of their own, and whether buckets keep a request id. */
  readonly metrics?: Pick<MetricsRecorderOptions, "operationsMax" | "exemplars">;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Who asks for a change, and why; both are journalled. */
export interface Change {
  readonly by: Actor;
  readonly reason: string;
  readonly evidence?: Readonly<Record<string, unknown>>;
}

/** One migration's worth of routing, shadow, guard and metrics in this process. */
export interface Changeover {
  /**
   * Wraps two implementations; with `legacy` left out the candidate serves every call. Throws
   * `MIGRATION_INVALID_NAME` and `MIGRATION_DUPLICATE_NAME`.
   */
  migrate<I, O>(definition: OperationDeclaration<I, O>): MigratedFunction<I, O>;
  /** One routing key, and one path per migration, for every call made inside `fn`. */
  scope<T>(key: string, fn: () => T): T;
  /** Everything for a scraper, and doors for parts that bring metrics of their own. */
  readonly metrics: MetricsDoor;
  readonly flags: FlagSource;
  readonly journal: Journal;
  readonly operations: readonly AnyOperation[];
  /** One event for each call; a listener that throws is counted and cannot hurt the caller. */
  readonly observations: TypedEvent<Observation>;
  readonly breaches: TypedEvent<Breach>;
  /** Every rule's verdict on one operation, the overall one first. */
  verdicts(operation: string): readonly Verdict[];
  windows(operation: string): WindowSnapshot;
  /** What the guard counted of an operation since the start; it only grows. */
  totals(operation: string): OperationTotals;
  /** Begins a new evidence period: what is healthy is judged by calls from now on. */
  beginPeriod(operation: string): void;
  /** In which ways the two paths differed, the newest sighting first; each way once, with a counter. */
  mismatches(): readonly MismatchCase[];
  /** What can be done with them: show, replay, export as a test. */
  readonly cases: MismatchCases;
  /** How often which fields differed, between the paths and between two runs of legacy. */
  noise(operation?: string): readonly NoiseField[];
  readonly shadowsInFlight: number;
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number | null };
  explain(operation: string, key: string): { decision: Decision; input: DecisionInput };
  /** Brings every caller of an operation back to legacy, on every instance and in the flags. Never throws. */
  rollBack(operation: string, change: Change): Promise<RollbackReport>;
  /** Clears the latch only: the percentage stays 0 until a person sets it. */
  rearm(operation: string, change: Change): Promise<RollbackReport>;
  close(): Promise<void>;
}

/**
 * Starts a changeover: reads the latches and the flags first, so that nothing runs on the candidate that
 * was rolled back before. Latches that cannot be read count as tripped: everything runs on legacy, and
 * the reason is in the log and in the status. A fleet that cannot be read is waited for on legacy, five
 * seconds at most. Rejects with `FLAGS_…` or `GUARD_INVALID_POLICY` for what
 * waiting cannot mend.
 */
export async function createChangeover(options: ChangeoverOptions = {}): Promise<Changeover> {
  const flags = options.flags ?? staticFlags();
  const latchStore = options.latchStore ?? new MemoryLatchStore();
  const logger = options.logger ?? silentLogger;
  const [latches] = await Promise.all([readLatches(latchStore, logger), flags.ready()]);
  const changeover = new RunningChangeover({ ...options, flags, latchStore }, latches);
  await changeover.recall();
  return changeover;
}

type Assembled = ChangeoverOptions & Required<Pick<ChangeoverOptions, "flags" | "latchStore">>;

class RunningChangeover implements Changeover {
  readonly flags: FlagSource;
  readonly journal: Journal;
  readonly metrics: Changeover["metrics"];
  readonly #clock: Clock;
  readonly #facade: Facade;
  readonly #guard: Guard;
  readonly #shadow: Shadow;
  readonly cases: MismatchCases;
  readonly #mismatches: MismatchLog;
  readonly #sweep: RehearsalSweep;
  readonly #recorder: MetricsRecorder;
  readonly #resources: Resources;
  readonly #rollbacks: Rollbacks;
  readonly #latches: LatchKeeper;
  readonly #member: FleetMember | null;

  constructor(options: Assembled, latches: Latches) {
    const { clock = systemClock, logger = silentLogger, random = systemRandom } = options;
    this.#clock = clock;
    this.flags = options.flags;
    this.journal = options.journal ?? new MemoryJournal();
    const policy = parsePolicy(options.guard ?? {});
    const budgets = pathBudgets(options.limits ?? {}, clock);
    const known = "unreadable" in latches ? [] : latches;
    this.#facade = new Facade({ flags: this.flags, clock, logger, budgets, latches: known });
    const { report } = this.#facade;
    const { journal } = this;
    // Flags that cannot be told count as shadowing: who is silent without a reason is not healthy.
    const shadowed = (name: string): boolean => this.flags.state(name)?.shadowPercentage !== 0;
    this.#guard = new Guard({ policy, clock, logger, report, journal, shadowed });
    this.#shadow = new Shadow({
      clock,
      logger,
      report,
      random,
      budget: options.shadow ?? {},
      noise: options.noise ?? {},
      pressure: (operation) => !this.#guard.mayShadow(operation.name),
      loop: new LoopPressure(clock),
    });
    const { mismatchStore: store } = options;
    this.#mismatches = new MismatchLog(store && { keeping: { store, clock, report } });
    this.cases = new MismatchCases(this.#mismatches, (name) => this.#facade.operation(name), clock);
    this.#sweep = new RehearsalSweep({ clock, report });
    this.#recorder = new MetricsRecorder({ ...options.metrics, version });
    this.metrics = this.#recorder;
    const readings = new ProcessReadings();
    this.#recorder.readFrom({ admission: () => budgets, process: () => readings.view() });
    const { latchStore, fleet = null } = options;
    const operations = (): readonly AnyOperation[] => this.operations;
    const unreadable = "unreadable" in latches ? latches.unreadable : null;
    const common = { operations, clock, logger, report };
    this.#latches = new LatchKeeper({ ...common, store: latchStore, unreadable });
    const { control } = this.flags;
    this.#rollbacks = new Rollbacks(
      () => ({ control, fleet, journal: this.journal, clock, logger }),
      (rollback) => this.#recorder.rollback(rollback),
    );
    this.#member = fleet && this.#join(fleet, common);
    this.#connect();
    this.#latches.start();
    this.#resources = new Resources(clock);
    this.#resources.add("flags", () => this.flags.close());
    this.#resources.add("latches", () => latchStore.close());
    this.#resources.add("rollbacks", () => this.#rollbacks.settled());
    this.#resources.add("fleet", () => this.#member?.close());
    this.#resources.add("readings", () => readings.close());
    this.#resources.add("guard", () => this.#guard.close());
    this.#resources.add("mismatches", () => this.#mismatches.close());
    this.#resources.add("sweep", () => this.#sweep.close());
    this.#resources.add("shadow", () => this.#shadow.close());
  }

  get operations(): readonly AnyOperation[] {
    return this.#facade.operations;
  }

  get observations(): TypedEvent<Observation> {
    return this.#facade.observations;
  }

  get breaches(): TypedEvent<Breach> {
    return this.#guard.breached;
  }

  get shadowsInFlight(): number {
    return this.#shadow.inFlight;
  }

  get memory(): Changeover["memory"] {
    const reading = this.#guard.memoryReading;
    if (reading === null) return { usedBytes: process.memoryUsage.rss(), limitBytes: null };
    return { usedBytes: reading.usedBytes, limitBytes: reading.limitBytes };
  }

  migrate<I, O>(definition: OperationDeclaration<I, O>): MigratedFunction<I, O> {
    return this.#facade.migrate(definition);
  }

  scope<T>(key: string, fn: () => T): T {
    return runInScope(key, fn);
  }

  verdicts(operation: string): readonly Verdict[] {
    return [this.#guard.overall(operation), ...this.#guard.verdicts(operation)];
  }

  windows(operation: string): WindowSnapshot {
    return this.#guard.windows(operation);
  }

  mismatches(): readonly MismatchCase[] {
    return this.#mismatches.list();
  }

  noise(operation?: string): readonly NoiseField[] {
    return this.#shadow.noise.fields(operation);
  }

  totals(operation: string): OperationTotals {
    return this.#guard.totals(operation);
  }

  beginPeriod(operation: string): void {
    this.#guard.beginPeriod(operation);
  }

  /** Reads what was kept of earlier mismatches, and the fleet's latches; never rejects. */
  async recall(): Promise<void> {
    await Promise.all([this.#mismatches.load(), this.#member?.start()]);
  }

  explain(operation: string, key: string): { decision: Decision; input: DecisionInput } {
    return this.#facade.explain(operation, key);
  }

  rollBack(operation: string, change: Change): Promise<RollbackReport> {
    return this.#rollbacks.rollBack({ ...change, operation: this.#facade.operation(operation) });
  }

  rearm(operation: string, { by, reason }: Change): Promise<RollbackReport> {
    return this.#rollbacks.rearm(this.#facade.operation(operation), by.name, reason);
  }

  async close(): Promise<void> {
    await this.#resources.close();
  }

  #join(
    fleet: Fleet,
    common: Pick<ConstructorParameters<typeof FleetMember>[0], "operations" | "clock" | "logger">,
  ): FleetMember {
    const startedAt = new Date(this.#clock.now()).toISOString();
    return new FleetMember({
      ...common,
      fleet,
      beginPeriod: (operation) => this.#guard.beginPeriod(operation),
      describe: () =>
        describeInstance({ changeover: this, guard: this.#guard, startedAt, version }),
      quorumMet: (operation, { live, latched, needed }) => {
        const by: Actor = { type: "rule", name: "quorum" };
        const reason = `${latched} of ${live} live instances latched it; ${needed} speak for all.`;
        void this.#rollbacks.rollBack({
          operation,
          by,
          reason,
          evidence: { live, latched, needed },
        });
      },
    });
  }

  /** Who reads whose events; nothing on the right can touch a call except through latch and flags. */
  #connect(): void {
    const facade = this.#facade;
    const guard = this.#guard;
    const shadow = this.#shadow;
    const recorder = this.#recorder;
    recorder.readFrom({
      flags: this.flags,
      memory: () => guard.memoryReading,
      backPressure: () => guard.backPressure,
      verdicts: (operation) => guard.verdicts(operation),
      shadowsInFlight: () => shadow.inFlight,
      internalErrors: () => facade.internalErrors,
    });
    facade.operationAdded.subscribe((operation) => {
      recorder.addOperation(operation);
      guard.watch(operation);
      this.#sweep.add(operation);
      this.#latches.add(operation);
      this.#member?.add(operation);
    });
    // The guard first: a breach latches before anything else is done with the call.
    facade.observations.subscribe((observation) => guard.observe(observation));
    facade.observations.subscribe((observation) => recorder.observation(observation));
    facade.observations.subscribe((observation) => shadow.observe(observation));
    // Shadows may hold a rollout or stop the shadow; the guard keeps them apart from served calls.
    shadow.observations.subscribe((observation) => guard.observe(observation));
    shadow.skips.subscribe((skip) => {
      recorder.shadowSkip(skip);
      guard.observeSkip(skip.operation.name, skip.reason);
    });
    shadow.compared.subscribe((result) => {
      recorder.shadowResult(result);
      this.#mismatches.add(result);
      if (result.result === "abandoned") return;
      guard.observeComparison({
        operation: result.operation.name,
        result: result.result,
        key: result.key,
      });
    });
    guard.verdictChanged.subscribe(({ after }) => recorder.verdict(after));
    guard.breached.subscribe(({ operation, verdict, evidence }) => {
      const by: Actor = { type: "rule", name: verdict.rule };
      const reason = verdict.sentence;
      void this.#rollbacks.rollBack({ operation, by, reason, evidence, scope: "instance" });
    });
  }
}
