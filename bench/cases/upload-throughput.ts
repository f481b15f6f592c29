import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";
import { convertPairs, type PairValues } from "../../src/harness/pairs.ts";
import type { BenchmarkCase, CaseContext } from "../case.ts";
import type { ThroughputJob } from "../children/upload-throughput.ts";
import { makeFiles } from "./upload-file.ts";

const PROGRAM = new URL("../children/upload-throughput.ts", import.meta.url);

/** What is uploaded in one case, and how often. */
interface Load {
  readonly name: string;
  readonly files: number;
  readonly fileMb: number;
  /** Pairs in each launch of a full run. */
  readonly pairs: number;
}

const loads: readonly Load[] = [
  { name: "upload-1mb", files: 1, fileMb: 1, pairs: 20 },
  { name: "upload-10mb", files: 1, fileMb: 10, pairs: 12 },
  { name: "upload-50mb", files: 1, fileMb: 50, pairs: 8 },
  { name: "upload-10x5mb", files: 10, fileMb: 5, pairs: 8 },
];

/** How fast either file manager stores files in the sandbox: whole calls, rows and hashes included. */
export const uploadThroughput: readonly BenchmarkCase[] = loads.map((load) => ({
  name: load.name,
  title: `upload of ${load.files === 1 ? "" : `${load.files} files of `}${load.fileMb} MB on both paths: MB/s`,
  run: async (context) => {
    const turns = load.files === 1 ? [false] : [false, true];
    const comparisons: Comparison[] = [];
    for (const legacyAtOnce of turns) {
      comparisons.push(await throughput(load, legacyAtOnce, context));
    }
    return { comparisons, distributions: [] };
  },
}));

async function throughput(
  load: Load,
  legacyAtOnce: boolean,
  context: CaseContext,
): Promise<Comparison> {
  const { supabase } = await context.sandbox();
  const folder = await mkdtemp(join(context.folder, "files-"));
  const paths = await makeFiles(folder, load.files, load.fileMb * 1e6);
  const launches = context.quick ? 1 : 4;
  const pairs = context.quick ? 3 : load.pairs;
  const results: PairValues[] = [];
  for (let index = 0; index < launches; index += 1) {
    context.progress(`launch ${index + 1} of ${launches}`);
    const seed = context.seed + index;
    const limitMs = 90_000;
    const job: ThroughputJob = { supabase, paths, legacyAtOnce, pairs, limitMs, seed };
    const pairsMs = await context.runChild<PairValues>({
      program: PROGRAM,
      input: job,
      timeoutMs: 2 * limitMs,
    });
    results.push(convertPairs(pairsMs, (ms) => (load.files * load.fileMb * 1000) / ms));
  }
  const subject = {
    case: load.name,
    measure: load.files > 1 && legacyAtOnce ? "throughput, all at once" : "throughput",
    unit: "MB/s",
    better: "higher",
    resolution: null,
    nodeFlags: [],
    note: noteOf(load, legacyAtOnce),
  } as const;
  return comparisonOf(subject, results, seededRandom(context.seed));
}

function noteOf(load: Load, legacyAtOnce: boolean): string {
  if (load.files === 1) return "one file at a time; client and server share the machine";
  return legacyAtOnce
    ? "throughput, all at once: both paths are given all files at once"
    : "throughput: legacy is given one file after the other, as it is used; streaming all at once";
}
