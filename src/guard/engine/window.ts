/** Seconds of the short span: the share of calls, whether data is fresh. */
export const shortSeconds = 60;
/** Seconds of the long span: legacy's rate. */
export const longSeconds = 300;

/**
 * Rolling counts in 1-second buckets over the last 60 s and the last 5 minutes, for a fixed number of
 * columns. Memory is 300 numbers of 4 bytes for each column, whatever the traffic; adding is one
 * increment, moving on costs one pass over the columns for each second that went by.
 */
export class CountWindow {
  readonly #columns: number;
  readonly #buckets: Uint32Array;
  readonly #short: Float64Array;
  readonly #long: Float64Array;
  #second = 0;
  /** Where the bucket of the present second begins. */
  #present = 0;

  constructor(columns: number) {
    this.#columns = columns;
    this.#buckets = new Uint32Array(columns * longSeconds);
    this.#short = new Float64Array(columns);
    this.#long = new Float64Array(columns);
  }

  /** The second that is being counted into. */
  get second(): number {
    return this.#second;
  }

  /** Moves on to `second` (whole seconds of any clock that does not go backwards). */
  advance(second: number): void {
    if (second - this.#second >= longSeconds) {
      this.#buckets.fill(0);
      this.#short.fill(0);
      this.#long.fill(0);
      this.#second = second;
      this.#present = this.#row(second);
      return;
    }
    while (this.#second < second) {
      this.#second += 1;
      const reused = this.#row(this.#second);
      const leavesShort = this.#row(this.#second + longSeconds - shortSeconds);
      for (let column = 0; column < this.#columns; column += 1) {
        this.#long[column] = this.long(column) - (this.#buckets[reused + column] ?? 0);
        this.#buckets[reused + column] = 0;
        this.#short[column] = this.short(column) - (this.#buckets[leavesShort + column] ?? 0);
      }
    }
    this.#present = this.#row(this.#second);
  }

  /** Counts into the present second. */
  add(column: number, count = 1): void {
    const at = this.#present + column;
    this.#buckets[at] = (this.#buckets[at] ?? 0) + count;
    this.#short[column] = this.short(column) + count;
    this.#long[column] = this.long(column) + count;
  }

  /** The count of the last 60 s. */
  short(column: number): number {
    return this.#short[column] ?? 0;
  }

  /** The count of the last 5 minutes. */
  long(column: number): number {
    return this.#long[column] ?? 0;
  }

  reset(): void {
    this.#buckets.fill(0);
    this.#short.fill(0);
    this.#long.fill(0);
  }

  #row(second: number): number {
    return (second % longSeconds) * this.#columns;
  }
}
