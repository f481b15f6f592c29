// Where the numbers of a moment are: e^value - 1, the value, the cap, and e^cap.
const aboveOf = 0;
const levelOf = 1;
const capOf = 2;
const oddsMaxOf = 3;

/**
 * A Bernoulli mixture e-CUSUM: finds the moment from which bits are 1 more often than `p0`.
 *
 *   W_j <- max(0, W_j + ln(p1_j / p0))               for a 1
 *   W_j <- max(0, W_j + ln((1 - p1_j) / (1 - p0)))   for a 0
 *
 * over several alternatives p1_j. The value is the logarithm of their mixture, with weights c_j that add up
 * to the number J of alternatives:
 *
 *   value = ln(1 + sum_j c_j (e^W_j - 1))
 *
 * While the true share of ones is at most p0, at least e^h / J bits pass on average before the value first
 * reaches h, whatever the weights are; so a threshold is a statement about false alarms per day and not
 * about one look. Weights are where the patience goes: ln(c_j) is what an alternative is ahead of the
 * threshold. A long healthy past costs nothing: the sums never go below 0. (Page, Biometrika 41, 1954;
 * mixtures of e-detectors: Shin, Ramdas, Rinaldo, arXiv 2203.03532.)
 *
 * Constant work for each bit, no allocation: what is kept are the e^W_j, so that a bit is a multiplication,
 * and the one logarithm is taken when somebody asks.
 */
export class Cusum {
  /** e^W_j: at least 1. */
  readonly #odds: Float64Array;
  readonly #weights: Float64Array;
  /** What a 1 and a 0 multiply them by. */
  readonly #up: Float64Array;
  readonly #down: Float64Array;
  /** For each alternative: the caller's marks at the moment its sum last left 0. */
  readonly #marks: Float64Array;
  readonly #markCount: number;
  /** Numbers that change with each bit: in an array, because in a field each would be a new object. */
  readonly #now = new Float64Array(4);
  #isMixed = true;
  #lead = 0;

  /**
   * `weights`: of the alternatives, as many as there are; only their proportions matter. `marks`: how many
   * numbers describe a moment (see `one`); kept for the estimate of the onset.
   */
  constructor(weights: readonly number[], marks: number) {
    const alternatives = weights.length;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    this.#weights = Float64Array.from(weights, (weight) => (weight / total) * alternatives);
    this.#odds = new Float64Array(alternatives).fill(1);
    this.#up = new Float64Array(alternatives).fill(1);
    this.#down = new Float64Array(alternatives).fill(1);
    this.#markCount = marks;
    this.#marks = new Float64Array(alternatives * marks);
  }

  /** The logarithm of the mixture; 0 where every sum is. */
  get value(): number {
    if (!this.#isMixed) {
      this.#now[levelOf] = Math.log1p(this.#now[aboveOf] as number);
      this.#isMixed = true;
    }
    return this.#now[levelOf] as number;
  }

  /**
   * Sets the null and one alternative. An alternative that is not above the null says nothing and is
   * switched off, its sum forgotten.
   */
  weigh(index: number, p0: number, p1: number): void {
    if (!(p1 > p0) || p0 <= 0 || p1 >= 1) {
      this.#up[index] = 1;
      this.#down[index] = 1;
      this.#odds[index] = 1;
      return;
    }
    this.#up[index] = p1 / p0;
    this.#down[index] = (1 - p1) / (1 - p0);
  }

  /** A good bit. */
  zero(): void {
    // Sums that are 0 stay 0: nearly every call of a healthy path ends here.
    if (this.#now[aboveOf] === 0) return;
    const odds = this.#odds;
    for (let j = 0; j < odds.length; j += 1) {
      odds[j] = Math.max(1, (odds[j] as number) * (this.#down[j] as number));
    }
    this.#mix();
  }

  /**
   * A bad bit. `now` describes the moment before it; it is copied where a sum leaves 0. Sums stop at
   * `cap` (700 at most), so that recovery is noticed in as long as the failure took to be.
   */
  one(now: Float64Array, cap: number): void {
    const odds = this.#odds;
    const oddsMax = this.#limit(cap);
    for (let j = 0; j < odds.length; j += 1) {
      const before = odds[j] as number;
      if (before === 1) this.#marks.set(now, j * this.#markCount);
      odds[j] = Math.min(oddsMax, before * (this.#up[j] as number));
    }
    this.#mix();
  }

  /**
   * `calls` bits of which `bad` are ones, in unknown order: added as one sum that is cut at 0 only once,
   * so that a batch never raises an alarm that its bits one by one would not have raised.
   */
  batch(bad: number, calls: number, now: Float64Array, cap: number): void {
    if (bad === 0 && this.#now[aboveOf] === 0) return;
    const odds = this.#odds;
    const oddsMax = this.#limit(cap);
    for (let j = 0; j < odds.length; j += 1) {
      const before = odds[j] as number;
      if (before === 1) this.#marks.set(now, j * this.#markCount);
      // In logarithms: a power of many bits is beyond what a number can hold.
      const ones = bad === 0 ? 0 : bad * Math.log(this.#up[j] as number);
      const step = Math.log(before) + ones + (calls - bad) * Math.log(this.#down[j] as number);
      odds[j] = Math.min(oddsMax, Math.exp(Math.max(0, step)));
    }
    this.#mix();
  }

  /** One number of the moment at which the leading sum last left 0. */
  mark(index: number): number {
    return this.#marks[this.#lead * this.#markCount + index] ?? 0;
  }

  reset(): void {
    this.#odds.fill(1);
    this.#now[aboveOf] = 0;
    this.#now[levelOf] = 0;
    this.#isMixed = true;
    this.#lead = 0;
  }

  /** The most that e^W_j may be. */
  #limit(cap: number): number {
    const now = this.#now;
    if (cap !== now[capOf]) {
      now[capOf] = cap;
      now[oddsMaxOf] = Math.exp(Math.min(cap, 700));
    }
    return now[oddsMaxOf] as number;
  }

  #mix(): void {
    const odds = this.#odds;
    let above = 0;
    let highest = 1;
    for (let j = 0; j < odds.length; j += 1) {
      const each = odds[j] as number;
      above += (this.#weights[j] as number) * (each - 1);
      if (each > highest) {
        highest = each;
        this.#lead = j;
      }
    }
    this.#now[aboveOf] = above;
    this.#isMixed = false;
  }
}
