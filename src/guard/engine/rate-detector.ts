/*
 * Is the candidate bad more often than legacy? Two change detectors for each rule that counts bad calls.
 *
 * SIZE asks by how much: bits are the candidate's calls, 1 for a bad one. Its null is legacy's rate plus
 *   half of the allowed increase: `p0 = U + delta / 2`, where U is Wilson's upper bound (z = 3) of legacy's
 *   rate over the last 5 minutes. Below p0 it must not trip, above U + delta it must; between is nobody's.
 *   With few legacy calls U would say nothing, so the best-founded bound of earlier (at least 300 calls) is
 *   kept for when legacy's traffic fades, and dropped as soon as legacy is clearly worse than it.
 *   Before there was ever a baseline, a configured rate stands in.
 *
 * BLAME asks whose fault: bits are the *bad* calls of either path, 1 for a bad one of the candidate. Its null
 *   is the candidate's share of traffic. Whatever makes both paths fail more often by the same factor, an
 *   outage or a busy hour, cancels: it is invisible here however it moves in time.
 *
 * A rollback needs both: SIZE gives the meaning "more than delta", BLAME the immunity to the world. BLAME
 * alone means worse than legacy but inside the limit: hold. Thresholds are 14 plus the logarithm of how often
 * the detector is updated each second, so that false alarms are few per *day* at any traffic.
 *
 * From half of the traffic up BLAME loses its ears (nearly every bad call is the candidate's anyway), so
 * a SIZE alarm then starts a probe, legacy run beside candidate calls (probe.ts, pair-test.ts). Where that
 * is impossible, the judge looks at legacy's own calls since SIZE's onset: `worseThanLegacy` in judge.ts.
 *
 * What keeps the guarantees honest: calls on which both paths failed say nothing about either and are left
 * out; one key counts at most so many failures a minute, and a rollback needs failures spread over keys.
 */
import { Cusum } from "./cusum.ts";
import { KeySpread } from "./failure-keys.ts";
import { type Tally, wilson, wilsonUpper, zStrict } from "./wilson.ts";
import { CountWindow, longSeconds, shortSeconds } from "./window.ts";

/** What a rate detector is told once. */
export interface RateSettings {
  /** The allowed increase over legacy, as a share: 0.05 is 5 percentage points. */
  readonly delta: number;
  /** Legacy's rate before anything is known about it. */
  readonly baselineRate: number;
  /** Legacy calls below which its own rate is no baseline. */
  readonly baselineCallsMin: number;
  /** Base threshold of both detectors; e to this power is the run length to a false alarm. */
  readonly threshold: number;
}

/** Everything the judge needs to know about one rate; plain data. */
export interface RateState {
  readonly size: number;
  readonly sizeThreshold: number;
  readonly blame: number;
  readonly blameThreshold: number;
  /** The candidate's share of calls, 0 to 1. */
  readonly share: number;
  /** Upper bound of legacy's rate that SIZE works against. */
  readonly baseline: number;
  /** What the baseline was taken from. */
  readonly baselineFrom: "legacy" | "earlier" | "configured";
  /** Since the moment from which the leading SIZE sum rose. */
  readonly onset: {
    readonly second: number;
    readonly candidate: Tally;
    readonly legacy: Tally;
    /** Candidate failures that legacy answered, and that legacy failed too. */
    readonly blamed: number;
    readonly shared: number;
  };
  /** The last 60 s. */
  readonly recent: { readonly candidate: Tally; readonly legacy: Tally; readonly shared: number };
  /** Was a call of legacy ever counted? */
  readonly legacyKnown: boolean;
  /** Since the evidence period began. */
  readonly period: { readonly candidate: Tally; readonly legacy: Tally };
  /** Different failing keys since the onset, counted up to 8, and the worst one's share of failures. */
  readonly failingKeys: number;
  readonly topKeyShare: number;
}

/** From this share of traffic BLAME hears too little to be asked alone. */
export const highShare = 0.5;
const nearShare = 0.75;
/**
 * How much each alternative of SIZE weighs, the smallest increase first. Half of the whole is given to the two
 * nearest to the limit, where bits say little and a rollback takes longest; a total failure, of which five
 * bits are enough, needs the least. Against equal weights a rate of 10 points above legacy is found 5 %
 * sooner, by the same bound on false alarms.
 */
const sizeWeights = [0.15, 0.35, 0.25, 0.15, 0.1];
const blameWeights = [1, 1, 1];
/** How much worse than its share BLAME lets the candidate be: 10 %. */
const tolerance = 1.1;
const legacyRateFloor = 0.001;
const sureShare = 0.98;
const highestRate = 0.995;
const foundedCalls = 300;
/** Below this many calls the weights follow every bad call, above they are renewed each second. */
const fewCalls = 200;

// The columns of the window, and of the running totals.
const cCalls = 0;
const cBad = 1;
const lCalls = 2;
const lBad = 3;
const cBlamed = 4;
const cShared = 5;
const columns = 6;
const markSecond = columns;

/** SIZE and BLAME of one rule, with the counts they work on. Constant memory, constant work per call. */
export class RateDetector {
  readonly #settings: RateSettings;
  readonly #size = new Cusum(sizeWeights, columns + 1);
  readonly #blame = new Cusum(blameWeights, columns + 1);
  readonly #window = new CountWindow(columns);
  /** Running totals, and the second: what a mark of the onset holds. */
  readonly #totals = new Float64Array(columns + 1);
  readonly #period = new Float64Array(columns + 1);
  readonly #spread = new KeySpread();
  #share = 1;
  #baseline: number;
  #baselineFrom: RateState["baselineFrom"] = "configured";
  #earlier: number | null = null;
  #sizeThreshold: number;
  #blameThreshold: number;

  constructor(settings: RateSettings) {
    this.#settings = settings;
    this.#baseline = settings.baselineRate;
    this.#sizeThreshold = settings.threshold;
    this.#blameThreshold = settings.threshold;
    this.#weigh();
  }

  /** SIZE is over its threshold. */
  get sizeAlarm(): boolean {
    return this.#size.value >= this.#sizeThreshold;
  }

  /** BLAME is over its threshold. */
  get blameAlarm(): boolean {
    return this.#blame.value >= this.#blameThreshold;
  }

  /**
   * SIZE is near its threshold or over it, and BLAME has not said and can hardly say whose fault it is. Near
   * it and not at it: what is found out meanwhile need not be waited for once SIZE gets there.
   */
  get unexplained(): boolean {
    const near = this.#size.value >= this.#sizeThreshold * nearShare;
    return near && !this.blameAlarm && this.#share >= highShare;
  }

  /** SIZE is below half of its threshold. */
  get calm(): boolean {
    return this.#size.value < this.#sizeThreshold / 2;
  }

  /** Upper bound of legacy's rate that SIZE works against. */
  get baseline(): number {
    return this.#baseline;
  }

  /** Moves the windows to `second`; does nothing within one second. */
  advance(second: number): void {
    if (second <= this.#window.second) return;
    this.#window.advance(second);
    this.#totals[markSecond] = second;
    // BLAME only hears bad calls: where nothing fails any more, nothing would ever take it down again.
    if (this.#size.value === 0 && this.#window.long(cBad) === 0) this.#blame.reset();
    this.#weigh();
  }

  /** A good call of the candidate. */
  candidateGood(): void {
    this.#count(cCalls);
    this.#size.zero();
  }

  /**
   * A bad call of the candidate, from a key by its hash. `blamed`: legacy answered the same call.
   */
  candidateBad(keyHash: number, blamed: boolean): void {
    this.#weighIfFew();
    if (this.#size.value === 0) this.#spread.reset();
    this.#spread.add(keyHash);
    this.#size.one(this.#totals, this.#sizeThreshold * 1.5);
    this.#blame.one(this.#totals, this.#blameThreshold * 1.5);
    this.#count(cCalls);
    this.#count(cBad);
    if (blamed) this.#count(cBlamed);
  }

  /** A call that both paths failed: says nothing about either. */
  bothBad(): void {
    this.#count(cShared);
  }

  /** A call of legacy. */
  legacy(bad: boolean): void {
    if (bad) {
      this.#weighIfFew();
      this.#blame.zero();
      this.#count(lBad);
    }
    this.#count(lCalls);
  }

  /** Many calls of one path at once, in unknown order; never alarms earlier than one by one. */
  candidateBatch(bad: number, calls: number): void {
    this.#size.batch(bad, calls, this.#totals, this.#sizeThreshold * 1.5);
    this.#blame.batch(bad, bad, this.#totals, this.#blameThreshold * 1.5);
    this.#count(cCalls, calls);
    this.#count(cBad, bad);
  }

  /** Many calls of legacy at once. */
  legacyBatch(bad: number, calls: number): void {
    if (bad > 0) this.#blame.batch(0, bad, this.#totals, this.#blameThreshold * 1.5);
    this.#count(lCalls, calls);
    this.#count(lBad, bad);
  }

  /** Begins a new evidence period: what a stage of a rollout is judged healthy by. */
  beginPeriod(): void {
    this.#period.set(this.#totals);
  }

  /** Forgets every alarm and count but the baseline: after a person re-armed the latch. */
  restart(): void {
    this.#size.reset();
    this.#blame.reset();
    this.#spread.reset();
    this.beginPeriod();
  }

  state(): RateState {
    const window = this.#window;
    const since = (column: number): number => (this.#totals[column] ?? 0) - this.#size.mark(column);
    const period = (column: number): number =>
      (this.#totals[column] ?? 0) - (this.#period[column] ?? 0);
    return {
      size: this.#size.value,
      sizeThreshold: this.#sizeThreshold,
      blame: this.#blame.value,
      blameThreshold: this.#blameThreshold,
      share: this.#share,
      baseline: this.#baseline,
      baselineFrom: this.#baselineFrom,
      onset: {
        second: this.#size.mark(markSecond),
        candidate: { bad: since(cBad), calls: since(cCalls) },
        legacy: { bad: since(lBad), calls: since(lCalls) },
        blamed: since(cBlamed),
        shared: since(cShared),
      },
      recent: {
        candidate: { bad: window.short(cBad), calls: window.short(cCalls) },
        legacy: { bad: window.short(lBad), calls: window.short(lCalls) },
        shared: window.short(cShared),
      },
      legacyKnown: (this.#totals[lCalls] ?? 0) > 0,
      period: {
        candidate: { bad: period(cBad), calls: period(cCalls) },
        legacy: { bad: period(lBad), calls: period(lCalls) },
      },
      failingKeys: this.#spread.distinct,
      topKeyShare: this.#spread.topShare,
    };
  }

  #count(column: number, count = 1): void {
    this.#window.add(column, count);
    this.#totals[column] = (this.#totals[column] ?? 0) + count;
  }

  #weighIfFew(): void {
    if (this.#window.short(cCalls) + this.#window.short(lCalls) < fewCalls) this.#weigh();
  }

  #weigh(): void {
    const window = this.#window;
    const candidate = window.short(cCalls);
    // One call more on the candidate's side: with few calls its share is over- and not underestimated.
    this.#share = (candidate + 1) / (candidate + window.short(lCalls) + 1);
    this.#setBaseline(window.long(lBad), window.long(lCalls));
    this.#weighSize();
    this.#weighBlame(window.long(lBad) / Math.max(1, window.long(lCalls)));
    const { threshold } = this.#settings;
    const bad = window.short(cBad) + window.short(lBad);
    this.#sizeThreshold = threshold + Math.log(Math.max(1, candidate / shortSeconds));
    this.#blameThreshold = threshold + Math.log(Math.max(1, bad / shortSeconds));
  }

  #setBaseline(bad: number, calls: number): void {
    const { baselineRate, baselineCallsMin } = this.#settings;
    const upper = wilsonUpper(bad, calls, zStrict);
    // Traffic that fades leaves fewer calls in the window: what it said with more of them is kept.
    const fading = this.#window.short(lCalls) * (longSeconds / shortSeconds) < calls / 2;
    if (calls >= foundedCalls && !fading) this.#earlier = upper;
    const founded =
      calls >= (this.#earlier === null ? baselineCallsMin : foundedCalls) &&
      !(fading && this.#earlier !== null);
    const worse =
      this.#earlier !== null &&
      calls >= baselineCallsMin &&
      wilson({ bad, calls }, zStrict).lower > this.#earlier;
    if (founded || worse) {
      this.#baseline = upper;
      this.#baselineFrom = "legacy";
    } else {
      this.#baseline = this.#earlier ?? baselineRate;
      this.#baselineFrom = this.#earlier === null ? "configured" : "earlier";
    }
  }

  #weighSize(): void {
    const { delta } = this.#settings;
    const upper = this.#baseline;
    const p0 = upper + delta / 2;
    this.#size.weigh(0, p0, Math.min(highestRate, upper + delta));
    this.#size.weigh(1, p0, Math.min(highestRate, upper + 2 * delta));
    this.#size.weigh(2, p0, Math.min(highestRate, upper + 0.2));
    this.#size.weigh(3, p0, Math.min(highestRate, Math.max(upper + 0.3, 0.5)));
    this.#size.weigh(4, p0, Math.min(highestRate, Math.max(upper + delta, 0.95)));
  }

  #weighBlame(measured: number): void {
    const { delta } = this.#settings;
    const share = this.#share;
    const legacyRate = Math.max(legacyRateFloor, measured);
    const p0 = (share * tolerance) / (share * tolerance + 1 - share);
    const alternative = (rate: number): number => {
      const bad = share * Math.min(highestRate, rate);
      return Math.min(sureShare, bad / (bad + (1 - share) * legacyRate));
    };
    this.#blame.weigh(0, p0, alternative(legacyRate + delta));
    this.#blame.weigh(1, p0, alternative(legacyRate + 0.25));
    this.#blame.weigh(2, p0, alternative(0.95));
  }
}
