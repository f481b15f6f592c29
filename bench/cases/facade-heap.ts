import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";
import type { PairValues } from "../../src/harness/pairs.ts";
import type { BenchmarkCase, CaseContext } from "../case.ts";
import type { HeapJob } from "../children/facade-heap.ts";
import { type SubjectName, writeFlags } from "./peer-subject.ts";

const NAME = "facade-heap";
const PROGRAM = new URL("../children/facade-heap.ts", import.meta.url);
const NODE_FLAGS = ["--expose-gc"];
const STEPS = 10;
/** A leak of one forgotten number for every call is 8 bytes a call: it shows at any of these. */
const callsPerSteps = { quick: 50_000, default: 300_000, full: 1_000_000 } as const;

const subjects: readonly SubjectName[] = [
  "changeover",
  "changeover, fresh keys",
  "changeover, failing",
];

/** Does anything stay behind? Heap after a full collection, over millions of calls of each kind. */
export const facadeHeap: BenchmarkCase = {
  name: NAME,
  title: "millions of calls through the facade: what stays on the heap after a collection",
  run: async (context) => {
    const flagsFolder = join(context.folder, "heap-flags");
    await writeFlags(flagsFolder);
    const comparisons: Comparison[] = [];
    for (const subject of subjects) {
      comparisons.push(await grow(subject, flagsFolder, context));
    }
    return { comparisons, distributions: [] };
  },
};

/** Each reading beside the one a step later: a leak makes every pair grow. */
async function grow(
  subject: SubjectName,
  flagsFolder: string,
  context: CaseContext,
): Promise<Comparison> {
  const callsPerStep = callsPerSteps[context.tier];
  const job: HeapJob = { subject, flagsFolder, warmupCalls: 1_000_000, callsPerStep, steps: STEPS };
  context.progress(`${subject}: ${(STEPS * callsPerStep) / 1e6} million calls`);
  const bytes = await context.runChild<number[]>({
    program: PROGRAM,
    input: job,
    nodeFlags: NODE_FLAGS,
    timeoutMs: 600_000,
  });
  const readings = bytes.map((each) => each / 1e6);
  const pairs: PairValues = {
    base: { name: subject, values: readings.slice(0, -1) },
    contender: {
      name: `after ${callsPerStep / 1e6} million calls more`,
      values: readings.slice(1),
    },
    first: [],
  };
  const first = readings.at(0) ?? 0;
  const last = readings.at(-1) ?? 0;
  const measured = {
    case: NAME,
    measure: `heap left by calls, ${subject}`,
    unit: "MB",
    better: "lower",
    resolution: null,
    nodeFlags: NODE_FLAGS,
    note: `${subject}: ${first.toFixed(3)} MB before and ${last.toFixed(3)} MB after ${(STEPS * callsPerStep) / 1e6} million calls`,
  } as const;
  return comparisonOf(measured, [pairs], seededRandom(context.seed));
}
