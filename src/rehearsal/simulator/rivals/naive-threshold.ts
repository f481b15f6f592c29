import { noTrip, type SimulatedPolicy } from "../simulated-policy.ts";
import type { TrafficSecond } from "../traffic.ts";
import { harmedIn } from "./harm.ts";
import { RollingCounts } from "./rolling-counts.ts";

const windowSeconds = 300;
const callsMin = 20;
const difference = 0.05;
const cCalls = 0;
const cBad = 1;
const lCalls = 2;
const lBad = 3;

/**
 * The rule that this product's predecessor had, and most homes grow: over the last 5 minutes, from 20
 * candidate calls on, more than 5 percentage points above legacy. Looked at each second.
 */
export class NaiveThreshold implements SimulatedPolicy {
  readonly name = "naive-threshold";
  readonly holds = 0;
  readonly reopens = false;
  harmed = 0;
  readonly #window = new RollingCounts(windowSeconds, 4);

  play(traffic: TrafficSecond): number {
    const window = this.#window;
    window.advance(traffic.second);
    window.add(cCalls, traffic.candidateCalls);
    window.add(cBad, traffic.candidateBads);
    window.add(lCalls, traffic.legacyCalls);
    window.add(lBad, traffic.legacyBads);
    this.harmed += harmedIn(traffic);
    const calls = window.sum(cCalls);
    if (calls < callsMin) return noTrip;
    const legacy = window.sum(lBad) / Math.max(1, window.sum(lCalls));
    return window.sum(cBad) / calls - legacy > difference ? traffic.candidateCalls : noTrip;
  }

  rearm(): void {
    this.#window.reset();
  }
}
