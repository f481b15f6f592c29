import { setImmediate as nextTurn } from "node:timers/promises";
import { systemClock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import { serveJob } from "../../src/harness/child.ts";
import type { Series } from "../../src/harness/pairs.ts";
import { measureRounds, shuffled } from "../../src/harness/rounds.ts";
import {
  openSubject,
  type Subject,
  type SubjectCall,
  type SubjectName,
} from "../cases/peer-subject.ts";

/** One launch: a few subjects in one process, in turn. */
export interface PeersJob {
  /** `time`: ns for each call. `bytes`: allocated for each call; needs a heap that is not collected. */
  readonly kind: "time" | "bytes";
  readonly subjects: readonly SubjectName[];
  readonly flagsFolder: string;
  readonly rounds: number;
  readonly seed: number;
}

const CALLS_PER_SAMPLE = 500;
const SAMPLES_PER_BLOCK = 9;
const WARMUP_SAMPLES = 60;
const CALLS_PER_HEAP_READING = 2000;

serveJob<PeersJob, Series[]>(async (job, { progress }) => {
  const subjects: Subject[] = [];
  for (const name of job.subjects) subjects.push(await openSubject(name, job.flagsFolder));
  const random = seededRandom(job.seed);
  const batches = subjects.map((subject) => ({ name: subject.name, run: batchOf(subject) }));
  // Whose code the engine meets first must not decide.
  for (const index of shuffled(batches.length, random)) {
    for (let count = 0; count < WARMUP_SAMPLES; count += 1) {
      await nextTurn();
      await batches[index]?.run(CALLS_PER_SAMPLE);
    }
  }
  for (const { check } of subjects) check();
  const series =
    job.kind === "bytes"
      ? await bytesPerCall(batches, job.rounds, () => shuffled(batches.length, random))
      : await measureRounds(
          batches.map(({ name, run }) => ({
            name,
            // Timers and sockets get their turn, untimed: flags that are never looked at become stale.
            prepare: () => nextTurn(),
            run: () => run(CALLS_PER_SAMPLE),
          })),
          {
            clock: systemClock,
            random,
            rounds: job.rounds,
            samplesPerBlock: SAMPLES_PER_BLOCK,
            onRound: (done, wanted) => progress(`round ${done} of ${wanted}`),
          },
        );
  for (const { check } of subjects) check();
  for (const { close } of subjects) await close();
  if (job.kind === "bytes") return series;
  return series.map(({ name, values }) => ({
    name,
    values: values.map((ms) => (ms * 1e6) / CALLS_PER_SAMPLE),
  }));
});

type Batch = (calls: number) => Promise<void>;

interface NamedBatch {
  readonly name: string;
  readonly run: Batch;
}

/**
 * A loop of awaited calls. Compiled anew for every subject: with one function for all, each subject would
 * be measured with what the engine learnt about calls from the others.
 */
function batchOf({ call, fails }: Subject): Batch {
  const once = fails ? "try { await call(index); } catch {}" : "await call(index);";
  const source = `return async (calls) => { for (let index = 0; index < calls; index += 1) { ${once} } };`;
  return new Function("call", source)(call satisfies SubjectCall) as Batch;
}

async function bytesPerCall(
  batches: readonly NamedBatch[],
  rounds: number,
  order: () => readonly number[],
): Promise<Series[]> {
  const values = batches.map((): number[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const index of order()) {
      globalThis.gc?.();
      await nextTurn();
      values[index]?.push(await heapGrowth(batches[index] as NamedBatch));
    }
  }
  return batches.map(({ name }, index) => ({ name, values: values[index] ?? [] }));
}

async function heapGrowth({ name, run }: NamedBatch): Promise<number> {
  const before = process.memoryUsage().heapUsed;
  await run(CALLS_PER_HEAP_READING);
  const grown = process.memoryUsage().heapUsed - before;
  if (grown > 0) return grown / CALLS_PER_HEAP_READING;
  throw new CodedError(
    "BENCH_HEAP_COLLECTED",
    `The heap shrank by ${-grown} bytes while "${name}" was read. Give the young generation more room.`,
  );
}
