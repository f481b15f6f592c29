import { FailureKeys } from "./engine/failure-keys.ts";
import { PairTest } from "./engine/pair-test.ts";
import type { Probed, ProbedRule } from "./engine/probe.ts";
import { RateDetector, type RateState } from "./engine/rate-detector.ts";
import { judgeRate, type RateFacts } from "./judge.ts";
import type { EnginePolicy } from "./policy.ts";
import type { Judgement, RuleName } from "./verdict.ts";

/** What one rate rule is made of. */
export interface RateRuleSettings {
  readonly name: RuleName;
  readonly did: string;
  readonly rule: RateFacts["rule"];
  readonly engine: EnginePolicy;
  /** A rate to be compared with instead of legacy's. */
  readonly fixedBaseline?: number;
}

const legacySeed = 0x9e3779b9;

/** One rule about the share of bad calls: its detector, and what the judge wants to know beside it. */
export class RateRule implements ProbedRule {
  readonly name: RuleName;
  readonly #settings: RateRuleSettings;
  readonly #detector: RateDetector;
  readonly #keys = new FailureKeys();
  readonly #test = new PairTest();
  #probed: Probed = "none";
  #second = 0;
  #sizeSince: number | null = null;
  /** Since when the evidence period has lasted without a hold. */
  #calmSince = 0;
  #lastCall: number | null = null;

  constructor(settings: RateRuleSettings) {
    const { engine, rule, fixedBaseline } = settings;
    this.name = settings.name;
    this.#settings = settings;
    this.#detector = new RateDetector({
      delta: rule.increase,
      baselineRate: fixedBaseline ?? engine.baselineRate,
      baselineCallsMin: engine.baselineCallsMin,
      threshold: engine.threshold,
    });
  }

  /** The rule may have something to say; ask `judge`. */
  get alarmed(): boolean {
    return this.#detector.sizeAlarm;
  }

  /** Upper bound of legacy's rate. */
  get baseline(): number {
    return this.#detector.baseline;
  }

  get lastCallSecond(): number | null {
    return this.#lastCall;
  }

  /** What the last probe found out. */
  get probed(): Probed {
    return this.#probed;
  }

  get wantsProbe(): boolean {
    return this.#detector.unexplained;
  }

  get calm(): boolean {
    return this.#detector.calm;
  }

  beginProbe(fresh: boolean): void {
    if (fresh) this.#test.reset();
    this.#probed = "running";
  }

  /** Both paths ran with the same call. */
  pair(candidateBad: boolean, legacyBad: boolean): void {
    if (this.#probed !== "running") return;
    this.#test.add(candidateBad, legacyBad);
    const { engine, rule } = this.#settings;
    const answer = this.#test.answer(engine.probe.threshold, rule.increase);
    if (answer !== "open") this.#probed = answer;
  }

  endProbe(): void {
    if (this.#probed === "running") this.#probed = "capped";
    this.#followSize();
  }

  advance(second: number): void {
    this.#second = second;
    this.#detector.advance(second);
    this.#followSize();
  }

  /**
   * A call of the candidate; `blamed` when legacy answered it after the candidate failed. False when it
   * does not count: its key has failed too often in this minute.
   */
  candidate(bad: boolean, keyHash: number, blamed: boolean): boolean {
    this.#lastCall = this.#second;
    if (!bad) {
      this.#detector.candidateGood();
    } else if (this.#admit(keyHash)) {
      this.#detector.candidateBad(keyHash, blamed);
      this.#followSize();
    } else {
      return false;
    }
    return true;
  }

  /** A call that both paths failed. */
  both(): void {
    this.#lastCall = this.#second;
    this.#detector.bothBad();
  }

  /** A call of legacy. False when it does not count: its key has failed too often in this minute. */
  legacy(bad: boolean, keyHash: number): boolean {
    if (bad && !this.#admit((keyHash ^ legacySeed) >>> 0 || 1)) return false;
    this.#detector.legacy(bad);
    return true;
  }

  /** `probes`: legacy can be run beside the candidate's calls. */
  judge(nowMs: number, keysPresent: number, probes: boolean): Judgement {
    const judgement = judgeRate(this.#detector.state(), {
      rule: this.#settings.rule,
      engine: this.#settings.engine,
      did: this.#settings.did,
      fixedBaseline: this.#settings.fixedBaseline !== undefined,
      nowMs,
      nowSecond: this.#second,
      sizeSinceSecond: this.#sizeSince,
      lastCallSecond: this.#lastCall,
      calmSeconds: this.#second - this.#calmSince,
      keysPresent,
      probed: probes ? this.#probed : "impossible",
      pairs: this.#test,
    });
    if (judgement.kind === "suspect" || judgement.kind === "breached") {
      this.#calmSince = this.#second;
    }
    return judgement;
  }

  /** The counts behind the judgement. */
  state(): RateState {
    return this.#detector.state();
  }

  beginPeriod(): void {
    this.#detector.beginPeriod();
    this.#calmSince = this.#second;
  }

  restart(): void {
    this.#detector.restart();
    this.#sizeSince = null;
    this.#probed = "none";
    this.#calmSince = this.#second;
  }

  #admit(keyHash: number): boolean {
    return this.#keys.admit(keyHash, this.#second, this.#settings.engine.failuresPerKeyAndMinute);
  }

  #followSize(): void {
    const alarm = this.#detector.sizeAlarm;
    this.#sizeSince = alarm ? (this.#sizeSince ?? this.#second) : null;
    if (this.#detector.calm && this.#probed !== "running") this.#probed = "none";
  }
}
