import { LatencyHistogram } from "../../../guard/engine/latency-histogram.ts";
import { noTrip, type SimulatedPolicy } from "../simulated-policy.ts";
import type { TrafficSecond } from "../traffic.ts";
import { harmedIn } from "./harm.ts";

const intervalSeconds = 60;
const failedChecksMax = 5;
const successMin = 0.99;
const p99MaxMs = 500;

/**
 * A canary controller that counts failed checks, after Flagger (fluxcd/flagger,
 * pkg/controller/scheduler.go and scheduler_metrics.go) with the numbers of its documentation
 * (docs.flagger.app/usage/metrics and /how-it-works): a check each minute over that minute, failed below
 * 99 % success, over a p99 of 500 ms, or without any call; at the check after the fifth failed one, which
 * need not be in a row, it rolls back. A failed check halts the rollout, which is its way to hold.
 */
export class FailedChecks implements SimulatedPolicy {
  readonly name = "failed-checks";
  readonly reopens = false;
  holds = 0;
  harmed = 0;
  readonly #durations = new LatencyHistogram();
  #calls = 0;
  #bad = 0;
  #failed = 0;
  #halted = false;

  play(traffic: TrafficSecond): number {
    if (traffic.second % intervalSeconds === 0 && this.#check()) return 0;
    this.#calls += traffic.candidateCalls;
    this.#bad += traffic.candidateBads;
    this.harmed += harmedIn(traffic);
    if (traffic.candidateMs.length === 0) return noTrip;
    for (let call = 0; call < traffic.candidateCalls; call += 1) {
      this.#durations.add(traffic.candidateMs[call] ?? 0);
    }
    return noTrip;
  }

  rearm(): void {
    this.#failed = 0;
    this.#halted = false;
    this.#forget();
  }

  #check(): boolean {
    if (this.#failed >= failedChecksMax) return true;
    const success = this.#calls === 0 ? 0 : 1 - this.#bad / this.#calls;
    const failed = success < successMin || (this.#durations.quantile(0.99) ?? 0) > p99MaxMs;
    if (failed) {
      this.#failed += 1;
      if (!this.#halted) this.holds += 1;
    }
    this.#halted = failed;
    this.#forget();
    return false;
  }

  #forget(): void {
    this.#calls = 0;
    this.#bad = 0;
    this.#durations.reset();
  }
}
