import { systemClock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { serveJob } from "../../src/harness/child.ts";
import { type CallDistribution, measureDistribution } from "../../src/harness/distribution.ts";
import { convertPairs, measurePairs, type PairValues } from "../../src/harness/pairs.ts";
import {
  directCall,
  type FacadeVariant,
  facadeCall,
  type OneCall,
} from "../cases/facade-subject.ts";

/** One launch of the overhead measurement. */
export type OverheadJob =
  | {
      readonly kind: "time" | "bytes";
      readonly variant: FacadeVariant;
      readonly pairs: number;
      readonly seed: number;
      /** Compile the facade's code before the direct call's: its order must not decide. */
      readonly facadeFirst: boolean;
    }
  | {
      readonly kind: "distribution";
      /** Null for the direct call. */
      readonly variant: FacadeVariant | null;
      readonly timeMs: number;
    };

const CALLS_PER_SAMPLE = 500;
const SAMPLES_PER_BLOCK = 9;
const WARMUP_SAMPLES = 60;
const CALLS_PER_HEAP_READING = 2000;

serveJob<OverheadJob, PairValues | CallDistribution[]>(async (job) => {
  if (job.kind === "distribution") return distribution(job.variant, job.timeMs);
  const base = directBatch(directCall);
  const contender = facadeBatch(facadeCall(job.variant));
  const order = job.facadeFirst ? [contender, base] : [base, contender];
  for (const batch of order) {
    for (let count = 0; count < WARMUP_SAMPLES; count += 1) await batch(CALLS_PER_SAMPLE);
  }
  const random = seededRandom(job.seed);
  if (job.kind === "bytes") return bytesPerCall(base, contender, job, random);
  const pairs = await measurePairs(
    { name: "direct", run: () => base(CALLS_PER_SAMPLE) },
    { name: job.variant.name, run: () => contender(CALLS_PER_SAMPLE) },
    { clock: systemClock, random, pairs: job.pairs, samplesPerBlock: SAMPLES_PER_BLOCK },
  );
  return convertPairs(pairs, (ms) => (ms * 1e6) / CALLS_PER_SAMPLE);
});

type Batch = (calls: number) => Promise<number>;

// Two loops with the same text on purpose: shared, they would share what the engine learns about calls.
function directBatch(call: OneCall): Batch {
  return async (calls) => {
    let sum = 0;
    for (let index = 0; index < calls; index += 1) sum += await call(index);
    return sum;
  };
}

function facadeBatch(call: OneCall): Batch {
  return async (calls) => {
    let sum = 0;
    for (let index = 0; index < calls; index += 1) sum += await call(index);
    return sum;
  };
}

/** Needs `--expose-gc` and a young generation so large that nothing is collected in between. */
async function bytesPerCall(
  base: Batch,
  contender: Batch,
  job: { readonly pairs: number; readonly variant: FacadeVariant },
  random: Random,
): Promise<PairValues> {
  globalThis.gc?.();
  const baseBytes: number[] = [];
  const contenderBytes: number[] = [];
  const first: ("base" | "contender")[] = [];
  for (let pair = 0; pair < job.pairs; pair += 1) {
    const baseFirst = random.next() < 0.5;
    if (baseFirst) baseBytes.push(await heapGrowth(base));
    contenderBytes.push(await heapGrowth(contender));
    if (!baseFirst) baseBytes.push(await heapGrowth(base));
    first.push(baseFirst ? "base" : "contender");
  }
  return {
    base: { name: "direct", values: baseBytes },
    contender: { name: job.variant.name, values: contenderBytes },
    first,
  };
}

async function heapGrowth(batch: Batch): Promise<number> {
  const before = process.memoryUsage().heapUsed;
  await batch(CALLS_PER_HEAP_READING);
  const grown = process.memoryUsage().heapUsed - before;
  if (grown > 0) return grown / CALLS_PER_HEAP_READING;
  throw new CodedError(
    "BENCH_HEAP_COLLECTED",
    `The heap shrank by ${-grown} bytes during a reading. Give the young generation more room.`,
  );
}

function distribution(variant: FacadeVariant | null, timeMs: number): Promise<CallDistribution[]> {
  const call = variant === null ? directCall : facadeCall(variant);
  const name = variant === null ? "direct" : variant.name;
  return measureDistribution([{ name, call: () => call(1) }], { timeMs });
}
