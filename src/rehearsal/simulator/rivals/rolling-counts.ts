/** Sums over the last `seconds` in buckets of one second, for a few columns. */
export class RollingCounts {
  readonly #seconds: number;
  readonly #columns: number;
  readonly #buckets: Float64Array;
  readonly #sums: Float64Array;
  #second = 0;

  constructor(seconds: number, columns: number) {
    this.#seconds = seconds;
    this.#columns = columns;
    this.#buckets = new Float64Array(seconds * columns);
    this.#sums = new Float64Array(columns);
  }

  /** Forgets what is older than the window, seen from `second`. */
  advance(second: number): void {
    const passed = Math.min(second - this.#second, this.#seconds);
    for (let step = passed - 1; step >= 0; step -= 1) {
      const row = ((second - step) % this.#seconds) * this.#columns;
      for (let column = 0; column < this.#columns; column += 1) {
        this.#sums[column] = this.sum(column) - (this.#buckets[row + column] ?? 0);
        this.#buckets[row + column] = 0;
      }
    }
    this.#second = Math.max(this.#second, second);
  }

  add(column: number, count: number): void {
    const at = (this.#second % this.#seconds) * this.#columns + column;
    this.#buckets[at] = (this.#buckets[at] ?? 0) + count;
    this.#sums[column] = this.sum(column) + count;
  }

  sum(column: number): number {
    return this.#sums[column] ?? 0;
  }

  reset(): void {
    this.#buckets.fill(0);
    this.#sums.fill(0);
  }
}
