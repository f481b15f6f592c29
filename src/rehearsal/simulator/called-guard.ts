import { silentLogger } from "../../base/logger.ts";
import { ManualClock } from "../../base/manual-clock.ts";
import type { Random } from "../../base/random.ts";
import { Guard } from "../../guard/guard.ts";
import type { Policy } from "../../guard/policy.ts";
import { ActiveCall, type Path } from "../../migration/call.ts";
import type { Decision } from "../../migration/decision.ts";
import { type AnyOperation, Operation } from "../../migration/operation.ts";
import type { Outcome } from "../../migration/outcome.ts";
import { noTrip, type SimulatedPolicy } from "./simulated-policy.ts";
import { answers, badKinds, candidateFirst, type TrafficSecond } from "./traffic.ts";

/** What a simulated process may use: 1 GiB. */
const limitBytes = 1024 ** 3;
/** Good calls share so many keys; every failed call has a key of its own, unless it is the poison key's. */
const goodKeys = 1000;
const onLegacy: Decision = { path: "legacy", shadow: false, reason: "flag-off" };
const onCandidate: Decision = { path: "candidate", shadow: false, reason: "flag-on" };
const probed: Decision = { path: "candidate", shadow: true, reason: "flag-on", probe: true };

class SimulatedFailure extends Error {
  readonly code = "ESIMULATED";
}

/** Of a kind of its own, so that legacy has never thrown it. */
class UnseenFailure extends Error {
  readonly code = "EUNSEEN";
}

const down = new SimulatedFailure("The simulated path is down.");
const unseen = new UnseenFailure("The simulated candidate throws what legacy never threw.");

/**
 * The whole guard, as it runs in production, on a clock that only the simulation moves: every call is an
 * observation, every second a tick, every rule of the policy is judged. Where the guard asks for legacy to
 * be run beside candidate calls, it is, and its answer is there at once. Once it sends calls to legacy
 * without a rollback (a spent exposure budget, memory running out) they do no more harm, but go on being
 * shown to it as the candidate's, so that its other rules go on being tried.
 */
export class CalledGuard implements SimulatedPolicy {
  readonly name: string;
  readonly reopens = false;
  holds = 0;
  harmed = 0;
  readonly #clock = new ManualClock();
  readonly #guard: Guard;
  readonly #operation: AnyOperation;
  readonly #random: Random;
  readonly #good: Readonly<Record<Path, readonly ActiveCall[]>>;
  readonly #holding = new Set<string>();
  #memoryRatio = 0;
  #calmRatio: number | null = null;
  #calls = 0;
  #ownKeys = 0;

  /** `random` decides what legacy does when it is run beside a candidate's call. */
  constructor(name: string, policy: Policy, random: Random) {
    this.name = name;
    this.#random = random;
    const answer = (): null => null;
    this.#operation = new Operation(
      { name: "simulated.call", kind: "read", legacy: answer, candidate: answer },
      rethrow,
    );
    const calls = (path: Path): ActiveCall[] =>
      Array.from({ length: goodKeys }, (_, key) => callOf(path, `good-${path}-${key}`));
    this.#good = { legacy: calls("legacy"), candidate: calls("candidate") };
    this.#guard = new Guard({
      policy,
      clock: this.#clock,
      logger: silentLogger,
      report: rethrow,
      memory: {
        sample: () => ({
          ratio: this.#memoryRatio,
          usedBytes: this.#memoryRatio * limitBytes,
          limitBytes,
          limitFrom: "configured",
          heapRatio: this.#memoryRatio,
        }),
      },
    });
    this.#guard.verdictChanged.subscribe(({ after: { rule, action } }) => {
      const before = this.#holding.size;
      if (action === "hold") this.#holding.add(rule);
      else this.#holding.delete(rule);
      if (before === 0 && this.#holding.size > 0) this.holds += 1;
    });
    this.#guard.watch(this.#operation);
  }

  play(traffic: TrafficSecond): number {
    this.#remember(traffic.memoryRatio);
    this.#clock.advance(traffic.second * 1000 - this.#clock.monotonicMs());
    const { latch } = this.#operation;
    if (latch.tripped) return 0;
    let legacy = 0;
    let legacyBad = 0;
    let bad = 0;
    for (let candidate = 0; candidate < traffic.candidateCalls; candidate += 1) {
      while (legacy < traffic.legacyCalls && !candidateFirst(candidate, legacy, traffic)) {
        legacyBad += this.#legacy(legacy, legacyBad, traffic);
        legacy += 1;
      }
      bad += this.#candidate(candidate, bad, traffic);
      if (latch.tripped) return candidate + 1;
    }
    for (; legacy < traffic.legacyCalls; legacy += 1) {
      legacyBad += this.#legacy(legacy, legacyBad, traffic);
    }
    return noTrip;
  }

  rearm(): void {
    const at = new Date(this.#clock.now()).toISOString();
    this.#operation.latch.rearm({ by: { type: "person", name: "simulator" }, reason: "again", at });
    this.#holding.clear();
  }

  /** Stops the guard's timers. */
  close(): void {
    this.#guard.close();
  }

  /** What memory grew by since the beginning is held by candidate calls that are still in flight. */
  #remember(ratio: number): void {
    this.#memoryRatio = ratio;
    this.#calmRatio ??= ratio;
    this.#operation.load.candidate.bytes = Math.max(0, ratio - this.#calmRatio) * limitBytes;
  }

  #legacy(index: number, nextBad: number, traffic: TrafficSecond): number {
    const isBad = nextBad < traffic.legacyBads && traffic.legacyBad[nextBad] === index;
    const ms = traffic.legacyMs[index] ?? 0;
    const call = isBad ? callOf("legacy", this.#ownKey()) : this.#next("legacy");
    this.#observe(call, onLegacy, isBad ? failed("legacy", ms, down) : succeeded("legacy", ms));
    return isBad ? 1 : 0;
  }

  #candidate(index: number, nextBad: number, traffic: TrafficSecond): number {
    const isBad = nextBad < traffic.candidateBads && traffic.candidateBad[nextBad] === index;
    const ms = traffic.candidateMs[index] ?? 0;
    const kind = isBad ? traffic.badKind[nextBad] : badKinds.ordinary;
    const answer = isBad ? traffic.answer[nextBad] : answers.notAsked;
    const error = kind === badKinds.newException ? unseen : down;
    const first = isBad ? failed("candidate", ms, error) : succeeded("candidate", ms);
    const fallback = fallbackOf(answer);
    const { budgetSpent, shedding } = this.#operation;
    if (isBad && answer !== answers.answered && !budgetSpent && !shedding) this.harmed += 1;
    if (this.#operation.probesWanted > 0) {
      this.#probe(
        first,
        fallback,
        kind === badKinds.poison ? 0 : traffic.legacyRate,
        traffic.legacyMs[index] ?? 0,
      );
    } else if (isBad) {
      const key = kind === badKinds.poison ? "the-poison-key" : this.#ownKey();
      this.#observe(callOf("candidate", key), onCandidate, first, fallback);
    } else {
      this.#observe(this.#next("candidate"), onCandidate, first);
    }
    return isBad ? 1 : 0;
  }

  /** The facade would run legacy in the shadow of this call. */
  #probe(first: Outcome, fallback: Outcome | null, legacyRate: number, legacyMs: number): void {
    this.#operation.probesWanted -= 1;
    const key = this.#ownKey();
    this.#observe(callOf("candidate", key, key), probed, first, fallback);
    if (fallback !== null || this.#operation.latch.tripped) return;
    const shadow = new ActiveCall("simulated.call", "legacy", "shadow", key, { requestId: key });
    const isBad = this.#random.next() < legacyRate;
    const beside = isBad ? failed("legacy", legacyMs, down) : succeeded("legacy", legacyMs);
    this.#observe(shadow, probed, beside);
  }

  #observe(
    call: ActiveCall,
    decision: Decision,
    first: Outcome,
    fallback: Outcome | null = null,
  ): void {
    const atMs = this.#clock.now();
    const operation = this.#operation;
    this.#guard.observe({ operation, call, decision, first, fallback, input: null, atMs });
  }

  #next(path: Path): ActiveCall {
    this.#calls = (this.#calls + 1) % goodKeys;
    return this.#good[path][this.#calls] ?? callOf(path, "good");
  }

  #ownKey(): string {
    this.#ownKeys += 1;
    return `own-${this.#ownKeys}`;
  }
}

function callOf(path: Path, key: string, requestId = "simulated"): ActiveCall {
  return new ActiveCall("simulated.call", path, "served", key, { requestId });
}

function succeeded(path: Path, durationMs: number): Outcome {
  const common = { path, durationMs, firstByteMs: null, bytes: 0 };
  return { ...common, kind: "succeeded", output: null, digest: null };
}

function failed(path: Path, durationMs: number, error: Error): Outcome {
  return { kind: "failed", path, durationMs, firstByteMs: null, bytes: 0, error };
}

function fallbackOf(answer: number | undefined): Outcome | null {
  if (answer === answers.answered) return succeeded("legacy", 0);
  return answer === answers.failedToo ? failed("legacy", 0, down) : null;
}

/** A part of the guard that throws is a defect, and a simulation that went on would hide it. */
function rethrow(_part: string, error: unknown): void {
  throw error;
}
