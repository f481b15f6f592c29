import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf, type Unit } from "../../src/harness/measurement.ts";
import { PEAK_RESOLUTION_BYTES } from "../../src/harness/memory.ts";
import type { PairValues, Series } from "../../src/harness/pairs.ts";
import { pairsOf, shuffled } from "../../src/harness/rounds.ts";
import type { BenchmarkCase, CaseContext, Tier } from "../case.ts";
import type { TransferMemoryJob, TransferNeed } from "../children/transfer-memory.ts";
import type { TransferJob, TransferLaunch } from "../children/transfer-rounds.ts";
import { hashing, limits, type TransferName } from "../subjects/transfer.ts";
import { launchesOf } from "./launches.ts";
import { hashOfFile, makeFile } from "./upload-file.ts";

const ROUNDS = new URL("../children/transfer-rounds.ts", import.meta.url);
const MEMORY = new URL("../children/transfer-memory.ts", import.meta.url);
/** A small heap is collected soon, so that garbage waiting for collection does not count as need. */
const PINNED_FLAGS = ["--max-old-space-size=32", "--max-semi-space-size=1"];
const GIB = 2 ** 30;
/** Whoever sends less than this over loopback is taken for stuck. */
const SLOWEST_BYTES_PER_SECOND = 25e6;

interface PeerCase {
  readonly name: string;
  readonly bytes: number;
  readonly tiers: readonly Tier[];
  readonly subjects: readonly TransferName[];
  /** Rounds in each launch, and fresh processes for each memory value, in the default tier. */
  readonly rounds: number;
  readonly memoryPairs: number;
}

const everybody: readonly TransferName[] = [
  "changeover",
  "changeover, hash known",
  "legacy",
  "supabase-js, Buffer",
  "supabase-js, stream",
  "tus-js-client",
  "undici stream",
  "undici stream + SHA-256",
  "curl -T",
  "SHA-256 of one core",
  "bare loopback copy",
];

const cases: readonly PeerCase[] = [
  {
    name: "peers-50mb",
    bytes: 50e6,
    tiers: ["quick", "default", "full"],
    subjects: everybody,
    rounds: 2,
    memoryPairs: 2,
  },
  {
    name: "peers-256mb",
    bytes: 256e6,
    tiers: ["default", "full"],
    subjects: [
      "changeover",
      "changeover, hash known",
      "tus-js-client",
      "undici stream + SHA-256",
      "curl -T",
      "SHA-256 of one core",
    ],
    rounds: 2,
    memoryPairs: 0,
  },
  {
    name: "peers-1gib",
    bytes: GIB,
    tiers: ["full"],
    subjects: everybody,
    rounds: 2,
    memoryPairs: 3,
  },
  {
    name: "peers-5gib",
    bytes: 5 * GIB,
    tiers: ["full"],
    // Buffers of this size cannot be.
    subjects: everybody.filter((each) => each !== "legacy" && each !== "supabase-js, Buffer"),
    rounds: 1,
    memoryPairs: 1,
  },
];

/** One file to a server that forgets it: what the clients themselves can do. */
export const uploadPeers: readonly BenchmarkCase[] = cases.map((each) => ({
  name: each.name,
  title: `one file of ${sizeOf(each.bytes)} against supabase-js, tus, undici, curl and the machine's limits`,
  tiers: each.tiers,
  needs: {
    program: "curl",
    diskBytes: each.bytes * 1.2,
    memoryBytes: memoryOf(each),
  },
  run: async (context) => {
    const folder = await mkdtemp(join(context.folder, "peers-"));
    try {
      const files = await filesOf(folder, each.bytes);
      const timed = await compareTimes(each, files, context);
      const needs = each.memoryPairs === 0 ? [] : await compareNeeds(each, files, context);
      return { comparisons: [...timed, ...needs], distributions: [] };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
}));

/** What the hungriest of the subjects holds: several whole buffers, one whole stream, or little. */
function memoryOf({ subjects, bytes }: PeerCase): number {
  if (subjects.includes("legacy")) return bytes * 5;
  return subjects.includes("supabase-js, stream") ? 300e6 + bytes * 1.2 : 300e6;
}

function sizeOf(bytes: number): string {
  return bytes % GIB === 0 ? `${bytes / GIB} GiB` : `${bytes / 1e6} MB`;
}

interface Files {
  readonly path: string;
  readonly warmupPath: string;
  readonly hashes: Readonly<Record<string, string>>;
}

async function filesOf(folder: string, bytes: number): Promise<Files> {
  const path = join(folder, "measured.bin");
  const warmupPath = join(folder, "warm-up.bin");
  await makeFile(path, bytes);
  await makeFile(warmupPath, Math.min(1e6, Math.round(bytes / 64)));
  const hashes = {
    [path]: await hashOfFile(path),
    [warmupPath]: await hashOfFile(warmupPath),
  };
  return { path, warmupPath, hashes };
}

/** Whom a subject is compared with: hashing with hashing, the rest with what need not hash. */
function rivalOf(subject: TransferName): TransferName {
  return hashing.includes(subject) ? "changeover" : "changeover, hash known";
}

function isOurs(subject: TransferName): boolean {
  return subject === "changeover" || subject === "changeover, hash known";
}

async function compareTimes(
  { name, bytes, subjects, rounds }: PeerCase,
  files: Files,
  context: CaseContext,
): Promise<Comparison[]> {
  const { url, rawPort } = await context.sink();
  const count = launchesOf(context);
  const wanted = { quick: Math.min(2, rounds), default: rounds, full: 2 * rounds }[context.tier];
  // One round more is thrown away.
  const slowestMs = (subjects.length * (wanted + 1) * bytes * 1000) / SLOWEST_BYTES_PER_SECOND;
  const timeoutMs = Math.max(1_200_000, slowestMs);
  const launches: TransferLaunch[] = [];
  for (let index = 0; index < count; index += 1) {
    context.progress(`launch ${index + 1} of ${count}`);
    // Another order of opening in each launch: what is compiled first must not decide.
    const order = shuffled(subjects.length, seededRandom(context.seed + index));
    const job: TransferJob = {
      subjects: order.map((each) => subjects[each] as TransferName),
      url,
      rawPort,
      ...files,
      rounds: wanted,
      seed: context.seed + index,
    };
    launches.push(
      await context.runChild<TransferLaunch>({ program: ROUNDS, input: job, timeoutMs }),
    );
  }
  const random = seededRandom(context.seed);
  const compare = (
    peer: TransferName,
    measure: string,
    unit: Unit,
    pairs: readonly PairValues[],
  ): Comparison =>
    comparisonOf(
      {
        case: name,
        measure,
        unit,
        better: measure === "throughput" ? "higher" : "lower",
        resolution: null,
        nodeFlags: [],
        note: noteOf(peer),
      },
      pairs,
      random,
    );
  return subjects
    .filter((subject) => !isOurs(subject))
    .flatMap((peer) => {
      const ours = rivalOf(peer);
      const throughput = launches.map(({ elapsed }) =>
        pairsOf(
          inverse(seriesOf(elapsed, peer), bytes / 1000),
          inverse(seriesOf(elapsed, ours), bytes / 1000),
        ),
      );
      const found = [compare(peer, "throughput", "MB/s", throughput)];
      // curl's own time is not this process's.
      if (peer === "curl -T") return found;
      const cpu = launches.map((launch) =>
        pairsOf(
          scaled(seriesOf(launch.cpu, peer), GIB / bytes / 1000),
          scaled(seriesOf(launch.cpu, ours), GIB / bytes / 1000),
        ),
      );
      return [...found, compare(peer, "CPU", "s/GiB", cpu)];
    });
}

function noteOf(peer: TransferName): string {
  const whom = limits.includes(peer) ? `${peer} is a limit of the machine, no peer` : "";
  const where = "one file to a server in another process that forgets it, on loopback";
  return [whom, where].filter((part) => part !== "").join("; ");
}

function seriesOf(all: readonly Series[], name: TransferName): Series {
  return all.find((each) => each.name === name) ?? { name, values: [] };
}

function scaled({ name, values }: Series, factor: number): Series {
  return { name, values: values.map((value) => value * factor) };
}

function inverse({ name, values }: Series, dividend: number): Series {
  return { name, values: values.map((value) => dividend / value) };
}

/** Memory and the longest block of the event loop: a fresh process for every value. */
async function compareNeeds(
  { name, subjects, memoryPairs }: PeerCase,
  files: Files,
  context: CaseContext,
): Promise<Comparison[]> {
  const { url, rawPort } = await context.sink();
  const measured = subjects.filter((each) => each !== "curl -T" && !limits.includes(each));
  const times = { quick: 1, default: memoryPairs, full: memoryPairs + 1 }[context.tier];
  const comparisons: Comparison[] = [];
  for (const nodeFlags of [[], PINNED_FLAGS]) {
    const needs = new Map<TransferName, TransferNeed[]>(measured.map((each) => [each, []]));
    const random = seededRandom(context.seed);
    for (let turn = 0; turn < times; turn += 1) {
      for (const index of shuffled(measured.length, random)) {
        const subject = measured[index] as TransferName;
        context.progress(`memory of ${subject}, ${turn + 1} of ${times}`);
        const input: TransferMemoryJob = { subject, url, rawPort, ...files };
        // A heap of 32 MB is enough for buffers: they are outside of it.
        const job = { program: MEMORY, input, nodeFlags, timeoutMs: 600_000 };
        needs.get(subject)?.push(await context.runChild<TransferNeed>(job));
      }
    }
    const compare = (
      peer: TransferName,
      [measure, unit]: readonly [string, Unit],
      read: (need: TransferNeed) => number,
    ): Comparison => {
      const values = (subject: TransferName): Series => ({
        name: subject,
        values: (needs.get(subject) ?? []).map(read),
      });
      const small = nodeFlags.length > 0;
      return comparisonOf(
        {
          case: name,
          measure: small ? `${measure}, small heap` : measure,
          unit,
          better: "lower",
          resolution: unit === "MB" ? PEAK_RESOLUTION_BYTES / 1e6 : 0.1,
          nodeFlags,
          note: "a fresh process for every value",
        },
        [pairsOf(values(peer), values(rivalOf(peer)))],
        random,
      );
    };
    for (const peer of measured.filter((each) => !isOurs(each))) {
      comparisons.push(
        compare(peer, ["memory over idle", "MB"], ({ peak }) => peak.growthBytes / 1e6),
      );
      if (nodeFlags.length > 0) continue;
      const block = ["longest event-loop block", "ms"] as const;
      comparisons.push(compare(peer, block, ({ longestBlockMs }) => longestBlockMs));
    }
  }
  return comparisons;
}
