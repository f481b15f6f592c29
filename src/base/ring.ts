/**
 * A buffer of fixed capacity that forgets its oldest entry: whatever remembers the past uses one, so
 * that nothing grows without a limit.
 */
export class Ring<T> {
  readonly capacity: number;
  readonly #slots: (T | undefined)[];
  #next = 0;
  #size = 0;

  /** Throws `RangeError` unless `capacity` is a whole number of at least 1. */
  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(`A ring needs a capacity of at least 1, not ${capacity}.`);
    }
    this.capacity = capacity;
    this.#slots = new Array<T | undefined>(capacity);
  }

  get size(): number {
    return this.#size;
  }

  push(value: T): void {
    this.#slots[this.#next] = value;
    this.#next = (this.#next + 1) % this.capacity;
    if (this.#size < this.capacity) this.#size += 1;
  }

  /** The entries from oldest to newest, as a new array. */
  toArray(): T[] {
    const first = (this.#next - this.#size + this.capacity) % this.capacity;
    return Array.from(
      { length: this.#size },
      (_, index) => this.#slots[(first + index) % this.capacity] as T,
    );
  }
}
