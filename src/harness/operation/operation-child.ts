import { systemClock } from "../../base/clock.ts";
import { seededRandom } from "../../base/random.ts";
import type { Path } from "../../migration/call.ts";
import { serveJob } from "../child.ts";
import { startPeak } from "../memory.ts";
import { convertPairs, measurePairs, type PairValues } from "../pairs.ts";
import { type OpenOperation, openOperation } from "./bench-operation.ts";

/** One launch, in a fresh process. */
export type OperationJob =
  /** Are the results of all inputs the same? */
  | { readonly kind: "check"; readonly file: string }
  /** Both paths in turn, in milliseconds for one call. */
  | {
      readonly kind: "time";
      readonly file: string;
      readonly pairs: number;
      readonly limitMs: number;
      readonly seed: number;
    }
  /** One path called once with every input: megabytes over idle. */
  | { readonly kind: "memory"; readonly file: string; readonly path: Path };

/** What the check of both paths' results found. */
export interface ResultCheck {
  readonly name: string;
  readonly inputs: number;
  /** Numbers of the inputs whose results differ, from 0; at most ten. */
  readonly differing: readonly number[];
}

/** A sample must be so long that the clock's resolution does not matter, in milliseconds. */
const SAMPLE_MS = 2;
const CALLS_MAX = 100_000;
const DIFFERING_MAX = 10;

serveJob<OperationJob, ResultCheck | PairValues | number>(async (job) => {
  const operation = await openOperation(job.file);
  const answer = await measure(operation, job).catch(async (error: unknown) => {
    // Why it failed says more than that it could not be closed either.
    await operation.close().catch(() => undefined);
    throw error;
  });
  await operation.close();
  return answer;
});

async function measure(
  operation: OpenOperation,
  job: OperationJob,
): Promise<ResultCheck | PairValues | number> {
  if (job.kind === "check") return check(operation);
  if (job.kind === "memory") return memory(operation, job.path);
  const calls = await callsPerSample(operation);
  const contestant = (path: Path) => ({
    name: path as string,
    run: () => callMany(operation, path, calls),
  });
  const pairs = await measurePairs(contestant("legacy"), contestant("candidate"), {
    clock: systemClock,
    random: seededRandom(job.seed),
    pairs: job.pairs,
    limitMs: job.limitMs,
    samplesPerBlock: 3,
  });
  return convertPairs(pairs, (ms) => ms / calls);
}

async function check(operation: OpenOperation): Promise<ResultCheck> {
  const differing: number[] = [];
  for (let input = 0; input < operation.inputs; input += 1) {
    if (differing.length < DIFFERING_MAX && !(await operation.isSame(input))) differing.push(input);
  }
  return { name: operation.name, inputs: operation.inputs, differing };
}

async function memory(operation: OpenOperation, path: Path): Promise<number> {
  // No warm-up: it would leave memory behind that the measured calls then use unseen.
  const meter = startPeak();
  await callMany(operation, path, operation.inputs);
  return meter.read().growthBytes / 1e6;
}

async function callMany(operation: OpenOperation, path: Path, calls: number): Promise<void> {
  for (let input = 0; input < calls; input += 1) await operation.call(path, input);
}

/** A multiple of the inputs, so that every sample does the same work. */
async function callsPerSample(operation: OpenOperation): Promise<number> {
  let calls = operation.inputs;
  for (;;) {
    const startedMs = systemClock.monotonicMs();
    await callMany(operation, "legacy", calls);
    await callMany(operation, "candidate", calls);
    const ms = (systemClock.monotonicMs() - startedMs) / 2;
    if (ms >= SAMPLE_MS || 2 * calls > CALLS_MAX) return calls;
    calls *= 2;
  }
}
