import { setImmediate } from "node:timers/promises";
import { defaultPolicy, type Policy } from "../../guard/policy.ts";
import { CalledGuard } from "./called-guard.ts";
import { CountedGuard } from "./counted-guard.ts";
import {
  type CheckedParameters,
  checkParameters,
  type SimulationOptions,
  type SimulationProgress,
} from "./parameters.ts";
import {
  type CalmOutcome,
  percentilesOf,
  type RunOutcome,
  type SimulationResult,
} from "./result.ts";
import { makeRivals, rivalNames } from "./rivals/rivals.ts";
import type { Scenario, TrafficShape } from "./scenario.ts";
import { scenarioOf } from "./scenarios.ts";
import { noTrip, type SimulatedPolicy } from "./simulated-policy.ts";
import { randomOf, Traffic, TrafficSecond } from "./traffic.ts";

const daySeconds = 86_400;
/** However rare calls are, a run ends after a week. */
const horizonDaysMax = 7;
/** Simulated calls between two chances for others to run, and for an abort to be noticed. */
const callsPerTurn = 200_000;
const secondsPerTurn = 20_000;
/** Share of traffic while a rollout is not complete yet: a complete one has this stage behind it. */
const stageBeforeComplete = 0.95;
/** From this percentage on the guard probes, which counts know nothing of. */
const probedShare = 50;

/**
 * Plays scenarios in virtual time, to our policy and to the rivals side by side, on the same calls. False
 * trips are counted over `days` of what is calm in the scenario; delays over `runs` onsets, each after
 * `warmUpSeconds` of calm. Deterministic: the same options give the same results. Throws
 * `REHEARSAL_INVALID_SIMULATION` and `REHEARSAL_UNKNOWN_SCENARIO`; rejects with the signal's reason when
 * it is aborted.
 */
export async function simulate(options: SimulationOptions): Promise<readonly SimulationResult[]> {
  const parameters = checkParameters(options);
  const simulation = new Simulation(options, parameters);
  const results: SimulationResult[] = [];
  for (const name of parameters.scenarios) {
    results.push(...(await simulation.results(scenarioOf(name, parameters))));
  }
  return results;
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #parameters: CheckedParameters;
  /** Several scenarios have the same calm: it is played once. */
  readonly #calm = new Map<string, readonly CalmOutcome[]>();
  #parts = 0;
  #sinceTurn = 0;

  constructor(options: SimulationOptions, parameters: CheckedParameters) {
    this.#options = options;
    this.#parameters = parameters;
  }

  async results(scenario: Scenario): Promise<SimulationResult[]> {
    const { share, callsPerSecond, days, runs, seed } = this.#parameters;
    const calm = await this.#calmOf(scenario);
    const outcomes = await this.#runsOf(scenario);
    this.#parts += 1;
    return this.#names().map((policy, index) => {
      const { trips = 0, holds = 0 } = calm[index] ?? {};
      const own = outcomes.map((run) => run[index]).filter((run) => run !== undefined);
      return {
        policy,
        scenario: scenario.name,
        share,
        callsPerSecond,
        days,
        runs,
        seed,
        falseTripsPerDay: trips / days,
        falseHoldsPerDay: holds / days,
        callsToTrip: percentilesOf(own.map((run) => run.calls)),
        secondsToTrip: percentilesOf(own.map((run) => run.seconds)),
        harmedCalls: percentilesOf(own.map((run) => run.harmed)),
        missed: own.filter((run) => run.calls === null).length,
      };
    });
  }

  #calmOf(scenario: Scenario): Promise<readonly CalmOutcome[]> | readonly CalmOutcome[] {
    const { calm, trafficFactor } = scenario;
    const key = JSON.stringify({ calm, trafficFactor, detail: this.#detail(scenario) });
    return this.#calm.get(key) ?? this.#playCalm(scenario, key);
  }

  async #playCalm(scenario: Scenario, key: string): Promise<readonly CalmOutcome[]> {
    const { days, seed, warmUpSeconds } = this.#parameters;
    const policies = this.#policies(scenario, `${seed}/${key}`);
    const trips = policies.map(() => 0);
    const traffic = this.#traffic(scenario, `${seed}/${key}/warm-up`);
    const now = new TrafficSecond();
    const seconds = warmUpSeconds + Math.round(days * daySeconds);
    let holdsBefore: readonly number[] = [];
    for (now.second = 0; now.second < seconds; now.second += 1) {
      const played = now.second - warmUpSeconds;
      if (played === 0) holdsBefore = policies.map(({ holds }) => holds);
      // A new stream each day: none is asked for more numbers than it has.
      if (played >= 0 && played % daySeconds === 0) {
        traffic.reseed(randomOf(`${seed}/${key}/day-${played / daySeconds}`));
      }
      traffic.draw(now, scenario.calm, this.#shareAt(now.second), Math.max(0, played));
      for (const [index, policy] of policies.entries()) {
        if (policy.play(now) === noTrip) continue;
        if (played >= 0) trips[index] = (trips[index] ?? 0) + 1;
        policy.rearm();
      }
      await this.#turn(now, `${scenario.name}: days`, now.second / seconds / 2);
    }
    close(policies);
    const outcomes = policies.map((policy, index) => ({
      trips: trips[index] ?? 0,
      holds: policy.holds - (holdsBefore[index] ?? 0),
    }));
    this.#calm.set(key, outcomes);
    return outcomes;
  }

  async #runsOf(scenario: Scenario): Promise<readonly (readonly RunOutcome[])[]> {
    const { harm } = scenario;
    const { runs } = this.#parameters;
    if (harm === null) return [];
    const outcomes: (readonly RunOutcome[])[] = [];
    for (let run = 0; run < runs; run += 1) {
      outcomes.push(await this.#playRun(scenario, harm, run));
    }
    return outcomes;
  }

  async #playRun(
    scenario: Scenario,
    harm: TrafficShape,
    run: number,
  ): Promise<readonly RunOutcome[]> {
    const { seed, warmUpSeconds, runs } = this.#parameters;
    const runSeed = `${seed}/${scenario.name}/run-${run}`;
    const players = this.#policies(scenario, runSeed).map((policy) => new Player(policy));
    const traffic = this.#traffic(scenario, runSeed);
    const now = new TrafficSecond();
    const end = warmUpSeconds + this.#horizonOf(scenario);
    for (now.second = 0; now.second < end; now.second += 1) {
      const passed = now.second - warmUpSeconds;
      const shape = passed < 0 ? scenario.calm : harm;
      traffic.draw(now, shape, this.#shareAt(now.second), passed < 0 ? now.second : passed);
      if (passed === 0) for (const player of players) player.begin();
      for (const player of players) player.play(now, passed);
      if (players.every((player) => player.finished)) break;
      await this.#turn(now, `${scenario.name}: runs`, 0.5 + run / runs / 2);
    }
    close(players.map(({ policy }) => policy));
    return players.map((player) => player.outcome());
  }

  /** In the order of `#policies`. */
  #names(): readonly string[] {
    const { others = {}, rivals = true } = this.#options;
    return ["changeover", ...Object.keys(others), ...(rivals ? rivalNames : [])];
  }

  #horizonOf({ horizonSeconds, horizonCalls, trafficFactor }: Scenario): number {
    const { share, callsPerSecond } = this.#parameters;
    const candidatePerSecond = (callsPerSecond * trafficFactor * share) / 100;
    const seconds = Math.max(horizonSeconds, Math.ceil(horizonCalls / candidatePerSecond));
    return Math.min(seconds, horizonDaysMax * daySeconds);
  }

  #shareAt(second: number): number {
    const { share, warmUpSeconds } = this.#parameters;
    return share === 100 && second < warmUpSeconds / 2 ? stageBeforeComplete : share / 100;
  }

  #detail(scenario: Scenario): "counts" | "calls" {
    const { detail, share } = this.#parameters;
    if (detail !== "auto") return detail;
    return scenario.detail === "calls" || share >= probedShare ? "calls" : "counts";
  }

  #traffic(scenario: Scenario, seed: string): Traffic {
    const { callsPerSecond, fallback } = this.#parameters;
    const settings = {
      callsPerSecond: callsPerSecond * scenario.trafficFactor,
      fallback,
      durations: scenario.detail === "calls",
    };
    return new Traffic(settings, randomOf(seed));
  }

  #policies(scenario: Scenario, seed: string): readonly SimulatedPolicy[] {
    const { policy = defaultPolicy, others = {}, rivals = true } = this.#options;
    const calls = this.#detail(scenario) === "calls";
    const ours = (name: string, own: Policy): SimulatedPolicy =>
      calls ? new CalledGuard(name, own, randomOf(`${seed}/beside`)) : new CountedGuard(name, own);
    return [
      ours("changeover", policy),
      ...Object.entries(others).map(([name, other]) => ours(name, other)),
      ...(rivals ? makeRivals() : []),
    ];
  }

  async #turn(now: TrafficSecond, part: string, done: number): Promise<void> {
    this.#sinceTurn += now.candidateCalls + now.legacyCalls + callsPerTurn / secondsPerTurn;
    if (this.#sinceTurn < callsPerTurn) return;
    this.#sinceTurn = 0;
    const { progress, signal } = this.#options;
    signal?.throwIfAborted();
    const ofAll = (this.#parts + done) / this.#parameters.scenarios.length;
    progress?.({ part, done: ofAll } satisfies SimulationProgress);
    await setImmediate();
  }
}

/** One policy in one run: a trip before the onset is re-armed and forgotten, the first one after it counts. */
class Player {
  readonly policy: SimulatedPolicy;
  #begun = false;
  #calls = 0;
  #trip: { calls: number; seconds: number } | null = null;
  #harmedBefore = 0;

  constructor(policy: SimulatedPolicy) {
    this.policy = policy;
  }

  get finished(): boolean {
    return this.#trip !== null && !this.policy.reopens;
  }

  begin(): void {
    this.#begun = true;
    this.#harmedBefore = this.policy.harmed;
  }

  play(now: TrafficSecond, passedSeconds: number): void {
    if (this.finished) return;
    const trip = this.policy.play(now);
    if (!this.#begun) {
      if (trip !== noTrip) this.policy.rearm();
      return;
    }
    if (trip !== noTrip && this.#trip === null) {
      const within = trip === 0 ? 0 : (trip - 0.5) / now.candidateCalls;
      this.#trip = { calls: this.#calls + trip, seconds: passedSeconds + within };
    }
    this.#calls += now.candidateCalls;
  }

  outcome(): RunOutcome {
    const { calls = null, seconds = null } = this.#trip ?? {};
    return { calls, seconds, harmed: this.policy.harmed - this.#harmedBefore };
  }
}

function close(policies: readonly SimulatedPolicy[]): void {
  for (const policy of policies) if (policy instanceof CalledGuard) policy.close();
}
