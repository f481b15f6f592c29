import { CodedError } from "../../base/errors.ts";
import type { Policy } from "../../guard/policy.ts";
import type { ScenarioName } from "./scenario.ts";
import { parseScenarioName, scenarioNames } from "./scenarios.ts";

/** The numbers of a simulation; each may be left out. */
export interface SimulationParameters {
  /** Which scenarios, by name; default: all. */
  readonly scenarios?: readonly string[];
  /** Percentage of calls on the candidate, above 0 to 100; default 1. */
  readonly share?: number;
  /** Calls a second on both paths together, 0.01 to 10,000; default 100. */
  readonly callsPerSecond?: number;
  /** Days over which false trips and holds are counted, 0.01 to 1,000; default 1. */
  readonly days?: number;
  /** How often something begins to go wrong, 1 to 10,000; default 100. */
  readonly runs?: number;
  /** The same seed gives the same results; a whole number from 0 on; default 1. */
  readonly seed?: number;
  /** Share of legacy's calls that fail, 0 to 0.9; default 0.01. */
  readonly legacyErrorRate?: number;
  /** Share of the candidate's calls that fail in `partial-failure`, 0 to 1; default 0.11. */
  readonly candidateErrorRate?: number;
  /** Seconds of health before the onset of each run, 60 to 86,400; default 1,800. */
  readonly warmUpSeconds?: number;
  /** Legacy answers calls that the candidate failed, as it does for reads; default false. */
  readonly fallback?: boolean;
  /**
   * `counts`: the error-rate rule over counts. `calls`: the whole guard over single calls, some hundred
   * times slower. Default `auto`: calls only where more than error rates matters.
   */
  readonly detail?: "auto" | "counts" | "calls";
}

/** Parameters with the defaults filled in, all of them checked. */
export interface CheckedParameters extends Required<Omit<SimulationParameters, "scenarios">> {
  readonly scenarios: readonly ScenarioName[];
}

/** Everything `simulate` wants to know. */
export interface SimulationOptions extends SimulationParameters {
  /** Ours, under the name `changeover`; from `parsePolicy`; default: the default policy. */
  readonly policy?: Policy;
  /** More policies of ours on the same traffic, by the name that results give them. */
  readonly others?: Readonly<Record<string, Policy>>;
  /** Play the rivals too; default true. */
  readonly rivals?: boolean;
  /** Told now and then how far it is. */
  readonly progress?: (progress: SimulationProgress) => void;
  readonly signal?: AbortSignal;
}

/** How far a simulation is. */
export interface SimulationProgress {
  /** What is being played, for people. */
  readonly part: string;
  /** From 0 to 1, over everything. */
  readonly done: number;
}

const ranges = {
  share: [Number.MIN_VALUE, 100, 1],
  callsPerSecond: [0.01, 10_000, 100],
  days: [0.01, 1000, 1],
  runs: [1, 10_000, 100],
  seed: [0, 2 ** 32 - 1, 1],
  legacyErrorRate: [0, 0.9, 0.01],
  candidateErrorRate: [0, 1, 0.11],
  warmUpSeconds: [60, 86_400, 1800],
} as const satisfies Record<string, readonly [number, number, number]>;

const whole: readonly string[] = ["runs", "seed", "warmUpSeconds"];

/**
 * Fills in the defaults. Throws `REHEARSAL_INVALID_SIMULATION` for a number out of its range and
 * `REHEARSAL_UNKNOWN_SCENARIO` for a name that does not exist.
 */
export function checkParameters(given: SimulationParameters): CheckedParameters {
  const number = (name: keyof typeof ranges): number => {
    const [min, max, otherwise] = ranges[name];
    const value = given[name] ?? otherwise;
    const fits = value >= min && value <= max && (!whole.includes(name) || Number.isInteger(value));
    if (fits) return value;
    const kind = whole.includes(name) ? "a whole number" : "a number";
    const from = min === Number.MIN_VALUE ? "above 0" : `from ${min}`;
    throw new CodedError(
      "REHEARSAL_INVALID_SIMULATION",
      `${name} is ${JSON.stringify(value)}, but must be ${kind} ${from} to ${max}.`,
      { status: 400, details: { name } },
    );
  };
  return {
    scenarios: (given.scenarios ?? scenarioNames).map(parseScenarioName),
    share: number("share"),
    callsPerSecond: number("callsPerSecond"),
    days: number("days"),
    runs: number("runs"),
    seed: number("seed"),
    legacyErrorRate: number("legacyErrorRate"),
    candidateErrorRate: number("candidateErrorRate"),
    warmUpSeconds: number("warmUpSeconds"),
    fallback: given.fallback ?? false,
    detail: given.detail ?? "auto",
  };
}
