import { codeOf } from "../base/errors.ts";
import { answerOf, blameOf, type Observation } from "../migration/observation.ts";
import type { AnyOperation } from "../migration/operation.ts";
import { isBad, type Outcome } from "../migration/outcome.ts";
import { hashKey, KeyCensus } from "./engine/failure-keys.ts";
import { LatencyHistogram } from "./engine/latency-histogram.ts";
import { type Bits, Probe } from "./engine/probe.ts";
import { longSeconds } from "./engine/window.ts";
import { Inspection } from "./exceptions/inspection.ts";
import { RunningTotals } from "./fleet/running-totals.ts";
import { HarmBudget } from "./harm-budget.ts";
import { judgeBudget, judgeFatal, judgeNewException } from "./judge-limits.ts";
import type { MemoryUse } from "./memory/memory-rule.ts";
import { OutcomeCounts, type WindowSnapshot } from "./outcome-counts.ts";
import type { Policy } from "./policy.ts";
import { RateRule, type RateRuleSettings } from "./rate-rule.ts";
import type { Judgement, RuleName } from "./verdict.ts";

/**
 * Everything the guard remembers about one operation. Shadow and served calls are kept apart; aborts and
 * refusals are nobody's failure; a call that was never admitted did not run.
 */
export class OperationWatch {
  readonly operation: AnyOperation;
  readonly budget: HarmBudget = new HarmBudget();
  readonly totals: RunningTotals = new RunningTotals();
  /** Judgements that rolled back; they stand until a person re-arms the latch. */
  readonly breaches: Map<RuleName, Judgement> = new Map();
  readonly #policy: Policy;
  readonly #errors: RateRule;
  readonly #timeouts: RateRule | null;
  readonly #latency: RateRule | null;
  readonly #mismatch: RateRule | null;
  readonly #shadowErrors: RateRule | null;
  readonly #shadowed: () => boolean;
  readonly #inspection: Inspection;
  readonly #probe: Probe;
  readonly #counts = new OutcomeCounts();
  readonly #census: KeyCensus;
  readonly #histogram = new LatencyHistogram();
  #slowMs: number | null = null;
  #histogramSince = 0;
  #second = -1;
  /** The epoch of the last trip that a person has re-armed. */
  #epoch: number;
  #keyless = 0;
  #candidateCalls = 0;
  #legacyCalls = 0;
  #legacyCheaper: boolean | null = null;
  #costSecond = -1;

  /** @param shadowed false while no call is meant to be shadowed: silence of the shadow is then no sign */
  constructor(operation: AnyOperation, policy: Policy, shadowed?: (operation: string) => boolean) {
    this.operation = operation;
    this.#shadowed = () => shadowed?.(operation.name) ?? true;
    this.#policy = policy;
    this.#epoch = operation.latch.epoch;
    const { engine, errorRate, timeoutRate, latency, mismatch, shadowErrorRate } = policy;
    const make = (name: RuleName, did: string, rule: RateRuleSettings["rule"]): RateRule =>
      new RateRule({ name, did, rule, engine });
    this.#errors = make("error-rate", "failed", errorRate);
    this.#timeouts = timeoutRate.enabled ? make("timeout-rate", "timed out", timeoutRate) : null;
    this.#latency = latency.enabled ? make("latency", "was slow", latency) : null;
    this.#shadowErrors = shadowErrorRate.enabled
      ? make("shadow-error-rate", "failed", shadowErrorRate)
      : null;
    this.#mismatch = mismatch.enabled
      ? new RateRule({
          name: "mismatch",
          did: "differed",
          rule: mismatch,
          engine,
          fixedBaseline: mismatch.noiseRate,
        })
      : null;
    this.#inspection = new Inspection(policy);
    this.#probe = new Probe(operation, engine.probe, [this.#errors, this.#timeouts, this.#latency]);
    this.#census = new KeyCensus(engine.failingKeysMin);
  }

  /** What the memory rule needs to know about this operation. */
  get memoryUse(): MemoryUse {
    return { legacyCheaper: this.#legacyCheaper, active: this.#counts.candidateCalls > 0 };
  }

  /** The rules that are switched on, in the order in which they are asked. */
  get rules(): readonly RuleName[] {
    const { fatal, errorRate, newException, exposureBudget } = this.#policy;
    const on: (RuleName | null)[] = [
      fatal.enabled ? "fatal" : null,
      errorRate.enabled ? "error-rate" : null,
      this.#timeouts?.name ?? null,
      newException.enabled ? "new-exception" : null,
      this.#latency?.name ?? null,
      this.#mismatch?.name ?? null,
      this.#shadowErrors?.name ?? null,
      exposureBudget.enabled ? "exposure-budget" : null,
    ];
    return on.filter((rule) => rule !== null);
  }

  /** Moves all windows to the second of `monotonicMs`. */
  advance(monotonicMs: number): void {
    const second = Math.floor(monotonicMs / 1000);
    // Not back either: an observation may come a little after what it tells of.
    if (second <= this.#second) return;
    this.#second = second;
    this.#inspection.advance();
    this.#errors.advance(second);
    this.#timeouts?.advance(second);
    this.#latency?.advance(second);
    this.#mismatch?.advance(second);
    this.#shadowErrors?.advance(second);
    this.#probe.advance(second);
    this.#counts.advance(second);
    this.budget.advance(second);
    this.#followLatch();
    if (second - this.#histogramSince >= longSeconds) this.#renewSlow(second);
  }

  /** Takes one observation; returns the rules that may now be breached, null for nearly every call. */
  observe(observation: Observation): readonly RuleName[] | null {
    const { first, fallback, call } = observation;
    this.#counts.add(call.source, first);
    if (fallback !== null) this.#counts.add("fallback", fallback);
    const picked = observation.decision.probe === true && call.source === "served";
    if (picked && (first.kind === "aborted" || neverRan(first))) this.#probe.dropped();
    if (neverRan(first)) return null;
    if (call.source === "shadow") return this.#shadow(first, observation);
    if (first.kind === "aborted") {
      this.#countSlow(first, call.key);
      return this.#alarms(false);
    }
    if (first.path === "legacy") {
      this.#legacy(first, call.key);
      return null;
    }
    if (this.operation.latch.tripped) return null;
    this.#followLatch();
    return this.#candidate(observation);
  }

  /** A call that was to be shadowed was not. */
  skipped(reason: string): void {
    this.#probe.skipped(reason);
  }

  /** Takes one comparison of the two paths' answers. */
  compare(result: "same" | "different" | "incomparable" | "both_failed", key: string): void {
    if (result === "same" || result === "different") this.totals.compare();
    if (result === "same") this.#mismatch?.candidate(false, 0, false);
    if (result === "different") this.#mismatch?.candidate(true, this.#keyOf(key), false);
  }

  /** What a rule says now. `memory` is the guard's own to judge: it is about the process. */
  judge(rule: RuleName, nowMs: number): Judgement | null {
    this.#followLatch();
    const stands = this.breaches.get(rule);
    if (stands !== undefined) return stands;
    const calls = this.#candidateCalls;
    switch (rule) {
      case "error-rate":
        return this.#errors.judge(nowMs, this.#census.count, this.#probe.possible);
      case "timeout-rate":
        return this.#judgeTimeouts(nowMs);
      case "latency":
        return this.#judgeLatency(nowMs);
      case "mismatch":
        return this.#judgeShadow(this.#mismatch, nowMs);
      case "shadow-error-rate":
        return this.#judgeShadow(this.#shadowErrors, nowMs);
      case "new-exception":
        return judgeNewException(this.#inspection.unknown, this.#policy.newException, {
          nowMs,
          legacyCalls: this.#legacyCalls,
          candidateCalls: calls,
          callsMin: this.#policy.errorRate.callsMin,
        });
      case "exposure-budget":
        return judgeBudget(this.budget.state(), this.#policy.exposureBudget);
      case "fatal": {
        const { label = null, atMs = null, where = "served" } = this.#inspection.fatal ?? {};
        return judgeFatal({ label, atMs, where, calls }, this.#policy.fatal);
      }
      default:
        return null;
    }
  }

  /** The numbers behind a rule, to be kept with a rollback. */
  evidence(rule: RuleName): Readonly<Record<string, unknown>> {
    const rates = [this.#errors, this.#timeouts, this.#latency, this.#mismatch, this.#shadowErrors];
    const rate = rates.find((each) => each?.name === rule);
    if (rate !== undefined && rate !== null) return { ...rate.state() };
    if (rule === "exposure-budget") return { ...this.budget.state() };
    const { label = null, times = [] } = this.#inspection.unknown ?? {};
    if (rule === "new-exception") return { exception: label, occurrences: times.length };
    return rule === "fatal" ? { exception: this.#inspection.fatal?.label ?? null } : {};
  }

  windows(): WindowSnapshot {
    return this.#counts.snapshot();
  }

  /** What is healthy is judged from now on by calls from now on. */
  beginPeriod(): void {
    for (const rule of this.#rates()) rule.beginPeriod();
  }

  #rates(): RateRule[] {
    return [this.#errors, this.#timeouts, this.#latency, this.#mismatch, this.#shadowErrors].filter(
      (rule) => rule !== null,
    );
  }

  #followLatch(): void {
    const { tripped, epoch } = this.operation.latch;
    if (tripped || epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#restart();
  }

  #restart(): void {
    for (const rule of this.#rates()) rule.restart();
    this.breaches.clear();
    this.#inspection.restart();
    this.#probe.stop();
  }

  #legacy(outcome: Outcome, key: string): void {
    const bad = isBad(outcome);
    const hash = bad ? this.#keyOf(key) : 0;
    this.#legacyCalls += 1;
    if (this.#errors.legacy(bad, hash)) this.totals.add(outcome);
    this.#shadowErrors?.legacy(bad, hash);
    const { deadlineMs } = this.operation.definition;
    if (deadlineMs !== undefined && this.#timeouts !== null) {
      const late = answerMs(outcome) > deadlineMs;
      this.#timeouts.legacy(late, late ? this.#keyOf(key) : 0);
    }
    if (!bad) this.#histogram.add(answerMs(outcome));
    if (outcome.kind !== "failed") this.#countSlow(outcome, key);
    if (bad) this.#inspection.learn(outcome);
  }

  #candidate(observation: Observation): readonly RuleName[] | null {
    const { first, fallback, call } = observation;
    const blame = blameOf(observation);
    const bad = blame !== null;
    const key = bad ? this.#keyOf(call.key) : 0;
    this.#candidateCalls += 1;
    this.#census.see(call.key, this.#second);
    let counted = true;
    if (blame === "shared") this.#errors.both();
    else counted = this.#errors.candidate(bad, key, blame === "blamed");
    if (counted && blame !== "shared") this.totals.add(first);
    this.#countTimeout(first, fallback, key);
    if (first.kind !== "failed") this.#countSlow(first, call.key);
    const harmed = bad && blame !== "shared" && isBad(answerOf(observation));
    this.budget.count(harmed, this.#errors.baseline);
    this.#noteCost(observation);
    if (bad) this.#inspection.served(observation, key, blame === "shared");
    if (observation.decision.probe === true) {
      const both = fallback !== null && fallback.kind !== "aborted";
      const legacy = both ? this.#bits(fallback, true) : null;
      this.#probe.served(call.requestId, this.#bits(first, counted), legacy);
    }
    return this.#alarms(bad);
  }

  /** Was this run bad, late, slow? A key that failed too often says nothing more about failures. */
  #bits(outcome: Outcome, counted: boolean): Bits {
    const { deadlineMs } = this.operation.definition;
    const bad = isBad(outcome);
    const ms = answerMs(outcome);
    const late = outcome.kind === "timed-out" || (deadlineMs !== undefined && ms > deadlineMs);
    const slow = outcome.kind === "timed-out" || (this.#slowMs !== null && ms > this.#slowMs);
    const timed = deadlineMs === undefined ? null : late || (bad && outcome.path === "legacy");
    return [
      bad && !counted ? null : bad,
      timed !== null && late && !counted ? null : timed,
      this.#slowMs === null || outcome.kind === "failed" ? null : slow,
    ];
  }

  #countTimeout(first: Outcome, fallback: Outcome | null, key: number): void {
    const { deadlineMs } = this.operation.definition;
    if (this.#timeouts === null || deadlineMs === undefined) return;
    const late = first.kind === "timed-out";
    const answered = late && fallback !== null && fallback.kind !== "aborted";
    // Legacy has no deadline: it shares the blame when it took as long.
    const legacyLate = answered && (isBad(fallback) || answerMs(fallback) > deadlineMs);
    if (legacyLate) this.#timeouts.both();
    else this.#timeouts.candidate(late, key, answered);
  }

  /** Whether a call was slow; an aborted one was, when it had already taken that long without an answer. */
  #countSlow(outcome: Outcome, key: string): void {
    if (this.#latency === null || this.#slowMs === null) return;
    const slow = outcome.kind === "timed-out" || answerMs(outcome) > this.#slowMs;
    if (outcome.kind === "aborted" && !slow && outcome.firstByteMs === null) return;
    const hash = slow ? this.#keyOf(key) : 0;
    if (outcome.path === "legacy") this.#latency.legacy(slow, hash);
    else this.#latency.candidate(slow, hash, false);
  }

  #shadow(outcome: Outcome, { call, atMs, decision }: Observation): readonly RuleName[] | null {
    const aborted = outcome.kind === "aborted";
    if (!aborted && outcome.path === "candidate") {
      const bad = isBad(outcome);
      this.#shadowErrors?.candidate(bad, bad ? this.#keyOf(call.key) : 0, false);
      this.#inspection.rehearsed(outcome, atMs);
      return null;
    }
    if (!aborted && isBad(outcome)) this.#inspection.learn(outcome);
    if (decision.probe !== true) return null;
    const ofLegacy = aborted ? null : this.#bits(outcome, true);
    return this.#probe.shadowed(call.requestId, ofLegacy) ? this.#alarms(true) : null;
  }

  #alarms(bad: boolean): RuleName[] | null {
    if (!bad && this.#latency?.alarmed !== true) return null;
    this.#probe.want();
    const alarmed: RuleName[] = [];
    const { fatal, unknown } = this.#inspection;
    if (bad && fatal !== null && this.#policy.fatal.enabled) alarmed.push("fatal");
    if (bad && this.#errors.alarmed && this.#policy.errorRate.enabled) alarmed.push("error-rate");
    if (bad && this.#timeouts?.alarmed) alarmed.push("timeout-rate");
    if (bad && unknown !== null) alarmed.push("new-exception");
    if (this.#latency?.alarmed) alarmed.push("latency");
    return alarmed.length === 0 ? null : alarmed;
  }

  #judgeTimeouts(nowMs: number): Judgement | null {
    const judgement =
      this.#timeouts?.judge(nowMs, this.#census.count, this.#probe.possible) ?? null;
    if (judgement === null || this.operation.definition.deadlineMs !== undefined) return judgement;
    const sentence = "The operation declares no deadline, so nothing can time out.";
    return { ...judgement, applies: false, kind: "inconclusive", action: "none", sentence };
  }

  #judgeLatency(nowMs: number): Judgement | null {
    const judgement = this.#latency?.judge(nowMs, this.#census.count, this.#probe.possible) ?? null;
    if (judgement === null || this.#slowMs !== null) return judgement;
    const sentence = `Legacy has not been measured for 5 minutes with ${this.#policy.latency.baselineCallsMin} calls, so nothing is called slow yet.`;
    return { ...judgement, kind: "inconclusive", action: "none", sentence };
  }

  #judgeShadow(rule: RateRule | null, nowMs: number): Judgement | null {
    const judgement = rule?.judge(nowMs, this.#policy.engine.failingKeysMin, false) ?? null;
    if (rule === null || judgement === null) return judgement;
    if (rule.lastCallSecond === null) {
      return { ...judgement, applies: false, sentence: "Nothing has been shadowed yet." };
    }
    const quiet = judgement.kind === "inconclusive" || judgement.kind === "blind";
    if (!quiet || this.#shadowed()) return judgement;
    const sentence = "Nothing is shadowed at present.";
    return { ...judgement, applies: false, kind: "inconclusive", action: "none", sentence };
  }

  #renewSlow(second: number): void {
    const { quantile, factor, baselineCallsMin } = this.#policy.latency;
    if (this.#histogram.total >= baselineCallsMin) {
      this.#slowMs = (this.#histogram.quantile(quantile) ?? 0) * factor;
    }
    this.#histogram.reset();
    this.#histogramSince = second;
  }

  #noteCost({ input }: Observation): void {
    const { cost } = this.operation.definition;
    if (cost === undefined || this.#costSecond === this.#second) return;
    this.#costSecond = this.#second;
    try {
      const declared = cost(input);
      this.#legacyCheaper = declared.legacy < declared.candidate;
    } catch {
      // The facade reports a cost that throws; here the answer is only that nobody knows.
      this.#legacyCheaper = null;
    }
  }

  /** Calls without a key count as a key each. */
  #keyOf(key: string): number {
    if (key !== "") return hashKey(key);
    this.#keyless = (this.#keyless + 1) >>> 0 || 1;
    return this.#keyless;
  }
}

/** To the answer: a stream's first byte, else the end. How fast a caller reads is not the path's doing. */
const answerMs = (outcome: Outcome): number => outcome.firstByteMs ?? outcome.durationMs;

/** Refused for lack of room before the path was called. */
const neverRan = (outcome: Outcome): boolean =>
  outcome.kind === "refused" && codeOf(outcome.error) === "MIGRATION_OVERLOADED";
