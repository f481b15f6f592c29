import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";
import { PEAK_RESOLUTION_BYTES } from "../../src/harness/memory.ts";
import { convertPairs } from "../../src/harness/pairs.ts";
import type { BenchmarkCase, CaseContext, Tier } from "../case.ts";
import type { CrowdNeed, TransferCrowdJob } from "../children/transfer-crowd.ts";
import type { TransferName } from "../subjects/transfer.ts";
import { freshPairs } from "./launches.ts";
import { hashOfFile, makeFile } from "./upload-file.ts";

const PROGRAM = new URL("../children/transfer-crowd.ts", import.meta.url);
const MB = 1_000_000;

interface Crowd {
  readonly name: string;
  readonly atOnce: number;
  readonly bytes: number;
  readonly tiers: readonly Tier[];
}

const crowds: readonly Crowd[] = [1, 4, 16, 64]
  .map(
    (atOnce): Crowd => ({
      name: `crowd-${atOnce}x5mb`,
      atOnce,
      bytes: 5 * MB,
      tiers: ["default", "full"],
    }),
  )
  .concat([
    { name: "crowd-100x10mb", atOnce: 100, bytes: 10 * MB, tiers: ["default", "full"] },
    { name: "crowd-100x50mb", atOnce: 100, bytes: 50 * MB, tiers: ["full"] },
  ]);

/** Many uploads at once to a server that forgets them: throughput and memory. */
export const uploadCrowds: readonly BenchmarkCase[] = crowds.map((crowd) => ({
  name: crowd.name,
  title: `${crowd.atOnce} upload${crowd.atOnce === 1 ? "" : "s"} of ${crowd.bytes / MB} MB at once against plain undici: MB/s and memory`,
  tiers: crowd.tiers,
  needs: { memoryBytes: 1e9, diskBytes: crowd.bytes * 2 },
  run: async (context) => {
    const folder = await mkdtemp(join(context.folder, "crowd-"));
    try {
      return { comparisons: await compare(crowd, folder, context), distributions: [] };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
}));

async function compare(
  { name, atOnce, bytes }: Crowd,
  folder: string,
  context: CaseContext,
): Promise<Comparison[]> {
  const { url, rawPort } = await context.sink();
  const path = join(folder, "measured.bin");
  const warmupPath = join(folder, "warm-up.bin");
  await makeFile(path, bytes);
  await makeFile(warmupPath, 100_000);
  const hashes = { [path]: await hashOfFile(path), [warmupPath]: await hashOfFile(warmupPath) };
  const memory = new Map<string, number[]>();
  const run = async (subject: string): Promise<number> => {
    const input: TransferCrowdJob = {
      subject: subject as TransferName,
      url,
      rawPort,
      path,
      warmupPath,
      hashes,
      atOnce,
    };
    const need = await context.runChild<CrowdNeed>({ program: PROGRAM, input, timeoutMs: 600_000 });
    memory.set(subject, [...(memory.get(subject) ?? []), need.growthBytes / 1e6]);
    return need.elapsedMs;
  };
  const names = ["undici stream + SHA-256", "changeover"] as const;
  const times = { quick: 1, default: 2, full: 5 }[context.tier];
  const elapsed = await freshPairs(names, times, run, context);
  const grown = {
    base: { name: names[0], values: memory.get(names[0]) ?? [] },
    contender: { name: names[1], values: memory.get(names[1]) ?? [] },
    first: elapsed.first,
  };
  const common = {
    case: name,
    nodeFlags: [],
    note: "a fresh process for every value; both hash while they send; 16 connections each",
  };
  return [
    comparisonOf(
      { ...common, measure: "throughput", unit: "MB/s", better: "higher", resolution: null },
      [convertPairs(elapsed, (ms) => (atOnce * bytes) / 1000 / ms)],
      seededRandom(context.seed),
    ),
    comparisonOf(
      {
        ...common,
        measure: "memory over idle",
        unit: "MB",
        better: "lower",
        resolution: PEAK_RESOLUTION_BYTES / 1e6,
      },
      [grown],
      seededRandom(context.seed),
    ),
  ];
}
