import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf, type Figure } from "../../src/harness/measurement.ts";
import { PEAK_RESOLUTION_BYTES } from "../../src/harness/memory.ts";
import { bootstrapInterval, medianOfGroups } from "../../src/harness/statistics.ts";
import type { BenchmarkCase, CaseContext } from "../case.ts";
import type { CrowdResult, FileCallsJob } from "../children/file-calls.ts";
import { comparePairs, freshPairs } from "./launches.ts";
import { makeFile, makeFiles, makeUnique } from "./upload-file.ts";
import type { ManagerName } from "./upload-subject.ts";

const PROGRAM = new URL("../children/file-calls.ts", import.meta.url);
const MB = 1_000_000;

/** Reading files: whole, their first byte, given up, slowly; and everything at once. */
export const fileCalls: readonly BenchmarkCase[] = [
  {
    name: "download-50mb",
    title: "download of 50 MB on both paths: MB/s, time to the first byte, time to give up",
    needs: { memoryBytes: 300e6, diskBytes: 200e6 },
    run: (context) =>
      inFolder(context, async (folder) => {
        const paths = await makeFiles(folder, 1, 50 * MB);
        return { comparisons: await downloads(paths, context), distributions: [] };
      }),
  },
  {
    name: "download-slow-reader",
    title: "download of 50 MB by a reader that pauses after each chunk: peak memory over idle",
    needs: { memoryBytes: 300e6, diskBytes: 200e6 },
    run: (context) =>
      inFolder(context, async (folder) => ({
        comparisons: [await slowReader(folder, context)],
        distributions: [],
      })),
  },
  {
    name: "mixed",
    title: "6 uploads and 6 downloads of 5 MB and 4 lists at once, on both paths: time for all",
    tiers: ["default", "full"],
    needs: { memoryBytes: 300e6, diskBytes: 200e6 },
    run: (context) =>
      inFolder(context, async (folder) => {
        const paths = await makeFiles(folder, 6, 5 * MB);
        return { comparisons: [await mixed(paths, context)], distributions: [] };
      }),
  },
  {
    name: "crowd",
    title: "100 uploads of 1 MB that arrive at once over cloud: how many miss a deadline of 10 s",
    tiers: ["default", "full"],
    needs: { diskBytes: 500e6 },
    run: (context) =>
      inFolder(context, async (folder) => {
        const paths = await makeFiles(folder, 100, MB);
        return { comparisons: [], distributions: [], figures: await crowd(paths, context) };
      }),
  },
];

async function inFolder<T>(
  { folder }: CaseContext,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const own = await mkdtemp(join(folder, "files-"));
  try {
    return await work(own);
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

async function downloads(paths: readonly string[], context: CaseContext): Promise<Comparison[]> {
  const supabase = await context.sandbox();
  const pairs = { quick: 2, default: 2, full: 6 }[context.tier];
  const launches = { quick: 1, default: 2, full: 5 }[context.tier];
  const job = (kind: "download" | "first-byte" | "abort"): object => ({
    kind,
    supabase,
    paths,
    pairs,
  });
  const subject = { case: "download-50mb", unit: "ms", better: "lower" } as const;
  const note = "from the call on; the reader takes all it can get";
  return [
    await comparePairs(
      {
        program: PROGRAM,
        input: job("download"),
        launches,
        subject: { ...subject, measure: "throughput", unit: "MB/s", better: "higher", note },
        convert: (ms) => (50 * MB) / 1000 / ms,
      },
      context,
    ),
    await comparePairs(
      {
        program: PROGRAM,
        input: job("first-byte"),
        launches,
        subject: { ...subject, measure: "time to the first byte", note },
      },
      context,
    ),
    await comparePairs(
      {
        program: PROGRAM,
        input: job("abort"),
        launches,
        subject: {
          ...subject,
          measure: "time of a download given up after 1 MB",
          note: "until the reader is rid of it",
        },
      },
      context,
    ),
  ];
}

async function slowReader(folder: string, context: CaseContext): Promise<Comparison> {
  const supabase = await context.sandbox();
  const path = join(folder, "measured.bin");
  const warmupPath = join(folder, "warm-up.bin");
  await makeFile(path, 50 * MB);
  await makeFile(warmupPath, MB);
  const run = async (name: string): Promise<number> => {
    for (const each of [path, warmupPath]) await makeUnique(each);
    const manager = name as ManagerName;
    const input: FileCallsJob = { kind: "slow-consumer", manager, supabase, path, warmupPath };
    return context.runChild<number>({ program: PROGRAM, input });
  };
  const times = { quick: 1, default: 2, full: 5 }[context.tier];
  const pairs = await freshPairs(["legacy", "streaming"], times, run, context);
  return comparisonOf(
    {
      case: "download-slow-reader",
      measure: "memory over idle",
      unit: "MB",
      better: "lower",
      resolution: PEAK_RESOLUTION_BYTES / 1e6,
      nodeFlags: [],
      note: "a fresh process for every value",
    },
    [pairs],
    seededRandom(context.seed),
  );
}

async function mixed(paths: readonly string[], context: CaseContext): Promise<Comparison> {
  const supabase = await context.sandbox();
  const pairs = { quick: 2, default: 2, full: 6 }[context.tier];
  const input = { kind: "mixed", supabase, paths, pairs };
  return comparePairs(
    {
      program: PROGRAM,
      input,
      subject: {
        case: "mixed",
        measure: "time for all calls",
        unit: "ms",
        better: "lower",
        note: "both paths get all calls at once",
      },
    },
    context,
  );
}

const DEADLINE_MS = 10_000;

async function crowd(paths: readonly string[], context: CaseContext): Promise<Figure[]> {
  const supabase = await context.sandbox("cloud");
  const launches = { quick: 1, default: 2, full: 3 }[context.tier];
  const late: Record<ManagerName, number[][]> = { legacy: [], streaming: [] };
  for (let index = 0; index < launches; index += 1) {
    for (const manager of ["legacy", "streaming"] as const) {
      context.progress(`${manager}: launch ${index + 1} of ${launches}`);
      for (const path of paths) await makeUnique(path);
      const input: FileCallsJob = {
        kind: "crowd",
        manager,
        supabase,
        paths,
        deadlineMs: DEADLINE_MS,
      };
      const result = await context.runChild<CrowdResult>({
        program: PROGRAM,
        input,
        timeoutMs: 300_000,
      });
      late[manager].push([(100 * result.late) / result.uploads]);
    }
  }
  return (["legacy", "streaming"] as const).map((manager) => ({
    case: "crowd",
    measure: `uploads not stored within ${DEADLINE_MS / 1000} s, ${manager}`,
    unit: "%",
    value: medianOfGroups(late[manager]),
    ci95: bootstrapInterval(late[manager], { random: seededRandom(context.seed) }),
  }));
}
