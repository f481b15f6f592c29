import type { SkippedCase } from "../src/harness/report.ts";
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

/** Every case, in the order in which they run: what targets need comes first, if time runs out. */
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
 * in whatever tier, and those whose names go on after it, `upload` all of `upload-…`. `also` adds to them,
 * whatever the tier.
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
  if (names.length === 0) {
    return benchmarkCases.filter(({ tiers }) => tiers === undefined || tiers.includes(tier));
  }
  const chosen = benchmarkCases.filter((each) => names.some((name) => isMeant(each, name)));
  return chosen.filter(
    ({ name, tiers }) => names.includes(name) || tiers === undefined || tiers.includes(tier),
  );
}

/** Whether a name asked for means a case. */
export function isMeant({ name }: BenchmarkCase, asked: string): boolean {
  return name === asked || name.startsWith(`${asked}-`);
}
