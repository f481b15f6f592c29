import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";
import { PEAK_RESOLUTION_BYTES } from "../../src/harness/memory.ts";
import { judgePairs, type PairValues, type Series } from "../../src/harness/pairs.ts";
import { addedTo, pairsOf } from "../../src/harness/rounds.ts";
import type { CaseContext } from "../case.ts";
import { freshPairs } from "../cases/launches.ts";
import { writeFlags } from "../cases/peer-subject.ts";
import { hashOfFile, makeFile, makeFiles } from "../cases/upload-file.ts";
import type { PeersJob } from "../children/facade-peers.ts";
import type { TransferMemoryJob, TransferNeed } from "../children/transfer-memory.ts";
import type { TransferJob, TransferLaunch } from "../children/transfer-rounds.ts";
import type { ThroughputJob } from "../children/upload-throughput.ts";
import { compareMemory, compareWork } from "../compare/compare.ts";
import type { TransferName } from "../subjects/transfer.ts";
import type { GateRule, Reading } from "./verdict.ts";

/** One check of the gate. */
export interface GateCheck {
  /** Its limit in `targets.json`. */
  readonly id: string;
  readonly rule: GateRule;
  /** Measures with so many times the usual number of samples: 1, 2, 4, … */
  readonly measure: (context: CaseContext, times: number) => Promise<Reading>;
}

const HERE = new URL("../../", import.meta.url).href;
const PINNED_FLAGS = ["--max-old-space-size=32", "--max-semi-space-size=1"];
const program = (name: string): URL => new URL(`../children/${name}.ts`, import.meta.url);
const MB = 1_000_000;
/** What the time the facade adds is told apart by, in ns. */
const RESOLUTION_NS = 20;

/** Every check, self-tests first: without them the others say nothing. */
export const gateChecks: readonly GateCheck[] = [
  {
    id: "self-test-identical",
    rule: "must-not-be-seen",
    measure: (context, times) => workRatio(0, context, times),
  },
  {
    id: "self-test-slower",
    rule: "must-be-seen",
    measure: (context, times) => workRatio(0.1, context, times),
  },
  {
    id: "self-test-memory",
    rule: "must-be-seen",
    measure: async (context, times) => {
      const base = { name: "as it is", root: HERE };
      const contender = { name: "+16 MB", root: HERE, inject: { extraBytes: 16 * MB } };
      const fileBytes = 16 * MB;
      const pairs = 3 * times;
      return differenceOf(await compareMemory({ base, contender, fileBytes, pairs }, context));
    },
  },
  { id: "stream-time", rule: "at-most", measure: streamTime },
  { id: "legacy-time", rule: "at-most", measure: legacyTime },
  {
    id: "stream-memory",
    rule: "at-most",
    measure: async (context, times) => {
      const names = ["undici stream + SHA-256", "changeover"] as const;
      return ratioOf(
        await memoryOf(
          {
            sides: [
              { subject: names[0], bytes: 64 * MB },
              { subject: names[1], bytes: 64 * MB },
            ],
            pairs: 3 * times,
          },
          context,
        ),
      );
    },
  },
  {
    id: "constant-memory",
    rule: "at-most",
    measure: async (context, times) =>
      differenceOf(
        await memoryOf(
          {
            sides: [
              { subject: "changeover", bytes: 16 * MB },
              { subject: "changeover", bytes: 256 * MB },
            ],
            pairs: 3 * times,
          },
          context,
        ),
      ),
  },
  { id: "facade-time", rule: "at-most", measure: facadeTime },
];

function ratioOf({ ratio, ratioCi95 }: Comparison): Reading {
  return { value: ratio, ci95: ratioCi95 };
}

function differenceOf({ difference, differenceCi95 }: Comparison): Reading {
  return { value: difference, ci95: differenceCi95 };
}

/** The same code on both sides, the second one made slower by a share of its own time. */
async function workRatio(slower: number, context: CaseContext, times: number): Promise<Reading> {
  const work = await compareWork(
    {
      work: "hash",
      base: { name: "as it is", root: HERE },
      contender: { name: `+${slower * 100} %`, root: HERE, inject: { slower } },
      fileBytes: 2 * MB,
      samplesPerBlock: 3,
      measure: "2 MB read and hashed",
      launches: 5,
      pairs: 20 * times,
    },
    context,
  );
  return ratioOf(work);
}

async function streamTime(context: CaseContext, times: number): Promise<Reading> {
  return inFolder(context, async (folder) => {
    const { url, rawPort } = await context.sink();
    const files = await filesOf(folder, 8 * MB);
    const subjects = ["undici stream + SHA-256", "changeover"] as const;
    const launches: PairValues[] = [];
    for (let index = 0; index < 5; index += 1) {
      const order = index % 2 === 0 ? [...subjects] : subjects.toReversed();
      const seed = context.seed + index;
      const input: TransferJob = {
        subjects: order,
        url,
        rawPort,
        ...files,
        rounds: 12 * times,
        seed,
      };
      const job = { program: program("transfer-rounds"), input };
      const { elapsed } = await context.runChild<TransferLaunch>(job);
      launches.push(pairsOf(seriesOf(elapsed, subjects[0]), seriesOf(elapsed, subjects[1])));
    }
    return readingOf(launches, context);
  });
}

async function legacyTime(context: CaseContext, times: number): Promise<Reading> {
  return inFolder(context, async (folder) => {
    const supabase = await context.sandbox();
    const paths = await makeFiles(folder, 10, 5 * MB);
    const launches: PairValues[] = [];
    for (let index = 0; index < 3; index += 1) {
      const input: ThroughputJob = {
        supabase,
        paths,
        legacyAtOnce: false,
        streamingAtOnce: null,
        pairs: 3 * times,
        limitMs: 90_000,
        seed: context.seed + index,
      };
      const job = { program: program("upload-throughput"), input, timeoutMs: 180_000 };
      launches.push(await context.runChild<PairValues>(job));
    }
    return readingOf(launches, context);
  });
}

async function facadeTime(context: CaseContext, times: number): Promise<Reading> {
  const flagsFolder = join(context.folder, "gate-flags");
  await writeFlags(flagsFolder);
  const subjects = ["direct", "changeover", "opossum, defaults"] as const;
  const launches: PairValues[] = [];
  for (let index = 0; index < 3; index += 1) {
    const seed = context.seed + index;
    const input: PeersJob = { kind: "time", subjects, flagsFolder, rounds: 12 * times, seed };
    const all = await context.runChild<Series[]>({ program: program("facade-peers"), input });
    const direct = seriesOf(all, "direct");
    const added = (name: string): Series => {
      const series = addedTo(direct, seriesOf(all, name));
      return { name, values: series.values.map((ns) => Math.max(ns, RESOLUTION_NS)) };
    };
    launches.push(pairsOf(added("opossum, defaults"), added("changeover")));
  }
  return readingOf(launches, context);
}

interface Weighed {
  readonly subject: TransferName;
  readonly bytes: number;
}

/** Memory over idle of two uploads, a fresh process for every value, with a small heap. */
async function memoryOf(
  { sides, pairs }: { readonly sides: readonly [Weighed, Weighed]; readonly pairs: number },
  context: CaseContext,
): Promise<Comparison> {
  return inFolder(context, async (folder) => {
    const { url, rawPort } = await context.sink();
    const files = new Map<number, Awaited<ReturnType<typeof filesOf>>>();
    for (const { bytes } of sides) {
      if (!files.has(bytes)) files.set(bytes, await filesOf(folder, bytes));
    }
    const nameOf = ({ subject, bytes }: Weighed): string => `${subject}, ${bytes / MB} MB`;
    const run = async (name: string): Promise<number> => {
      const { subject, bytes } = sides.find((each) => nameOf(each) === name) ?? sides[0];
      const file = files.get(bytes) ?? (await filesOf(folder, bytes));
      const input: TransferMemoryJob = { subject, url, rawPort, ...file };
      const job = { program: program("transfer-memory"), input, nodeFlags: PINNED_FLAGS };
      return (await context.runChild<TransferNeed>(job)).peak.growthBytes / MB;
    };
    const values = await freshPairs([nameOf(sides[0]), nameOf(sides[1])], pairs, run, context);
    const subject = {
      case: "gate",
      measure: "memory over idle, small heap",
      unit: "MB",
      better: "lower",
      resolution: PEAK_RESOLUTION_BYTES / MB,
      nodeFlags: PINNED_FLAGS,
      note: "",
    } as const;
    return comparisonOf(subject, [values], seededRandom(context.seed));
  });
}

function readingOf(launches: readonly PairValues[], { seed }: CaseContext): Reading {
  const { ratio, ratioCi95 } = judgePairs(launches, { random: seededRandom(seed) });
  return { value: ratio, ci95: ratioCi95 };
}

function seriesOf(all: readonly Series[], name: string): Series {
  return all.find((each) => each.name === name) ?? { name, values: [] };
}

async function filesOf(
  folder: string,
  bytes: number,
): Promise<Pick<TransferMemoryJob, "path" | "warmupPath" | "hashes">> {
  const path = join(folder, `${bytes}.bin`);
  const warmupPath = join(folder, `${bytes}-warm-up.bin`);
  await makeFile(path, bytes);
  await makeFile(warmupPath, Math.min(MB, Math.round(bytes / 64)));
  const hashes = { [path]: await hashOfFile(path), [warmupPath]: await hashOfFile(warmupPath) };
  return { path, warmupPath, hashes };
}

async function inFolder<T>(
  { folder }: CaseContext,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const own = await mkdtemp(join(folder, "gate-"));
  try {
    return await work(own);
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}
