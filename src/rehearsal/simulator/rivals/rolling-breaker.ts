import { noTrip, type SimulatedPolicy } from "../simulated-policy.ts";
import { answers, type TrafficSecond } from "../traffic.ts";
import { RollingCounts } from "./rolling-counts.ts";

const windowSeconds = 10;
const volumeMin = 5;
const errorShare = 0.5;
const resetSeconds = 30;
const fires = 0;
const failures = 1;

/**
 * A classic circuit breaker around the candidate, after opossum (nodeshift/opossum, lib/circuit.js): 10
 * buckets of 1 s, opens on a failure when more than 50 % of at least 5 calls failed, lets one call through
 * after 30 s and closes again when that one succeeds. The volume of 5 is not opossum's default of 0, under
 * which a single failed call after a pause opens it.
 */
export class RollingBreaker implements SimulatedPolicy {
  readonly name = "rolling-breaker";
  readonly holds = 0;
  readonly reopens = true;
  harmed = 0;
  readonly #window = new RollingCounts(windowSeconds, 2);
  #openedSecond: number | null = null;

  play(traffic: TrafficSecond): number {
    this.#window.advance(traffic.second);
    const opened = this.#openedSecond;
    if (opened !== null && traffic.second - opened < resetSeconds) return noTrip;
    let passed = 0;
    for (let bad = 0; bad < traffic.candidateBads; bad += 1) {
      const index = traffic.candidateBad[bad] ?? 0;
      this.#good(index - passed);
      passed = index + 1;
      if (traffic.answer[bad] !== answers.answered) this.harmed += 1;
      this.#window.add(fires, 1);
      this.#window.add(failures, 1);
      const halfOpen = this.#openedSecond !== null;
      if (!halfOpen && !this.#tooMany()) continue;
      this.#openedSecond = traffic.second;
      return halfOpen ? noTrip : passed;
    }
    this.#good(traffic.candidateCalls - passed);
    return noTrip;
  }

  rearm(): void {
    // It lets traffic back by itself: nobody is asked.
  }

  #good(calls: number): void {
    if (calls <= 0) return;
    this.#window.add(fires, calls);
    this.#openedSecond = null;
  }

  #tooMany(): boolean {
    const calls = this.#window.sum(fires);
    return calls >= volumeMin && this.#window.sum(failures) / calls > errorShare;
  }
}
