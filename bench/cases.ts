import { readFile } from "node:fs/promises";
import * as v from "valibot";
import type { SkippedCase } from "../src/harness/report.ts";
import type { Target } from "../src/harness/target.ts";
import type { BenchmarkCase, Tier } from "./case.ts";
import { coreTimes } from "./cases/core-times.ts";
import { facadeHeap } from "./cases/facade-heap.ts";
import { facadeOverhead } from "./cases/facade-overhead.ts";
import { facadePeers } from "./cases/facade-peers.ts";
import { fileCalls } from "./cases/file-calls.ts";
import { hashingCases } from "./cases/hashing.ts";
import { shadowCost } from "./cases/shadow-cost.ts";
import { uploadCrowds } from "./cases/upload-crowd.ts";
import { uploadMemory } from "./cases/upload-memory.ts";
import { uploadPeers } from "./cases/upload-peers.ts";
import { uploadThroughput } from "./cases/upload-throughput.ts";

/** Every case, by subject. */
export const benchmarkCases: readonly BenchmarkCase[] = [
  ...uploadThroughput,
  uploadMemory,
  ...uploadPeers,
  ...uploadCrowds,
  ...fileCalls,
  ...hashingCases,
  ...coreTimes,
  facadeOverhead,
  facadePeers,
  facadeHeap,
  shadowCost,
];

/** What ought to be measured and cannot be, said in every whole run. */
export const gaps: readonly SkippedCase[] = [
  {
    case: "peers-s3",
    reason:
      "@aws-sdk/lib-storage speaks S3 only: the embedded backend has no S3 endpoint, and the package is no dependency of this repository",
  },
];

/**
 * The cases that a tier runs, or those of them that are asked for: a name means the case of that name,
 * in whatever tier, and those whose names go on after it, `upload` all of `upload-…`; of a group a quick
 * run measures what the default tier does. `also` adds to them, whatever the tier.
 */
export function chooseCases(
  names: readonly string[],
  tier: Tier,
  also: readonly string[] = [],
): readonly BenchmarkCase[] {
  const added = benchmarkCases.filter((each) => also.some((name) => isMeant(each, name)));
  const asked = chosenBy(names, tier);
  return benchmarkCases.filter((each) => asked.includes(each) || added.includes(each));
}

function chosenBy(names: readonly string[], tier: Tier): readonly BenchmarkCase[] {
  if (names.length === 0) return benchmarkCases.filter((each) => isIn(each, tier));
  const widest = tier === "full" ? "full" : "default";
  return benchmarkCases.filter(
    (each) =>
      names.includes(each.name) ||
      (names.some((name) => isMeant(each, name)) && isIn(each, widest)),
  );
}

function isIn({ tiers }: BenchmarkCase, tier: Tier): boolean {
  return tiers === undefined || tiers.includes(tier);
}

/** Whether a name asked for means a case. */
export function isMeant({ name }: BenchmarkCase, asked: string): boolean {
  return name === asked || name.startsWith(`${asked}-`);
}

/** What was asked for by the name of a group and is left to `--full`: said, not passed over. */
export function leftOut(
  names: readonly string[],
  tier: Tier,
  also: readonly string[] = [],
): SkippedCase[] {
  const chosen = chooseCases(names, tier, also);
  return benchmarkCases
    .filter((each) => !chosen.includes(each) && names.some((name) => isMeant(each, name)))
    .map(({ name }) => ({ case: name, reason: `runs with --full, or with --case ${name}` }));
}

/** Cases that are over this soon come first, in seconds: together they take a minute. */
const SHORT_SECONDS = 15;

/**
 * The order in which cases run when time is limited: what is over soon, then what targets are judged by,
 * then the rest, the shortest first. What had no time is then what decides least.
 */
export function orderForTime(
  cases: readonly BenchmarkCase[],
  targets: readonly Pick<Target, "case">[],
  seconds: (each: BenchmarkCase) => number | null,
): BenchmarkCase[] {
  const long = (each: BenchmarkCase): number => seconds(each) ?? 0;
  const decides = new Set(targets.map((target) => target.case));
  const rank = (each: BenchmarkCase): number => {
    if (long(each) <= SHORT_SECONDS) return 0;
    return decides.has(each.name) ? 1 : 2;
  };
  return cases.toSorted((a, b) => rank(a) - rank(b) || (rank(a) === 2 ? long(a) - long(b) : 0));
}

/** How long cases once took, in seconds by name: `bench/durations.json`. */
export interface Durations {
  /** On which machine, in words. */
  readonly about: string;
  readonly quick: Readonly<Record<string, number>>;
  readonly default: Readonly<Record<string, number>>;
}

const seconds: v.GenericSchema<Record<string, number>> = v.record(
  v.string(),
  v.pipe(v.number(), v.minValue(0)),
);
const durations: v.GenericSchema<unknown, Durations> = v.strictObject({
  about: v.string(),
  quick: seconds,
  default: seconds,
});

/** Reads and checks `bench/durations.json`. Throws valibot's error naming what is wrong. */
export async function readDurations(): Promise<Durations> {
  const json = await readFile(new URL("./durations.json", import.meta.url), "utf8");
  return v.parse(durations, JSON.parse(json));
}

/** A default run takes three launches where a quick one takes one. */
const DEFAULT_TO_QUICK = 3;
/** And a full run five, most of them with twice the pairs. */
const timesDefault = { quick: 1 / DEFAULT_TO_QUICK, full: 10 / 3 } as const;

/**
 * About how many seconds a case takes in a tier; where that tier was not timed, from its samples. Null
 * when it was never timed.
 */
export function secondsOf({ name }: BenchmarkCase, tier: Tier, known: Durations): number | null {
  const { [name]: quick } = known.quick;
  if (tier === "quick" && quick !== undefined) return quick;
  const usual = known.default[name] ?? (quick === undefined ? null : quick * DEFAULT_TO_QUICK);
  return usual === null || tier === "default" ? usual : Math.round(usual * timesDefault[tier]);
}
