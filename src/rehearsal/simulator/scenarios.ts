import { CodedError } from "../../base/errors.ts";
import type { Curve, Scenario, ScenarioName, TrafficShape } from "./scenario.ts";

/** The rates that a request may choose; shares from 0 to 1. */
export interface ScenarioRates {
  /** Share of legacy's calls that fail, in every scenario but `daily-swing`. */
  readonly legacyErrorRate: number;
  /** Share of the candidate's calls that fail in `partial-failure`. */
  readonly candidateErrorRate: number;
}

const day = 86_400;
const hour = 3600;
const steady = (value: number): Curve => ({ shape: "steady", value });

function alike(errors: Curve): TrafficShape {
  return {
    legacyErrors: errors,
    candidateErrors: errors,
    newExceptions: steady(0),
    poison: steady(0),
    slowdown: steady(1),
    memory: steady(0.4),
  };
}

type Row = (rates: ScenarioRates, calm: TrafficShape) => Omit<Scenario, "name">;

const inRates = {
  trafficFactor: 1,
  horizonSeconds: hour,
  horizonCalls: 1000,
  detail: "rates",
} as const;
const inCalls = {
  trafficFactor: 1,
  horizonSeconds: 2 * hour,
  horizonCalls: 0,
  detail: "calls",
} as const;

/** Every scenario as data. What begins, begins at the onset; the rest of the world stays as it was. */
const table: Readonly<Record<ScenarioName, Row>> = {
  healthy: (_, calm) => ({ ...inRates, what: "both paths are alike", calm, harm: null }),
  "total-failure": (_, calm) => ({
    ...inRates,
    what: "every candidate call fails",
    calm,
    harm: { ...calm, candidateErrors: steady(1) },
  }),
  "partial-failure": ({ candidateErrorRate }, calm) => ({
    ...inRates,
    what: `${percent(candidateErrorRate)} of the candidate's calls fail`,
    calm,
    harm: { ...calm, candidateErrors: steady(candidateErrorRate) },
  }),
  "slow-leak": (_, calm) => ({
    ...inCalls,
    what: "the candidate's calls keep their memory, and the limit is reached in 30 minutes",
    calm,
    harm: { ...calm, memory: { shape: "ramp", from: 0.4, to: 1, overSeconds: hour / 2 } },
    horizonSeconds: hour / 2,
  }),
  "latency-creep": (_, calm) => ({
    ...inCalls,
    what: "the candidate slows down to 3 times legacy within 30 minutes",
    calm,
    harm: { ...calm, slowdown: { shape: "ramp", from: 1, to: 3, overSeconds: hour / 2 } },
  }),
  "shared-outage": ({ legacyErrorRate }) => ({
    ...inRates,
    what: "a dependency of both paths fails 60 % of all calls for 2 minutes a day",
    calm: alike({
      shape: "pulse",
      base: legacyErrorRate,
      peak: Math.max(0.6, legacyErrorRate),
      everySeconds: day,
      atSecond: 40_000,
      forSeconds: 120,
    }),
    harm: null,
  }),
  "new-exception": (_, calm) => ({
    ...inCalls,
    what: "1 % of the candidate's calls throw what legacy never threw",
    calm,
    harm: { ...calm, newExceptions: steady(0.01) },
  }),
  flapping: ({ legacyErrorRate }, calm) => ({
    ...inRates,
    what: "every candidate call fails for 20 s of each 2 minutes",
    calm,
    harm: {
      ...calm,
      candidateErrors: {
        shape: "pulse",
        base: legacyErrorRate,
        peak: 1,
        everySeconds: 120,
        atSecond: 0,
        forSeconds: 20,
      },
    },
  }),
  "low-traffic": (_, calm) => ({
    ...inRates,
    what: "every candidate call fails, with a hundredth of the traffic",
    trafficFactor: 0.01,
    calm,
    harm: { ...calm, candidateErrors: steady(1) },
    horizonSeconds: day,
    horizonCalls: 50,
  }),
  "poison-user": (_, calm) => ({
    ...inCalls,
    what: "one key makes a fifth of the candidate's calls, and all of them fail",
    calm: { ...calm, poison: steady(0.2) },
    harm: null,
  }),
  tolerable: ({ legacyErrorRate }, calm) => ({
    ...inRates,
    what: "the candidate fails 2 points more of its calls, within what is allowed",
    calm: { ...calm, candidateErrors: steady(Math.min(1, legacyErrorRate + 0.02)) },
    harm: null,
  }),
  "shared-blips": ({ legacyErrorRate }) => ({
    ...inRates,
    what: "every call of both paths fails for 10 s of each hour",
    calm: alike({
      shape: "pulse",
      base: legacyErrorRate,
      peak: 1,
      everySeconds: hour,
      atSecond: 600,
      forSeconds: 10,
    }),
    harm: null,
  }),
  "daily-swing": () => ({
    ...inRates,
    what: "both paths' failures swing between 0.5 % and 6 % over the day",
    calm: alike({ shape: "wave", low: 0.005, high: 0.06, periodSeconds: day }),
    harm: null,
  }),
};

/** Every name, in the order in which results are listed. */
export const scenarioNames: readonly ScenarioName[] = Object.keys(table) as ScenarioName[];

/** A scenario with the rates of a request. */
export function scenarioOf(name: ScenarioName, rates: ScenarioRates): Scenario {
  return { name, ...table[name](rates, alike(steady(rates.legacyErrorRate))) };
}

/** Throws `REHEARSAL_UNKNOWN_SCENARIO`, naming every scenario there is. */
export function parseScenarioName(name: string): ScenarioName {
  const found = scenarioNames.find((each) => each === name);
  if (found !== undefined) return found;
  throw new CodedError(
    "REHEARSAL_UNKNOWN_SCENARIO",
    `There is no scenario ${JSON.stringify(name.slice(0, 80))}. Use one of: ${scenarioNames.join(", ")}.`,
    { status: 400 },
  );
}

const percent = (share: number): string => `${Number((share * 100).toFixed(3))} %`;
