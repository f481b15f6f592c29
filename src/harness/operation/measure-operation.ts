import type { Clock } from "../../base/clock.ts";
import { CodedError, isCodedError } from "../../base/errors.ts";
import { seededRandom } from "../../base/random.ts";
import type { Path } from "../../migration/call.ts";
import { type ChildJob, runInChild } from "../child.ts";
import { currentLoad, machineFacts } from "../machine.ts";
import { type Comparison, comparisonOf, type Figure } from "../measurement.ts";
import { PEAK_RESOLUTION_BYTES } from "../memory.ts";
import { convertPairs, type PairValues } from "../pairs.ts";
import type { BenchmarkReport } from "../report.ts";
import { shuffled } from "../rounds.ts";
import type { OperationJob, ResultCheck } from "./operation-child.ts";

/** How an operation is measured; everything has a default but the first two. */
export interface OperationOptions {
  /** The module's absolute path. */
  readonly file: string;
  readonly clock: Clock;
  /** Fresh processes that time both paths; default 5. */
  readonly launches?: number;
  /** Pairs in each of them; default 40. */
  readonly pairs?: number;
  /** Fresh processes for the memory of each path; default 3. */
  readonly memoryLaunches?: number;
  /** Milliseconds that the pairs of one process may take; default 60,000. */
  readonly limitMs?: number;
  readonly seed?: number;
  /** Few samples: everything is measured once, to see that it runs. */
  readonly quick?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

/** What came of it. */
export interface MeasuredOperation {
  readonly check: ResultCheck;
  readonly report: BenchmarkReport;
  /** Candidate / legacy, time of a call. */
  readonly time: Comparison;
}

const EXTENSION = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
const PROGRAM = new URL(`./operation-child${EXTENSION}`, import.meta.url);

/**
 * Measures a module's operation: whether both paths answer the same, the time of a call in interleaved
 * pairs over several fresh processes, and the memory of each path in fresh processes of its own. The
 * measured processes inherit no environment. Throws `HARNESS_MODULE_INVALID`, `HARNESS_SUBJECT_FAILED` when a
 * function of the module throws, `HARNESS_CHILD_FAILED` when its process ends, and what the signal aborts
 * with.
 */
export async function measureOperation(options: OperationOptions): Promise<MeasuredOperation> {
  const { file, clock, seed = 1, quick = false, onProgress } = options;
  const { launches = quick ? 1 : 5, pairs = quick ? 5 : 40, limitMs = 60_000 } = options;
  const loadBefore = currentLoad();
  const startedAt = new Date(clock.now()).toISOString();
  const run = <R>(input: OperationJob): Promise<R> =>
    runInChild<R>({ ...jobOf(options), input, timeoutMs: 4 * limitMs }).catch(asModuleError);
  onProgress?.("comparing results");
  const check = await run<ResultCheck>({ kind: "check", file });
  const timed: PairValues[] = [];
  for (let index = 0; index < launches; index += 1) {
    onProgress?.(`time, launch ${index + 1} of ${launches}`);
    timed.push(await run({ kind: "time", file, pairs, limitMs, seed: seed + index }));
  }
  const weighed = await weigh(run, options);
  const time = timeOf(check.name, timed, seed);
  const memory = comparisonOf(
    {
      case: check.name,
      measure: "memory over idle",
      unit: "MB",
      better: "lower",
      resolution: PEAK_RESOLUTION_BYTES / 1e6,
      nodeFlags: [],
      note: "each input once, a fresh process for every value",
    },
    [weighed],
    seededRandom(seed),
  );
  const report: BenchmarkReport = {
    schemaVersion: 1,
    product: "changeover",
    startedAt,
    finishedAt: new Date(clock.now()).toISOString(),
    quick,
    tier: "operation",
    seed,
    machine: machineFacts(loadBefore),
    comparisons: [time, memory],
    distributions: [],
    figures: [differingFigure(check)],
    targets: [],
    failures: [],
    skipped: [],
    durations: [],
  };
  return { check, report, time };
}

/** What is wrong with a module, or threw in it, is the caller's own: its words say all. */
function asModuleError(error: unknown): never {
  const { code, message } = (isCodedError(error) ? error.details : {}) as {
    readonly code?: string;
    readonly message?: string;
  };
  if (message === undefined) throw error;
  if (code === "HARNESS_MODULE_INVALID") {
    throw new CodedError("HARNESS_MODULE_INVALID", message, { cause: error, status: 400 });
  }
  if (code !== "HARNESS_SUBJECT_FAILED") throw error;
  throw new CodedError("HARNESS_SUBJECT_FAILED", message, { cause: error });
}

function jobOf({ clock, signal }: OperationOptions): Omit<ChildJob, "input"> {
  return { program: PROGRAM, clock, ...(signal === undefined ? {} : { signal }) };
}

async function weigh(
  run: <R>(input: OperationJob) => Promise<R>,
  { file, seed = 1, quick = false, memoryLaunches = quick ? 1 : 3, onProgress }: OperationOptions,
): Promise<PairValues> {
  const random = seededRandom(seed);
  const paths: readonly Path[] = ["legacy", "candidate"];
  const values: Record<Path, number[]> = { legacy: [], candidate: [] };
  for (let index = 0; index < memoryLaunches; index += 1) {
    onProgress?.(`memory, ${index + 1} of ${memoryLaunches}`);
    for (const which of shuffled(paths.length, random)) {
      const path = paths[which] ?? "legacy";
      values[path].push(await run<number>({ kind: "memory", file, path }));
    }
  }
  return {
    base: { name: "legacy", values: values.legacy },
    contender: { name: "candidate", values: values.candidate },
    first: [],
  };
}

function timeOf(name: string, launches: readonly PairValues[], seed: number): Comparison {
  const isShort = launches.some(({ base }) => base.values.some((ms) => ms < 0.01));
  const subject = {
    case: name,
    measure: "time per call",
    unit: isShort ? "ns" : "ms",
    better: "lower",
    resolution: null,
    nodeFlags: [],
    note: "interleaved pairs, calls one after the other",
  } as const;
  const inUnit = launches.map((each) => convertPairs(each, (ms) => (isShort ? ms * 1e6 : ms)));
  return comparisonOf(subject, inUnit, seededRandom(seed));
}

function differingFigure({ name, inputs, differing }: ResultCheck): Figure {
  const value = differing.length;
  return {
    case: name,
    measure: `inputs of ${inputs} whose results differ`,
    unit: "inputs",
    value,
    ci95: { low: value, high: value },
  };
}
