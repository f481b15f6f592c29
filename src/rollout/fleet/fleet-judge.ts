import { hashKey, KeySpread } from "../../guard/engine/failure-keys.ts";
import { RateDetector } from "../../guard/engine/rate-detector.ts";
import { judgeRate } from "../../guard/judge.ts";
import type { Policy, RatePolicy } from "../../guard/policy.ts";
import { type RuleName, type Verdict, worst } from "../../guard/verdict.ts";
import type { PathTotals } from "../evidence.ts";
import type { PooledCounts } from "./pooled-totals.ts";

/** Failures of one instance that are told apart in one look: enough to see who holds most of them. */
const spreadPerLook = 1000;

/**
 * The guard's rate rules on the counts of the whole fleet: the same detectors, the same judge, fed in batches
 * of one look each. Instances stand where keys stand in one process: failures that come from too few of
 * them are one sick process and not the fleet.
 */
export class FleetJudge {
  readonly #operation: string;
  readonly #rules: readonly PooledRule[];
  #blind: string | null = "No counts have been read yet.";
  #since = 0;

  /**
   * @param probed instances run legacy beside the candidate to find out whose fault it is (reads): from
   *   half of the traffic up their own verdicts are worth more than pooled counts
   */
  constructor(operation: string, policy: Policy, probed: boolean) {
    this.#operation = operation;
    const { errorRate, timeoutRate } = policy;
    const make = (settings: Omit<PooledSettings, "policy" | "probed">): PooledRule =>
      new PooledRule({ ...settings, policy, probed });
    this.#rules = [
      make({
        name: "error-rate",
        did: "failed",
        rule: errorRate,
        bad: (totals) => totals.failed + totals.timedOut,
      }),
      make({
        name: "timeout-rate",
        did: "timed out",
        rule: timeoutRate,
        bad: ({ timedOut }) => timedOut,
      }),
    ].filter(({ settings }) => settings.rule.enabled);
  }

  /** Takes what was counted since the last look. `second` is that of a monotonic clock. */
  add(counts: PooledCounts, second: number): void {
    this.#blind = null;
    for (const rule of this.#rules) rule.add(counts, second);
  }

  /** Nothing could be read at this look. */
  lose(why: string, nowMs: number): void {
    if (this.#blind === null) this.#since = nowMs;
    this.#blind = why;
  }

  /** Begins a new evidence period, as at the entry of a stage. */
  beginPeriod(): void {
    for (const rule of this.#rules) rule.beginPeriod();
  }

  /** The worst of the rules; `blind` while nothing can be read. */
  verdict(nowMs: number): Verdict {
    if (this.#blind !== null) {
      return {
        operation: this.#operation,
        rule: "overall",
        kind: "blind",
        action: "alert",
        page: false,
        applies: true,
        observed: null,
        limit: null,
        samples: 0,
        sinceMs: this.#since,
        sentence: this.#blind,
      };
    }
    const verdicts = this.#rules.map((rule) => rule.verdict(this.#operation, nowMs));
    return worst(this.#operation, verdicts);
  }
}

interface PooledSettings {
  readonly name: RuleName;
  readonly did: string;
  readonly rule: RatePolicy;
  readonly policy: Policy;
  readonly probed: boolean;
  readonly bad: (totals: PathTotals) => number;
}

class PooledRule {
  readonly settings: PooledSettings;
  readonly #detector: RateDetector;
  readonly #spread = new KeySpread();
  #second = 0;
  #lastCall: number | null = null;
  #sizeSince: number | null = null;
  #calmSince: number | null = null;
  #present = 0;

  constructor(settings: PooledSettings) {
    const { engine } = settings.policy;
    this.settings = settings;
    this.#detector = new RateDetector({
      delta: settings.rule.increase,
      baselineRate: engine.baselineRate,
      baselineCallsMin: engine.baselineCallsMin,
      threshold: engine.threshold,
    });
  }

  add({ sum, parts }: PooledCounts, second: number): void {
    const { bad } = this.settings;
    this.#second = second;
    this.#calmSince ??= second;
    this.#detector.advance(second);
    if (this.#detector.state().size === 0) this.#spread.reset();
    this.#present = parts.length;
    for (const { instance, counts } of parts) {
      const failures = Math.min(spreadPerLook, bad(counts.candidate));
      const hash = hashKey(instance);
      for (let failure = 0; failure < failures; failure += 1) this.#spread.add(hash);
    }
    this.#detector.legacyBatch(bad(sum.legacy), sum.legacy.calls);
    this.#detector.candidateBatch(bad(sum.candidate), sum.candidate.calls);
    if (sum.candidate.calls > 0) this.#lastCall = second;
    this.#sizeSince = this.#detector.sizeAlarm ? (this.#sizeSince ?? second) : null;
  }

  beginPeriod(): void {
    this.#detector.beginPeriod();
    this.#calmSince = this.#second;
  }

  verdict(operation: string, nowMs: number): Verdict {
    const { name, did, rule, policy, probed } = this.settings;
    const state = {
      ...this.#detector.state(),
      failingKeys: this.#spread.distinct,
      topKeyShare: this.#spread.topShare,
    };
    const judgement = judgeRate(state, {
      rule,
      engine: policy.engine,
      did,
      nowMs,
      nowSecond: this.#second,
      sizeSinceSecond: this.#sizeSince,
      lastCallSecond: this.#lastCall,
      calmSeconds: this.#second - (this.#calmSince ?? this.#second),
      fixedBaseline: false,
      keysPresent: this.#present,
      probed: probed ? "none" : "impossible",
    });
    if (judgement.kind === "suspect" || judgement.kind === "breached") {
      this.#calmSince = this.#second;
    }
    return { operation, rule: name, ...judgement };
  }
}
