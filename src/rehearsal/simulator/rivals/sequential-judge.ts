import { noTrip, type SimulatedPolicy } from "../simulated-policy.ts";
import type { TrafficSecond } from "../traffic.ts";
import { harmedIn } from "./harm.ts";

const lookSeconds = 10;
const alpha = 0.05;
const tunedFor = 5000;
const rho = Math.sqrt(
  (-2 * Math.log(2 * alpha) + Math.log(1 - 2 * Math.log(2 * alpha))) / tunedFor,
);

/**
 * A sequential test in the manner of GrowthBook's safe rollouts (growthbook/growthbook, packages/stats,
 * gbstats/frequentist/tests.py): one-sided asymptotic confidence sequence of the absolute difference
 * (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, arXiv 2103.06476v7, equations 134 and 161), alpha 0.05,
 * tuned for 5,000 calls; rolls back when the lower bound passes 0. All calls since the rollout began
 * count. Looked at every 10 s, which is kind: the product looks every few hours.
 */
export class SequentialJudge implements SimulatedPolicy {
  readonly name = "sequential-judge";
  readonly holds = 0;
  readonly reopens = false;
  harmed = 0;
  #candidateCalls = 0;
  #candidateBad = 0;
  #legacyCalls = 0;
  #legacyBad = 0;

  play(traffic: TrafficSecond): number {
    if (traffic.second % lookSeconds === 0 && this.#worse()) return 0;
    this.#candidateCalls += traffic.candidateCalls;
    this.#candidateBad += traffic.candidateBads;
    this.#legacyCalls += traffic.legacyCalls;
    this.#legacyBad += traffic.legacyBads;
    this.harmed += harmedIn(traffic);
    return noTrip;
  }

  rearm(): void {
    this.#candidateCalls = 0;
    this.#candidateBad = 0;
    this.#legacyCalls = 0;
    this.#legacyBad = 0;
  }

  #worse(): boolean {
    if (this.#candidateCalls === 0 || this.#legacyCalls === 0) return false;
    const candidate = this.#candidateBad / this.#candidateCalls;
    const legacy = this.#legacyBad / this.#legacyCalls;
    const variance =
      (candidate * (1 - candidate)) / this.#candidateCalls +
      (legacy * (1 - legacy)) / this.#legacyCalls;
    if (variance <= 0) return false;
    const calls = this.#candidateCalls + this.#legacyCalls;
    return candidate - legacy > halfWidth(variance * calls, calls);
  }
}

/** Equation 134; `variance` is that of one observation. */
function halfWidth(variance: number, calls: number): number {
  const spread = calls * rho * rho + 1;
  const bound = Math.log(1 + Math.sqrt(spread) / (2 * alpha));
  return Math.sqrt(((variance * 2 * spread) / (calls * rho) ** 2) * bound);
}
