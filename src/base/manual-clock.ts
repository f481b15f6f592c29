import type { Clock, Timer } from "./clock.ts";

interface Waiting {
  dueMs: number;
  readonly everyMs: number | null;
  readonly fn: () => void;
}

/**
 * A clock that stands still until a test moves it. `advance(ms)` runs every timer that falls due, in
 * order, with the clock set to the moment each one was due at.
 */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #startMs: number;
  readonly #waiting = new Set<Waiting>();

  /** Starts at `startMs` (milliseconds since the Unix epoch; default 2026-01-01T00:00:00Z). */
  constructor(startMs = 1_767_225_600_000) {
    this.#startMs = startMs;
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs;
  }

  after(ms: number, fn: () => void): Timer {
    return this.#add({ dueMs: this.#nowMs + ms, everyMs: null, fn });
  }

  every(ms: number, fn: () => void): Timer {
    return this.#add({ dueMs: this.#nowMs + ms, everyMs: Math.max(ms, 1), fn });
  }

  /** Moves time forward by `ms` milliseconds, firing what falls due on the way. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (let next = this.#nextDue(endMs); next !== undefined; next = this.#nextDue(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      if (next.everyMs === null) this.#waiting.delete(next);
      else next.dueMs += next.everyMs;
      next.fn();
    }
    this.#nowMs = endMs;
  }

  /** How many timers are waiting; a test that ends with some has leaked them. */
  get pending(): number {
    return this.#waiting.size;
  }

  #add(waiting: Waiting): Timer {
    this.#waiting.add(waiting);
    return { cancel: () => this.#waiting.delete(waiting) };
  }

  #nextDue(endMs: number): Waiting | undefined {
    let next: Waiting | undefined;
    for (const waiting of this.#waiting) {
      if (waiting.dueMs <= endMs && (next === undefined || waiting.dueMs < next.dueMs)) {
        next = waiting;
      }
    }
    return next;
  }
}
