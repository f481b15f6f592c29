import type { Clock, Timer } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { TypedEvent } from "../base/event.ts";
import type { Logger } from "../base/logger.ts";
import type { Journal } from "../migration/journal.ts";
import type { Observation } from "../migration/observation.ts";
import type { AnyOperation } from "../migration/operation.ts";
import type { OperationTotals } from "./fleet/running-totals.ts";
import { type FloorReading, type FloorSource, ownFloor } from "./memory/heap-floor.ts";
import { type BackPressure, MemoryRule } from "./memory/memory-rule.ts";
import { type MemoryReading, MemorySampler, type MemorySource } from "./memory/memory-sampler.ts";
import { OperationWatch } from "./operation-watch.ts";
import type { WindowSnapshot } from "./outcome-counts.ts";
import { defaultPolicy, type Policy } from "./policy.ts";
import { type Judgement, type RuleName, type Verdict, worst } from "./verdict.ts";

/** What a guard is made of. */
export interface GuardOptions {
  /** From `parsePolicy`; default: `defaultPolicy`. */
  readonly policy?: Policy;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where a part of ours that throws is reported. */
  readonly report: (part: string, error: unknown) => void;
  /** Default: this process's own memory; null: nothing measures it, and the memory rule is blind. */
  readonly memory?: MemorySource | null;
  /** Default: this process's own garbage collector, where `memory` is left out as well. */
  readonly collections?: FloorSource;
  /** Where a spent exposure budget is written down and remembered from. Default: nowhere. */
  readonly journal?: Journal;
  /** Do the flags shadow calls of an operation at present? Default: that is not known. */
  readonly shadowed?: (operation: string) => boolean;
}

/** A breach that rolled an operation back in this process. */
export interface Breach {
  readonly operation: AnyOperation;
  readonly verdict: Verdict;
  /** The latch's epoch: one breach for each. */
  readonly epoch: number;
  /** The numbers behind the verdict. */
  readonly evidence: Readonly<Record<string, unknown>>;
  /** ISO 8601. */
  readonly at: string;
}

/** A rule came to another kind of verdict, or wants something else done. */
export interface VerdictChange {
  readonly before: Verdict | null;
  readonly after: Verdict;
}

/** One comparison of the two paths' answers to one call. */
export interface ComparisonReport {
  readonly operation: string;
  readonly result: "same" | "different" | "incomparable" | "both_failed";
  readonly key: string;
}

/** Milliseconds between two looks at the memory, and between two looks at the verdicts. */
const memoryEveryMs = 250;
const tickEveryMs = 1000;

/** An operation under watch with the verdicts of the last tick. */
interface Watched {
  readonly watch: OperationWatch;
  readonly last: Map<RuleName, Verdict>;
  /** Since when each rule has been of one mind, in wall-clock milliseconds. */
  readonly since: Map<RuleName, number>;
}

/**
 * Watches every call of every operation and trips an operation's latch, in the same tick, when a rule
 * of the policy is breached. It never opens one. Each operation is judged by its own calls alone.
 */
export class Guard {
  /** A rule rolled an operation back; once for each epoch of its latch. */
  readonly breached: TypedEvent<Breach>;
  readonly verdictChanged: TypedEvent<VerdictChange>;
  readonly policy: Policy;
  readonly #options: GuardOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #memory: MemoryRule;
  readonly #timers: Timer[];
  readonly #stopCollections: (() => void) | null;

  constructor(options: GuardOptions) {
    const { clock, report } = options;
    this.#options = options;
    this.policy = options.policy ?? defaultPolicy;
    this.breached = new TypedEvent("guard.breached", report);
    this.verdictChanged = new TypedEvent("guard.verdict-changed", report);
    const { enabled, limitBytes } = this.policy.memory;
    const source =
      options.memory === undefined ? new MemorySampler({ limitBytes }) : options.memory;
    this.#memory = new MemoryRule(this.policy.memory, enabled ? source : null, clock);
    const collections =
      options.collections ?? (options.memory === undefined && enabled ? ownFloor : null);
    const collected = (reading: FloorReading): void =>
      this.#safely("guard.memory", () => this.#collected(reading));
    this.#stopCollections = enabled ? (collections?.subscribe(collected) ?? null) : null;
    this.#timers = [clock.every(tickEveryMs, () => this.#safely("guard.tick", () => this.tick()))];
    if (enabled) {
      const sample = (): void => this.#safely("guard.memory", () => this.#sampleMemory());
      sample();
      this.#timers.push(clock.every(memoryEveryMs, sample));
    }
  }

  /** What work that can wait should do at the moment. */
  get backPressure(): BackPressure {
    return this.#memory.backPressure;
  }

  /** The last look at the memory, for metrics; null when nothing measures it. */
  get memoryReading(): MemoryReading | null {
    return this.#memory.reading;
  }

  /** Starts to watch an operation; a second time does nothing. */
  watch(operation: AnyOperation): void {
    if (this.#watched.has(operation.name)) return;
    const watch = new OperationWatch(operation, this.policy, this.#options.shadowed);
    watch.advance(this.#options.clock.monotonicMs());
    this.#watched.set(operation.name, { watch, last: new Map(), since: new Map() });
    operation.latch.changed.subscribe(({ tripped }) => {
      if (!tripped) this.#memory.restart(operation);
    });
    this.#recallBudget(watch);
  }

  /** Takes one observation. Constant work; trips the latch before it returns when that breaches a rule. */
  observe(observation: Observation): void {
    const watched = this.#watched.get(observation.operation.name);
    if (watched === undefined) return;
    const { watch } = watched;
    watch.advance(observation.endedMs ?? this.#options.clock.monotonicMs());
    const alarmed = watch.observe(observation);
    if (alarmed === null) return;
    for (const rule of alarmed) this.#judge(watched, rule);
  }

  /** Takes one comparison; for an operation that is not watched it does nothing. */
  observeComparison({ operation, result, key }: ComparisonReport): void {
    const watch = this.#watched.get(operation)?.watch;
    if (watch === undefined) return;
    watch.advance(this.#options.clock.monotonicMs());
    watch.compare(result, key);
  }

  /** A call that was to be shadowed was not: a probe then lost a pair. Unknown operations are ignored. */
  observeSkip(operation: string, reason: string): void {
    this.#watched.get(operation)?.watch.skipped(reason);
  }

  /** One verdict for each rule that is switched on. Throws `GUARD_UNKNOWN_OPERATION`. */
  verdicts(operation: string): readonly Verdict[] {
    const watched = this.#find(operation);
    watched.watch.advance(this.#options.clock.monotonicMs());
    return this.#rulesOf(watched.watch).map((rule) => this.#verdict(watched, rule));
  }

  /** The worst of an operation's verdicts. Throws `GUARD_UNKNOWN_OPERATION`. */
  overall(operation: string): Verdict {
    return worst(operation, this.verdicts(operation));
  }

  /** Counts of the last 60 s and 5 minutes. Throws `GUARD_UNKNOWN_OPERATION`. */
  windows(operation: string): WindowSnapshot {
    const { watch } = this.#find(operation);
    watch.advance(this.#options.clock.monotonicMs());
    return watch.windows();
  }

  /** What was counted since the start of the process. Throws `GUARD_UNKNOWN_OPERATION`. */
  totals(operation: string): OperationTotals {
    return this.#find(operation).watch.totals.read();
  }

  /** May this operation be shadowed now? Not under memory pressure, nor when a rule stopped it. */
  mayShadow(operation: string): boolean {
    if (this.#memory.backPressure.shedShadows) return false;
    for (const verdict of this.#watched.get(operation)?.last.values() ?? []) {
      if (verdict.action === "stop-shadow") return false;
    }
    return true;
  }

  /**
   * Begins a new evidence period, as when a rollout enters a stage: from now on only calls from now on
   * make it healthy. Alarms go on. Throws `GUARD_UNKNOWN_OPERATION`.
   */
  beginPeriod(operation: string): void {
    this.#find(operation).watch.beginPeriod();
    this.#memory.warmUp();
  }

  /**
   * A person grants a new exposure budget after the old one was spent. Throws `GUARD_UNKNOWN_OPERATION`;
   * rejects when the journal cannot write it down, and then changes nothing.
   */
  async grantBudget(operation: string, by: string, reason: string): Promise<void> {
    const { watch } = this.#find(operation);
    await this.#options.journal?.append({
      at: this.#at(),
      operation,
      kind: "verdict",
      actor: { type: "person", name: by },
      from: "budget-spent",
      to: "budget-granted",
      why: reason,
      evidence: { rule: "exposure-budget", ...watch.budget.state() },
    });
    watch.budget.grant();
    watch.operation.budgetSpent = false;
  }

  /** Looks at every verdict; called every second. Trips what only time can show, announces changes. */
  tick(): void {
    for (const watched of this.#watched.values()) {
      watched.watch.advance(this.#options.clock.monotonicMs());
      for (const rule of this.#rulesOf(watched.watch)) this.#judge(watched, rule);
    }
  }

  /** Stops the timers; observations are still judged. */
  close(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#stopCollections?.();
  }

  #rulesOf(watch: OperationWatch): readonly RuleName[] {
    return this.policy.memory.enabled ? [...watch.rules, "memory"] : watch.rules;
  }

  #judge(watched: Watched, rule: RuleName): void {
    const { watch, last, since } = watched;
    const verdict = this.#verdict(watched, rule);
    if (verdict.kind === "breached") this.#act(watch, verdict);
    const before = last.get(rule) ?? null;
    last.set(rule, verdict);
    if (before?.kind !== verdict.kind) since.set(rule, this.#options.clock.now());
    if (before?.kind === verdict.kind && before.action === verdict.action) return;
    this.#tell(before, verdict);
    this.verdictChanged.emit({ before, after: verdict });
  }

  #verdict({ watch, last, since }: Watched, rule: RuleName): Verdict {
    const { operation, memoryUse } = watch;
    const judgement: Judgement | null =
      rule === "memory"
        ? (watch.breaches.get(rule) ?? this.#memory.judge(operation, memoryUse))
        : watch.judge(rule, this.#options.clock.now());
    const known = judgement ?? blindJudgement;
    const sameMind = last.get(rule)?.kind === known.kind ? since.get(rule) : undefined;
    const sinceMs = known.sinceMs ?? sameMind ?? this.#options.clock.now();
    const verdict: Verdict = { operation: operation.name, rule, ...known, sinceMs };
    if (verdict.kind !== "breached" || verdict.action !== "rollback" || operation.hasLegacy) {
      return verdict;
    }
    const sentence = `${verdict.sentence} Legacy was removed, so nothing can be rolled back.`;
    return { ...verdict, action: "alert", page: true, sentence };
  }

  #act(watch: OperationWatch, verdict: Verdict): void {
    if (verdict.rule === "exposure-budget") this.#spend(watch, verdict);
    if (verdict.action !== "rollback" || verdict.rule === "overall") return;
    const { operation } = watch;
    const { rule, observed, limit, samples, sinceMs, sentence } = verdict;
    const since = sinceMs === null ? null : new Date(sinceMs).toISOString();
    const evidence = { rule, observed, limit, samples, since, ...watch.evidence(rule) };
    const by = { type: "rule", name: rule } as const;
    const at = this.#at();
    if (!operation.latch.trip({ by, reason: sentence, evidence, at })) return;
    watch.breaches.set(rule, verdict);
    if (rule === "memory") this.#abortLater(operation);
    this.breached.emit({ operation, verdict, epoch: operation.latch.epoch, evidence, at });
  }

  /** What still runs on the candidate holds the memory; whoever reads its signal lets go of it. */
  #abortLater(operation: AnyOperation): void {
    const { abortAfterSeconds } = this.policy.memory;
    if (abortAfterSeconds === null) return;
    const { clock, logger } = this.#options;
    const { epoch } = operation.latch;
    const abort = (): void => {
      if (!operation.latch.tripped || operation.latch.epoch !== epoch) return;
      const error = new CodedError(
        "GUARD_ABORTED_FOR_MEMORY",
        `A call of ${operation.name} was aborted: it was rolled back because memory is short. Try again.`,
        { status: 503, retryable: true, details: { operation: operation.name } },
      );
      const aborted = operation.inFlight.abort(error);
      if (aborted > 0) logger.warn({ operation: operation.name, aborted }, "Aborted for memory");
    };
    this.#timers.push(clock.after(abortAfterSeconds * 1000, abort));
  }

  #collected(reading: FloorReading): void {
    this.#memory.collected(reading);
    // Not at the next tick: a heap that full may not live to see it.
    for (const watched of this.#watched.values()) this.#judge(watched, "memory");
  }

  #spend(watch: OperationWatch, verdict: Verdict): void {
    const { operation, budget } = watch;
    if (budget.state().spentAtMs !== null) return;
    budget.spend(this.#options.clock.now());
    operation.budgetSpent = verdict.action === "hold";
    this.#append({
      at: this.#at(),
      operation: operation.name,
      kind: "verdict",
      actor: { type: "rule", name: "exposure-budget" },
      from: null,
      to: "budget-spent",
      why: verdict.sentence,
      evidence: { rule: "exposure-budget", ...budget.state() },
    });
  }

  /** A restart must not hand out a new budget: the journal's last word on it holds. */
  #recallBudget(watch: OperationWatch): void {
    const { enabled, action } = this.policy.exposureBudget;
    const { journal, report } = this.#options;
    if (journal === undefined || !enabled) return;
    const { name } = watch.operation;
    journal.read({ operation: name, limit: 1000 }).then(
      (entries) => {
        const last = entries.findLast((each) => each.evidence["rule"] === "exposure-budget");
        if (last?.to !== "budget-spent") return;
        watch.budget.spend(Date.parse(last.at));
        watch.operation.budgetSpent = action === "hold";
      },
      (error: unknown) => report("guard.budget", error),
    );
  }

  #append(entry: Parameters<Journal["append"]>[0]): void {
    const { journal, report } = this.#options;
    journal?.append(entry).catch((error: unknown) => report("guard.journal", error));
  }

  #tell(before: Verdict | null, after: Verdict): void {
    const { logger } = this.#options;
    const { operation, rule, kind, action, sentence, observed, limit, samples } = after;
    const fields = { operation, rule, kind, action, observed, limit, samples, sentence };
    if (after.page) logger.error(fields, "A guard rule needs attention");
    else if (kind === "suspect" || kind === "blind") logger.warn(fields, "A guard rule is uneasy");
    else if (before !== null) logger.info(fields, "A guard rule changed its verdict");
  }

  #sampleMemory(): void {
    const { logger } = this.#options;
    const operations = [...this.#watched.values()].map(({ watch }) => watch.operation);
    const { level } = this.#memory;
    const gapMs = this.#memory.sample(operations);
    for (const watched of this.#watched.values()) {
      const { operation, memoryUse } = watched.watch;
      this.#memory.shed(operation, memoryUse);
      if (this.#memory.level !== level) this.#judge(watched, "memory");
    }
    if (gapMs !== null) logger.warn({ gapMs }, "The event loop was blocked: no memory sample");
  }

  #find(operation: string): Watched {
    const watched = this.#watched.get(operation);
    if (watched !== undefined) return watched;
    throw new CodedError(
      "GUARD_UNKNOWN_OPERATION",
      `The guard does not watch "${operation}". Watched: ${[...this.#watched.keys()].join(", ") || "none"}.`,
      { status: 404, details: { operation } },
    );
  }

  #at(): string {
    return new Date(this.#options.clock.now()).toISOString();
  }

  #safely(part: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.report(part, error);
    }
  }
}

const blindJudgement: Judgement = {
  kind: "blind",
  action: "alert",
  page: false,
  applies: true,
  observed: null,
  limit: null,
  samples: 0,
  sinceMs: null,
  sentence: "Nothing feeds this rule.",
};
