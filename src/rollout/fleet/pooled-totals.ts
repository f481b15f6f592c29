import { addEvidence, type EvidenceTotals, grownBy, noEvidence } from "../evidence.ts";
import type { InstanceTotals } from "../ports.ts";

/** Instances remembered after they were last seen; the oldest are forgotten first. */
const instancesMax = 1000;

/** What one operation's instances have counted since the last look. */
export interface PooledCounts {
  readonly sum: EvidenceTotals;
  /** Each instance's own part. */
  readonly parts: readonly { readonly instance: string; readonly counts: EvidenceTotals }[];
}

/**
 * Turns every instance's growing counts into what was counted since the last look. An instance that is
 * seen for the first time adds nothing yet: nobody knows when its counts came together.
 */
export class PooledTotals {
  readonly #last = new Map<string, EvidenceTotals>();

  add(totals: readonly InstanceTotals[]): PooledCounts {
    const parts = totals.map((now) => {
      const before = this.#last.get(now.instance);
      this.#last.delete(now.instance);
      this.#last.set(now.instance, now);
      const counts = before === undefined ? noEvidence : grownBy(before, now);
      return { instance: now.instance, counts };
    });
    for (const name of this.#last.keys()) {
      if (this.#last.size <= instancesMax) break;
      this.#last.delete(name);
    }
    return { sum: parts.reduce((sum, each) => addEvidence(sum, each.counts), noEvidence), parts };
  }
}
