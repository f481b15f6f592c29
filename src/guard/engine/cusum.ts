/**
 * A Bernoulli mixture e-CUSUM: finds the moment from which bits are 1 more often than `p0`.
 *
 *   W_j <- max(0, W_j + ln(p1_j / p0))               for a 1
 *   W_j <- max(0, W_j + ln((1 - p1_j) / (1 - p0)))   for a 0
 *
 * over several alternatives p1_j; the value is the largest W_j. While the true share of ones is at most
 * p0, at least e^h / J bits pass on average before the value first reaches h, so that a threshold is a
 * statement about false alarms per day and not about one look. A long healthy past costs nothing: the
 * sums never go below 0. (Page, Biometrika 41, 1954; Shin, Ramdas, Rinaldo, arXiv 2203.03532.)
 *
 * Constant work for each bit, no allocation: the logarithms are taken in `weigh`, once a second.
 */
export class Cusum {
  readonly #sums: Float64Array;
  readonly #up: Float64Array;
  readonly #down: Float64Array;
  /** For each alternative: the caller's marks at the moment it last left 0. */
  readonly #marks: Float64Array;
  readonly #markCount: number;
  #value = 0;
  #lead = 0;

  /** `marks`: how many numbers describe a moment (see `one`); kept for the estimate of the onset. */
  constructor(alternatives: number, marks: number) {
    this.#sums = new Float64Array(alternatives);
    this.#up = new Float64Array(alternatives);
    this.#down = new Float64Array(alternatives);
    this.#markCount = marks;
    this.#marks = new Float64Array(alternatives * marks);
  }

  /** The largest sum. */
  get value(): number {
    return this.#value;
  }

  /**
   * Sets the null and one alternative. An alternative that is not above the null says nothing and is
   * switched off, its sum forgotten.
   */
  weigh(index: number, p0: number, p1: number): void {
    if (!(p1 > p0) || p0 <= 0 || p1 >= 1) {
      this.#up[index] = 0;
      this.#down[index] = 0;
      this.#sums[index] = 0;
      return;
    }
    this.#up[index] = Math.log(p1 / p0);
    this.#down[index] = Math.log((1 - p1) / (1 - p0));
  }

  /** A good bit. */
  zero(): void {
    // Sums that are 0 stay 0: nearly every call of a healthy path ends here.
    if (this.#value === 0) return;
    const sums = this.#sums;
    let value = 0;
    for (let j = 0; j < sums.length; j += 1) {
      const sum = Math.max(0, (sums[j] as number) + (this.#down[j] as number));
      sums[j] = sum;
      if (sum > value) value = sum;
    }
    this.#value = value;
  }

  /**
   * A bad bit. `now` describes the moment before it; it is copied where a sum leaves 0. Sums stop at
   * `cap`, so that recovery is noticed in as long as the failure took to be.
   */
  one(now: Float64Array, cap: number): void {
    const sums = this.#sums;
    let value = 0;
    for (let j = 0; j < sums.length; j += 1) {
      if (sums[j] === 0) this.#marks.set(now, j * this.#markCount);
      const sum = Math.min(cap, (sums[j] as number) + (this.#up[j] as number));
      sums[j] = sum;
      if (sum > value) {
        value = sum;
        this.#lead = j;
      }
    }
    this.#value = value;
  }

  /**
   * `calls` bits of which `bad` are ones, in unknown order: added as one sum that is cut at 0 only once,
   * so that a batch never raises an alarm that its bits one by one would not have raised.
   */
  batch(bad: number, calls: number, now: Float64Array, cap: number): void {
    const sums = this.#sums;
    let value = 0;
    for (let j = 0; j < sums.length; j += 1) {
      if (sums[j] === 0) this.#marks.set(now, j * this.#markCount);
      const step = bad * (this.#up[j] as number) + (calls - bad) * (this.#down[j] as number);
      const sum = Math.min(cap, Math.max(0, (sums[j] as number) + step));
      sums[j] = sum;
      if (sum > value) {
        value = sum;
        this.#lead = j;
      }
    }
    this.#value = value;
  }

  /** One number of the moment at which the leading sum last left 0. */
  mark(index: number): number {
    return this.#marks[this.#lead * this.#markCount + index] ?? 0;
  }

  reset(): void {
    this.#sums.fill(0);
    this.#value = 0;
    this.#lead = 0;
  }
}
