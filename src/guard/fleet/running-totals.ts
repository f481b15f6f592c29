import type { FleetTotals } from "../../migration/fleet.ts";
import type { Outcome } from "../../migration/outcome.ts";

/** What one operation's guard counted since the start of the process. */
export interface OperationTotals {
  readonly legacy: Required<FleetTotals>;
  readonly candidate: Required<FleetTotals>;
  /** Comparisons of the two paths' answers, same or different. */
  readonly compared: number;
}

interface Counts {
  calls: number;
  failed: number;
  timedOut: number;
  durationMs: number;
}

const none = (): Counts => ({ calls: 0, failed: 0, timedOut: 0, durationMs: 0 });

/**
 * Counts that only grow, of served calls as the rate rules count them: without aborted calls, without
 * those that both paths failed, and with each key's failures capped. What instances tell each other.
 */
export class RunningTotals {
  readonly #paths = { legacy: none(), candidate: none() };
  #compared = 0;

  add(outcome: Outcome): void {
    const counts = this.#paths[outcome.path];
    counts.calls += 1;
    counts.durationMs += outcome.firstByteMs ?? outcome.durationMs;
    if (outcome.kind === "failed") counts.failed += 1;
    if (outcome.kind === "timed-out") counts.timedOut += 1;
  }

  compare(): void {
    this.#compared += 1;
  }

  read(): OperationTotals {
    const { legacy, candidate } = this.#paths;
    return { legacy: { ...legacy }, candidate: { ...candidate }, compared: this.#compared };
  }
}
