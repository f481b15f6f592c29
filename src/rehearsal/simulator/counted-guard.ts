import { KeyCensus } from "../../guard/engine/failure-keys.ts";
import { RateDetector } from "../../guard/engine/rate-detector.ts";
import { judgeRate } from "../../guard/judge.ts";
import type { Policy } from "../../guard/policy.ts";
import { noTrip, type SimulatedPolicy } from "./simulated-policy.ts";
import { answers, candidateFirst, legacyBefore, type TrafficSecond } from "./traffic.ts";

/**
 * The guard's error-rate rule over counts: its own detector and its own judge, without an observation for
 * each call, so that a hundred days take seconds.
 *
 * Why that is the same thing. Between two bad calls there are only good ones, and a run of n good calls
 * moves a sum by max(0, W + n * down), which is what n single steps with a negative `down` come to: so
 * good calls are added in bulk and bad ones one by one, in their order. Nothing is approximated, nothing
 * is batched that holds a bad call; a test plays the same traffic to the whole guard and wants the same
 * call to trip.
 *
 * What it leaves out: every other rule, and the cap on one key's failures. It takes each call to come from a
 * key of its own, and is only used where nothing but error rates differs.
 */
export class CountedGuard implements SimulatedPolicy {
  readonly name: string;
  readonly reopens = false;
  holds = 0;
  harmed = 0;
  readonly #policy: Policy;
  readonly #detector: RateDetector;
  readonly #census: KeyCensus;
  readonly #keys: readonly string[];
  #calls = 0;
  #failures = 0;
  #second = 0;
  #lastCall: number | null = null;
  #sizeSince: number | null = null;
  #holding = false;
  #sharedSeen = false;

  constructor(name: string, policy: Policy) {
    const { engine, errorRate } = policy;
    this.name = name;
    this.#policy = policy;
    this.#detector = new RateDetector({
      delta: errorRate.increase,
      baselineRate: engine.baselineRate,
      baselineCallsMin: engine.baselineCallsMin,
      threshold: engine.threshold,
    });
    this.#census = new KeyCensus(engine.failingKeysMin);
    this.#keys = Array.from({ length: engine.failingKeysMin }, (_, key) => `key-${key}`);
  }

  play(traffic: TrafficSecond): number {
    if (!this.#policy.errorRate.enabled) return this.#ignore(traffic);
    const detector = this.#detector;
    this.#second = traffic.second;
    detector.advance(traffic.second);
    this.#followSize();
    if (this.#tick()) return 0;
    let candidate = 0;
    let legacy = 0;
    let legacyBad = 0;
    for (let bad = 0; bad < traffic.candidateBads; bad += 1) {
      const index = traffic.candidateBad[bad] ?? 0;
      for (; legacyBad < traffic.legacyBads; legacyBad += 1) {
        const at = traffic.legacyBad[legacyBad] ?? 0;
        if (candidateFirst(index, at, traffic)) break;
        detector.legacyBatch(0, at - legacy);
        detector.legacy(true);
        legacy = at + 1;
      }
      const due = legacyBefore(index, traffic);
      detector.legacyBatch(0, due - legacy);
      legacy = due;
      this.#good(index - candidate);
      candidate = index + 1;
      if (this.#bad(traffic.answer[bad] ?? answers.notAsked)) return candidate;
    }
    for (; legacyBad < traffic.legacyBads; legacyBad += 1) {
      const at = traffic.legacyBad[legacyBad] ?? 0;
      detector.legacyBatch(0, at - legacy);
      detector.legacy(true);
      legacy = at + 1;
    }
    detector.legacyBatch(0, traffic.legacyCalls - legacy);
    this.#good(traffic.candidateCalls - candidate);
    return noTrip;
  }

  rearm(): void {
    this.#detector.restart();
    this.#sizeSince = null;
    this.#holding = false;
  }

  #good(calls: number): void {
    if (calls <= 0) return;
    this.#detector.candidateBatch(0, calls);
    this.#see(calls);
  }

  #bad(answer: number): boolean {
    this.#see(1);
    if (answer === answers.failedToo) {
      this.#sharedSeen = true;
      this.#detector.bothBad();
      this.harmed += 1;
      return this.#detector.sizeAlarm && this.#judge();
    }
    if (answer === answers.notAsked) this.harmed += 1;
    this.#failures = (this.#failures + 1) >>> 0 || 1;
    this.#detector.candidateBad(this.#failures, answer === answers.answered);
    this.#followSize();
    return this.#detector.sizeAlarm && this.#judge();
  }

  #see(calls: number): void {
    this.#lastCall = this.#second;
    for (let call = 0; call < Math.min(calls, this.#keys.length); call += 1) {
      this.#calls = (this.#calls + 1) % this.#keys.length;
      this.#census.see(this.#keys[this.#calls] ?? "", this.#second);
    }
  }

  /** What the guard does each second. Without an alarm, and without shared failures, nothing can be said. */
  #tick(): boolean {
    const { sizeAlarm, blameAlarm } = this.#detector;
    if (sizeAlarm || blameAlarm || this.#sharedSeen) return this.#judge();
    this.#holding = false;
    return false;
  }

  #judge(): boolean {
    const { errorRate, engine } = this.#policy;
    const { kind, action } = judgeRate(this.#detector.state(), {
      rule: errorRate,
      engine,
      did: "failed",
      fixedBaseline: false,
      nowMs: this.#second * 1000,
      nowSecond: this.#second,
      sizeSinceSecond: this.#sizeSince,
      lastCallSecond: this.#lastCall,
      keysPresent: this.#census.count,
    });
    if (kind === "breached" && action === "rollback") return true;
    if (action === "hold" && !this.#holding) this.holds += 1;
    this.#holding = action === "hold";
    return false;
  }

  #followSize(): void {
    this.#sizeSince = this.#detector.sizeAlarm ? (this.#sizeSince ?? this.#second) : null;
  }

  #ignore({ candidateBads, answer }: TrafficSecond): number {
    for (let bad = 0; bad < candidateBads; bad += 1) {
      if (answer[bad] !== answers.answered) this.harmed += 1;
    }
    return noTrip;
  }
}
