import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";
import { convertPairs, type PairValues } from "../../src/harness/pairs.ts";
import type { BenchmarkCase, CaseContext, Tier } from "../case.ts";
import type { ThroughputJob } from "../children/upload-throughput.ts";
import type { NetworkName } from "../network/profiles.ts";
import { makeFiles } from "./upload-file.ts";

const PROGRAM = new URL("../children/upload-throughput.ts", import.meta.url);
const GIB = 2 ** 30;
const KB = 1000;
const MB = 1_000_000;

/** What is uploaded in one case, and how often. */
interface Load {
  readonly name: string;
  readonly files: number;
  readonly bytes: number;
  readonly network: NetworkName;
  /** Uploads of the streaming path at once; its own default where it is not said. */
  readonly atOnce?: number;
  /** Pairs in each launch; a full run takes twice as many. */
  readonly pairs: number;
  readonly tiers: readonly Tier[];
}

const always: readonly Tier[] = ["quick", "default", "full"];
const usual: readonly Tier[] = ["default", "full"];
const nightly: readonly Tier[] = ["full"];

const loads: readonly Load[] = [
  { name: "upload-1mb", files: 1, bytes: MB, network: "loopback", pairs: 12, tiers: always },
  { name: "upload-10mb", files: 1, bytes: 10 * MB, network: "loopback", pairs: 6, tiers: nightly },
  { name: "upload-50mb", files: 1, bytes: 50 * MB, network: "loopback", pairs: 2, tiers: usual },
  { name: "upload-256mb", files: 1, bytes: 256 * MB, network: "loopback", pairs: 1, tiers: usual },
  { name: "upload-1gib", files: 1, bytes: GIB, network: "loopback", pairs: 1, tiers: nightly },
  { name: "upload-10x5mb", files: 10, bytes: 5 * MB, network: "loopback", pairs: 3, tiers: usual },
  {
    name: "upload-100x5mb",
    files: 100,
    bytes: 5 * MB,
    network: "loopback",
    pairs: 1,
    tiers: nightly,
  },
  { name: "upload-5mb-cloud", files: 1, bytes: 5 * MB, network: "cloud", pairs: 2, tiers: usual },
  {
    name: "upload-50mb-cloud",
    files: 1,
    bytes: 50 * MB,
    network: "cloud",
    pairs: 1,
    tiers: nightly,
  },
  {
    name: "upload-10x5mb-cloud",
    files: 10,
    bytes: 5 * MB,
    network: "cloud",
    atOnce: 10,
    pairs: 1,
    tiers: usual,
  },
  {
    name: "upload-100x5mb-cloud",
    files: 100,
    bytes: 5 * MB,
    network: "cloud",
    atOnce: 20,
    pairs: 1,
    tiers: nightly,
  },
  {
    name: "upload-40x10kb-region",
    files: 40,
    bytes: 10 * KB,
    network: "region",
    atOnce: 20,
    pairs: 1,
    tiers: usual,
  },
  {
    name: "upload-1000x10kb-region",
    files: 1000,
    bytes: 10 * KB,
    network: "region",
    atOnce: 20,
    pairs: 1,
    tiers: nightly,
  },
  { name: "upload-10mb-lan", files: 1, bytes: 10 * MB, network: "lan", pairs: 4, tiers: nightly },
  { name: "upload-50mb-wan", files: 1, bytes: 50 * MB, network: "wan", pairs: 1, tiers: nightly },
];

/** How fast either file manager stores files in the sandbox: whole calls, rows and hashes included. */
export const uploadThroughput: readonly BenchmarkCase[] = loads.map((load) => ({
  name: load.name,
  title: `upload of ${load.files === 1 ? "" : `${load.files} files of `}${sizeText(load.bytes)} on both paths over ${load.network}: MB/s`,
  tiers: load.tiers,
  // The file, and its copy in the store.
  needs: { diskBytes: load.files * load.bytes * 3, memoryBytes: load.bytes * 5 },
  run: async (context) => {
    const folder = await mkdtemp(join(context.folder, "files-"));
    try {
      const paths = await makeFiles(folder, load.files, load.bytes);
      const isLocal = load.files > 1 && load.network === "loopback" && load.files <= 10;
      const comparisons: Comparison[] = [];
      for (const legacyAtOnce of isLocal && context.tier === "full" ? [false, true] : [false]) {
        comparisons.push(await throughput(load, { paths, legacyAtOnce }, context));
      }
      return { comparisons, distributions: [] };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
}));

function sizeText(bytes: number): string {
  if (bytes % GIB === 0) return `${bytes / GIB} GiB`;
  return bytes < MB ? `${bytes / KB} KB` : `${bytes / MB} MB`;
}

async function throughput(
  load: Load,
  { paths, legacyAtOnce }: { readonly paths: readonly string[]; readonly legacyAtOnce: boolean },
  context: CaseContext,
): Promise<Comparison> {
  const supabase = await context.sandbox(load.network);
  const launches = { quick: 1, default: 3, full: 5 }[context.tier];
  const pairs = { quick: Math.min(3, load.pairs), default: load.pairs, full: 2 * load.pairs };
  const results: PairValues[] = [];
  for (let index = 0; index < launches; index += 1) {
    context.progress(`launch ${index + 1} of ${launches}`);
    const seed = context.seed + index;
    const limitMs = 900_000;
    const job: ThroughputJob = {
      supabase,
      paths,
      legacyAtOnce,
      streamingAtOnce: load.atOnce ?? null,
      pairs: pairs[context.tier],
      limitMs,
      seed,
    };
    const pairsMs = await context.runChild<PairValues>({
      program: PROGRAM,
      input: job,
      timeoutMs: 2 * limitMs,
    });
    results.push(convertPairs(pairsMs, (ms) => (load.files * load.bytes) / 1000 / ms));
  }
  const isMemory = await context.storesInMemory();
  const subject = {
    case: load.name,
    measure: legacyAtOnce ? "throughput, all at once" : "throughput",
    unit: "MB/s",
    better: "higher",
    resolution: null,
    nodeFlags: [],
    note: `${noteOf(load, legacyAtOnce)}; stored ${isMemory ? "in memory" : "on disk"}`,
  } as const;
  return comparisonOf(subject, results, seededRandom(context.seed));
}

function noteOf({ files, network, atOnce }: Load, legacyAtOnce: boolean): string {
  const where = `client and server share the machine, ${network} between them`;
  if (files === 1) return `one file at a time; ${where}`;
  const ours = atOnce === undefined ? "all at once" : `${atOnce} at once`;
  return legacyAtOnce
    ? `throughput, all at once: both paths are given all files at once; ${where}`
    : `throughput: legacy is given one file after the other, as it is used; streaming ${ours}; ${where}`;
}
