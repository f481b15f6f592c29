import { FailureKeys } from "./engine/failure-keys.ts";
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
export class RateRule {
  readonly name: RuleName;
  readonly #settings: RateRuleSettings;
  readonly #detector: RateDetector;
  readonly #keys = new FailureKeys();
  #second = 0;
  #sizeSince: number | null = null;
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

  advance(second: number): void {
    this.#second = second;
    this.#detector.advance(second);
    this.#followSize();
  }

  /** A call of the candidate; `blamed` when legacy answered it after the candidate failed. */
  candidate(bad: boolean, keyHash: number, blamed: boolean): void {
    this.#lastCall = this.#second;
    if (!bad) {
      this.#detector.candidateGood();
    } else if (this.#admit(keyHash)) {
      this.#detector.candidateBad(keyHash, blamed);
      this.#followSize();
    }
  }

  /** A call that both paths failed. */
  both(): void {
    this.#lastCall = this.#second;
    this.#detector.bothBad();
  }

  /** A call of legacy. */
  legacy(bad: boolean, keyHash: number): void {
    if (!bad || this.#admit((keyHash ^ legacySeed) >>> 0 || 1)) this.#detector.legacy(bad);
  }

  judge(nowMs: number, keysPresent: number): Judgement {
    return judgeRate(this.#detector.state(), {
      rule: this.#settings.rule,
      engine: this.#settings.engine,
      did: this.#settings.did,
      fixedBaseline: this.#settings.fixedBaseline !== undefined,
      nowMs,
      nowSecond: this.#second,
      sizeSinceSecond: this.#sizeSince,
      lastCallSecond: this.#lastCall,
      keysPresent,
    });
  }

  /** The counts behind the judgement. */
  state(): RateState {
    return this.#detector.state();
  }

  beginPeriod(): void {
    this.#detector.beginPeriod();
  }

  restart(): void {
    this.#detector.restart();
    this.#sizeSince = null;
  }

  #admit(keyHash: number): boolean {
    return this.#keys.admit(keyHash, this.#second, this.#settings.engine.failuresPerKeyAndMinute);
  }

  #followSize(): void {
    this.#sizeSince = this.#detector.sizeAlarm ? (this.#sizeSince ?? this.#second) : null;
  }
}
