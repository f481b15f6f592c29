import { performance } from "node:perf_hooks";
import type { Clock } from "../base/clock.ts";

/** What the event loop did since the process started, in milliseconds. */
export interface LoopTimes {
  readonly idle: number;
  readonly active: number;
}

/** From which share of busy time on shadows are shed, and below which they run again. */
export interface LoopLimits {
  /** Default 0.95. */
  readonly shedFrom: number;
  /** Default 0.85. */
  readonly runBelow: number;
}

/** The limits of a process that says nothing about them. */
export const defaultLoopLimits: LoopLimits = { shedFrom: 0.95, runBelow: 0.85 };

/** One look covers at least, and at most, so many milliseconds; a longer span says nothing about now. */
const spanMinMs = 1000;
const spanMaxMs = 5000;

/** Is the loop too busy, given that it was (or was not) before? Pure; `share` is from 0 to 1. */
export function tooBusy(before: boolean, share: number, limits: LoopLimits): boolean {
  return before ? share >= limits.runBelow : share >= limits.shedFrom;
}

/**
 * Tells whether the event loop has time to spare for shadows. It looks when it is asked, once a second at
 * most, and has no timer: a process without shadows pays nothing. The share of busy time is Node's event
 * loop utilisation; lag percentiles would include the timer's own resolution.
 */
export class LoopPressure {
  readonly #clock: Clock;
  readonly #limits: LoopLimits;
  readonly #read: () => LoopTimes;
  #atMs = Number.NEGATIVE_INFINITY;
  #times: LoopTimes = { idle: 0, active: 0 };
  #busy = false;

  constructor(
    clock: Clock,
    limits: LoopLimits = defaultLoopLimits,
    read: () => LoopTimes = () => performance.eventLoopUtilization(),
  ) {
    this.#clock = clock;
    this.#limits = limits;
    this.#read = read;
  }

  /** Must shadows be shed now? False until one whole span was seen. */
  get busy(): boolean {
    const nowMs = this.#clock.monotonicMs();
    const spanMs = nowMs - this.#atMs;
    if (spanMs < spanMinMs) return this.#busy;
    const times = this.#read();
    const active = times.active - this.#times.active;
    const all = active + times.idle - this.#times.idle;
    this.#busy = spanMs <= spanMaxMs && all > 0 && tooBusy(this.#busy, active / all, this.#limits);
    this.#atMs = nowMs;
    this.#times = times;
    return this.#busy;
  }
}
