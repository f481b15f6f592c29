import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";
import { PEAK_RESOLUTION_BYTES } from "../../src/harness/memory.ts";
import type { BenchmarkReport } from "../../src/harness/report.ts";
import type { BenchmarkCase, CaseContext } from "../case.ts";
import { comparePairs, freshPairs } from "../cases/launches.ts";
import { hashOfFile, makeFile } from "../cases/upload-file.ts";
import type { TransferMemoryJob, TransferNeed } from "../children/transfer-memory.ts";
import type { VersionPairsJob, VersionSide } from "../children/version-pairs.ts";
import { type Checkout, checkOut } from "./checkout.ts";
import type { VersionWork } from "./version-subject.ts";

const PAIRS = new URL("../children/version-pairs.ts", import.meta.url);
const MEMORY = new URL("../children/transfer-memory.ts", import.meta.url);
const PINNED_FLAGS = ["--max-old-space-size=32", "--max-semi-space-size=1"];
const HERE = new URL("../../", import.meta.url);
const MB = 1_000_000;

/** The cases in which two commits are compared; `compare-` may be left out where they are named. */
export const comparedCases: readonly string[] = [
  "compare-upload",
  "compare-hash",
  "compare-facade",
  "compare-memory",
];

/** Whether a name asked for means such a case. */
export function isComparedCase(name: string, asked: string): boolean {
  return asked === "compare" || name === asked || name === `compare-${asked}`;
}

/**
 * Runs the cases that compare this checkout with another commit, or those of them that are named, both
 * in one run. The other one is gone afterwards. Throws `BENCH_NO_SUCH_COMMIT`.
 */
export async function compareVersions(
  ref: string,
  names: readonly string[],
  run: (cases: readonly BenchmarkCase[]) => Promise<BenchmarkReport>,
): Promise<BenchmarkReport> {
  const other = await checkOut(ref);
  try {
    const cases = versionCases(other, ref).filter(
      (each) => names.length === 0 || names.some((name) => isComparedCase(each.name, name)),
    );
    return await run(cases);
  } finally {
    await other.remove();
  }
}

function versionCases({ root, commit }: Checkout, ref: string): BenchmarkCase[] {
  const base = { name: `${ref} (${commit.slice(0, 8)})`, root: root.href };
  const contender = { name: "this checkout", root: HERE.href };
  const works = [
    { work: "upload", fileBytes: 8 * MB, samplesPerBlock: 3, unit: "upload of 8 MB" },
    { work: "hash", fileBytes: 2 * MB, samplesPerBlock: 5, unit: "2 MB read and hashed" },
    { work: "facade", fileBytes: 1000, samplesPerBlock: 9, unit: "2,000 calls of the facade" },
  ] as const;
  const timed = works.map(
    ({ work, fileBytes, samplesPerBlock, unit }): BenchmarkCase => ({
      name: `compare-${work}`,
      title: `${unit}: this checkout against ${ref}`,
      run: async (context) => ({
        comparisons: [
          await compareWork(
            { work, base, contender, fileBytes, samplesPerBlock, measure: unit },
            context,
          ),
        ],
        distributions: [],
      }),
    }),
  );
  const weighed: BenchmarkCase = {
    name: "compare-memory",
    title: `memory of an upload of 64 MB: this checkout against ${ref}`,
    run: async (context) => ({
      comparisons: [
        await compareMemory({ base, contender, fileBytes: 64 * MB, pairs: 5 }, context),
      ],
      distributions: [],
    }),
  };
  return [...timed, weighed];
}

/** Two versions, and what they do. */
export interface WorkComparison {
  readonly work: VersionWork;
  readonly base: VersionSide;
  readonly contender: VersionSide;
  readonly fileBytes: number;
  readonly samplesPerBlock: number;
  readonly measure: string;
  /** Fresh processes and pairs in each; defaults by tier. */
  readonly launches?: number;
  readonly pairs?: number;
}

/** Time of the same work on both sides: the less the better. */
export async function compareWork(
  { work, base, contender, fileBytes, samplesPerBlock, measure, launches, pairs }: WorkComparison,
  context: CaseContext,
): Promise<Comparison> {
  const folder = await mkdtemp(join(context.folder, "versions-"));
  try {
    const path = join(folder, "measured.bin");
    await makeFile(path, fileBytes);
    const { url, rawPort } = await context.sink();
    const input: Omit<VersionPairsJob, "seed"> = {
      work,
      base,
      contender,
      tools: { url, rawPort, path },
      pairs: pairs ?? { quick: 10, default: 40, full: 80 }[context.tier],
      samplesPerBlock,
    };
    const subject = {
      case: `compare-${work}`,
      measure: `time, ${measure}`,
      unit: "ms",
      better: "lower",
      note: "pairs in one process, each version with modules of its own",
    } as const;
    return await comparePairs(
      { program: PAIRS, input, subject, launches: launches ?? (context.quick ? 2 : 5) },
      context,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Two versions, and how much they send. */
export interface MemoryComparison {
  readonly base: VersionSide;
  readonly contender: VersionSide;
  readonly fileBytes: number;
  readonly pairs: number;
}

/** Memory over idle of one upload, a fresh process for every value, with a small heap. */
export async function compareMemory(
  { base, contender, fileBytes, pairs }: MemoryComparison,
  context: CaseContext,
): Promise<Comparison> {
  const folder = await mkdtemp(join(context.folder, "versions-"));
  try {
    const path = join(folder, "measured.bin");
    const warmupPath = join(folder, "warm-up.bin");
    await makeFile(path, fileBytes);
    await makeFile(warmupPath, Math.round(fileBytes / 64));
    const hashes = { [path]: await hashOfFile(path), [warmupPath]: await hashOfFile(warmupPath) };
    const { url, rawPort } = await context.sink();
    const run = async (name: string): Promise<number> => {
      const { root, inject } = name === base.name ? base : contender;
      const input: TransferMemoryJob = {
        subject: "changeover",
        url,
        rawPort,
        path,
        warmupPath,
        hashes,
        root,
        ...(inject === undefined ? {} : { inject }),
      };
      const job = { program: MEMORY, input, nodeFlags: PINNED_FLAGS };
      return (await context.runChild<TransferNeed>(job)).peak.growthBytes / 1e6;
    };
    const values = await freshPairs([base.name, contender.name], pairs, run, context);
    return comparisonOf(
      {
        case: "compare-memory",
        measure: "memory over idle, small heap",
        unit: "MB",
        better: "lower",
        resolution: PEAK_RESOLUTION_BYTES / 1e6,
        nodeFlags: PINNED_FLAGS,
        note: "a fresh process for every value",
      },
      [values],
      seededRandom(context.seed),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
