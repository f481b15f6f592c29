import type { Clock, Timer } from "../../src/base/clock.ts";

/**
 * A link that carries so many bytes a second: bytes handed to it are through when those before them
 * are. One may be shared by several lines.
 */
export class Link {
  readonly #bytesPerMs: number;
  #freeAtMs = 0;

  /** `bytesPerSecond` null: it is never busy. */
  constructor(bytesPerSecond: number | null) {
    this.#bytesPerMs = (bytesPerSecond ?? Number.POSITIVE_INFINITY) / 1000;
  }

  /** When `bytes` handed over at `fromMs` are through. */
  pass(bytes: number, fromMs: number): number {
    const startMs = Math.max(fromMs, this.#freeAtMs);
    this.#freeAtMs = startMs + bytes / this.#bytesPerMs;
    return this.#freeAtMs;
  }
}

/** How a {@link DelayLine} delays. */
export interface DelayLineOptions<T> {
  readonly clock: Clock;
  /** Milliseconds on the way, after the links are passed. */
  readonly oneWayMs: number;
  /** Links that are passed one after the other. */
  readonly links: readonly Link[];
  /** Nothing arrives before this moment of the clock's monotonic time. */
  readonly notBeforeMs: number;
  /** Bytes on the line from which it is full. */
  readonly fullBytes: number;
  readonly deliver: (item: T) => void;
  /** Called when a line that was full has room again. */
  readonly onRoom: () => void;
}

interface Waiting<T> {
  readonly item: T;
  readonly bytes: number;
  readonly dueMs: number;
}

/** Hands on what it is given, in order, as late as a network would. */
export class DelayLine<T> {
  readonly #options: DelayLineOptions<T>;
  readonly #waiting: Waiting<T>[] = [];
  #head = 0;
  #bytes = 0;
  #wasFull = false;
  #timer: Timer | undefined;
  #held = false;

  constructor(options: DelayLineOptions<T>) {
    this.#options = options;
  }

  /** Bytes under way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes an item of so many bytes; says whether there is room for more. */
  push(item: T, bytes: number): boolean {
    const { clock, links, oneWayMs, notBeforeMs, fullBytes } = this.#options;
    let atMs = clock.monotonicMs();
    for (const link of links) atMs = link.pass(bytes, atMs);
    const dueMs = Math.max(atMs + oneWayMs, notBeforeMs);
    this.#waiting.push({ item, bytes, dueMs });
    this.#bytes += bytes;
    this.#arm();
    if (this.#bytes >= fullBytes) this.#wasFull = true;
    return !this.#wasFull;
  }

  /** Delivers nothing until it is released: the receiver is behind. */
  hold(): void {
    this.#held = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Goes on after {@link hold}. */
  release(): void {
    this.#held = false;
    this.#flush();
  }

  /** Forgets what is under way. */
  close(): void {
    this.#timer?.cancel();
    this.#held = true;
    this.#waiting.length = 0;
    this.#head = 0;
  }

  #arm(): void {
    const next = this.#waiting[this.#head];
    if (this.#timer !== undefined || this.#held || next === undefined) return;
    const { clock } = this.#options;
    const waitMs = Math.max(0, next.dueMs - clock.monotonicMs());
    this.#timer = clock.after(waitMs, () => this.#flush(), true);
  }

  #flush(): void {
    const { clock, deliver, fullBytes, onRoom } = this.#options;
    this.#timer?.cancel();
    this.#timer = undefined;
    const nowMs = clock.monotonicMs();
    while (!this.#held) {
      const next = this.#waiting[this.#head];
      // Timers tick in whole milliseconds: what is due within half of one is due.
      if (next === undefined || next.dueMs > nowMs + 0.5) break;
      this.#head += 1;
      this.#bytes -= next.bytes;
      deliver(next.item);
    }
    if (this.#head > 64 || this.#head === this.#waiting.length) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
    this.#arm();
    if (this.#wasFull && this.#bytes < fullBytes) {
      this.#wasFull = false;
      onRoom();
    }
  }
}
