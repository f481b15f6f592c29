import type { MemoryPolicy } from "../policy.ts";

/** 0: all is well; 1: shadows are shed; 2: the rollout is held as well; 3: critical. */
export type MemoryLevel = 0 | 1 | 2 | 3;

/** How much of its time a rung has to last while the kernel or the event loop is strained. */
const strainedShare = 0.4;

/**
 * Turns a ratio of used memory into a level, slowly: each rung has to last its time, and only a long
 * stretch below the recovery ratio lets go, of everything at once.
 */
export class MemoryLadder {
  readonly #policy: MemoryPolicy;
  readonly #aboveSince: (number | null)[] = [null, null, null];
  #belowSince: number | null = null;
  #level: MemoryLevel = 0;

  constructor(policy: MemoryPolicy) {
    this.#policy = policy;
  }

  get level(): MemoryLevel {
    return this.#level;
  }

  /**
   * Takes one sample at `nowMs` of a monotonic clock. Without a ratio the level stays as it is. `strained`:
   * there are other signs that memory is short, so rungs need not last as long; alone they do nothing.
   */
  step(ratio: number | null, nowMs: number, strained = false): MemoryLevel {
    if (ratio === null || Number.isNaN(ratio)) return this.#level;
    const { shedShadows, hold, critical, recovered } = this.#policy;
    for (const [index, rung] of [shedShadows, hold, critical].entries()) {
      const above = ratio >= rung.ratio;
      const since = above ? (this.#aboveSince[index] ?? nowMs) : null;
      this.#aboveSince[index] = since;
      const forMs = rung.forSeconds * 1000 * (strained ? strainedShare : 1);
      const lasted = since !== null && nowMs - since >= forMs;
      if (lasted && index + 1 > this.#level) this.#level = (index + 1) as MemoryLevel;
    }
    this.#belowSince = ratio < recovered.ratio ? (this.#belowSince ?? nowMs) : null;
    const calm = this.#belowSince !== null && nowMs - this.#belowSince;
    if (calm !== false && calm >= recovered.forSeconds * 1000) this.#level = 0;
    return this.#level;
  }
}
