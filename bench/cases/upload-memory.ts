import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";
import { PEAK_RESOLUTION_BYTES, type PeakGrowth } from "../../src/harness/memory.ts";
import type { PairValues } from "../../src/harness/pairs.ts";
import type { BenchmarkCase, CaseContext } from "../case.ts";
import type { MemoryJob } from "../children/upload-memory.ts";
import type { NetworkName } from "../network/profiles.ts";
import { makeFile, makeUnique } from "./upload-file.ts";
import type { ManagerName } from "./upload-subject.ts";

const NAME = "upload-memory";
const PROGRAM = new URL("../children/upload-memory.ts", import.meta.url);
const FILE_BYTES = 50_000_000;
/** A warm-up of the full size would leave memory behind that the measured upload then uses unseen. */
const WARMUP_BYTES = Math.round(FILE_BYTES / 64);
/** A small heap is collected soon, so that garbage waiting for collection does not count as need. */
const PINNED_FLAGS = ["--max-old-space-size=32", "--max-semi-space-size=1"];

interface Weighing {
  readonly measure: string;
  readonly nodeFlags: readonly string[];
  readonly network: NetworkName;
}

const weighings: readonly Weighing[] = [
  { measure: "memory over idle", nodeFlags: [], network: "loopback" },
  { measure: "memory over idle, small heap", nodeFlags: PINNED_FLAGS, network: "loopback" },
  { measure: "memory over idle, on cloud", nodeFlags: [], network: "cloud" },
];

/** How much the process grows over idle for one upload. */
export const uploadMemory: BenchmarkCase = {
  name: NAME,
  title: "one upload of 50 MB on both paths: peak memory over idle, in fresh processes",
  needs: { memoryBytes: 500e6, diskBytes: 200e6 },
  run: async (context) => {
    const comparisons: Comparison[] = [];
    for (const weighing of weighings) comparisons.push(await growth(weighing, context));
    return { comparisons, distributions: [] };
  },
};

async function growth(
  { measure, nodeFlags, network }: Weighing,
  context: CaseContext,
): Promise<Comparison> {
  const folder = await mkdtemp(join(context.folder, "files-"));
  const path = join(folder, "measured.bin");
  const warmupPath = join(folder, "warm-up.bin");
  await makeFile(path, FILE_BYTES);
  await makeFile(warmupPath, WARMUP_BYTES);
  const supabase = await context.sandbox(network);
  const sources = new Set<string>();
  const run = async (manager: ManagerName): Promise<number> => {
    await makeUnique(path);
    await makeUnique(warmupPath);
    const job: MemoryJob = { manager, supabase, path, warmupPath };
    const peak = await context.runChild<PeakGrowth>({ program: PROGRAM, input: job, nodeFlags });
    sources.add(peak.source);
    return peak.growthBytes / 1e6;
  };
  const pairs = await launchPairs(run, measure, context);
  const subject = {
    case: NAME,
    measure,
    unit: "MB",
    better: "lower",
    resolution: PEAK_RESOLUTION_BYTES / 1e6,
    nodeFlags,
    note: `a fresh process for every value, read from ${[...sources].join(" and ")}`,
  } as const;
  return comparisonOf(subject, [pairs], seededRandom(context.seed));
}

async function launchPairs(
  run: (manager: ManagerName) => Promise<number>,
  measure: string,
  context: CaseContext,
): Promise<PairValues> {
  const random: Random = seededRandom(context.seed);
  const pairs = { quick: 2, default: 3, full: 7 }[context.tier];
  const legacy: number[] = [];
  const streaming: number[] = [];
  const first: ("base" | "contender")[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    context.progress(`${measure}: pair ${pair + 1} of ${pairs}`);
    const legacyFirst = random.next() < 0.5;
    if (legacyFirst) legacy.push(await run("legacy"));
    streaming.push(await run("streaming"));
    if (!legacyFirst) legacy.push(await run("legacy"));
    first.push(legacyFirst ? "base" : "contender");
  }
  return {
    base: { name: "legacy", values: legacy },
    contender: { name: "streaming", values: streaming },
    first,
  };
}
