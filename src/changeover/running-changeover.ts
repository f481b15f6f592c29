import { type Clock, systemClock } from "../base/clock.ts";
import type { TypedEvent } from "../base/event.ts";
import { silentLogger } from "../base/logger.ts";
import { systemRandom } from "../base/random.ts";
import { Resources } from "../base/resources.ts";
import { FleetMember } from "../guard/fleet/fleet-member.ts";
import { describeInstance } from "../guard/fleet/instance-description.ts";
import { type Latches, LatchKeeper } from "../guard/fleet/latch-keeper.ts";
import { Rollbacks } from "../guard/fleet/rollbacks.ts";
import type { OperationTotals } from "../guard/fleet/running-totals.ts";
import { type Breach, Guard } from "../guard/guard.ts";
import type { WindowSnapshot } from "../guard/outcome-counts.ts";
import { parsePolicy } from "../guard/policy.ts";
import type { RollbackReport } from "../guard/rollback.ts";
import type { Verdict } from "../guard/verdict.ts";
import { ProcessReadings } from "../metrics/process-readings.ts";
import { MetricsRecorder } from "../metrics/recorder.ts";
import { pathBudgets } from "../migration/admission/path-budgets.ts";
import { runInScope } from "../migration/call.ts";
import type { Decision, DecisionInput } from "../migration/decision.ts";
import { Facade } from "../migration/facade.ts";
import type { FlagSource } from "../migration/flags.ts";
import type { Fleet } from "../migration/fleet.ts";
import { type Actor, type Journal, MemoryJournal } from "../migration/journal.ts";
import type { Observation } from "../migration/observation.ts";
import type {
  AnyOperation,
  MigratedFunction,
  OperationDeclaration,
} from "../migration/operation.ts";
import type { MismatchCase } from "../shadow/cases/mismatch-case.ts";
import { MismatchCases } from "../shadow/cases/mismatch-cases.ts";
import { LoopPressure } from "../shadow/loop-pressure.ts";
import { MismatchLog } from "../shadow/mismatch-log.ts";
import type { NoiseField } from "../shadow/noise.ts";
import { RehearsalSweep } from "../shadow/rehearsal-sweep.ts";
import { Shadow } from "../shadow/shadow.ts";
import type { Change, Changeover, ChangeoverOptions } from "./surface.ts";
import { changeoverVersion } from "./version.ts";

type Assembled = ChangeoverOptions & Required<Pick<ChangeoverOptions, "flags" | "latchStore">>;

/** Every part of a changeover, connected. */
export class RunningChangeover implements Changeover {
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
    this.#recorder = new MetricsRecorder({ ...options.metrics, version: changeoverVersion });
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
        describeInstance({
          changeover: this,
          guard: this.#guard,
          startedAt,
          version: changeoverVersion,
        }),
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
