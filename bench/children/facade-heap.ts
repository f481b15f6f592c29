import { setImmediate as nextTurn } from "node:timers/promises";
import { CodedError } from "../../src/base/errors.ts";
import { serveJob } from "../../src/harness/child.ts";
import { openSubject, type SubjectName } from "../cases/peer-subject.ts";

/** One launch; needs `--expose-gc`. */
export interface HeapJob {
  readonly subject: SubjectName;
  readonly flagsFolder: string;
  /** Calls before the first reading, so that caches are full and code is compiled. */
  readonly warmupCalls: number;
  /** Calls between two readings. */
  readonly callsPerStep: number;
  readonly steps: number;
}

const CALLS_PER_TURN = 1000;

/** Bytes on the heap after a full collection: before the first step, and after each. */
serveJob<HeapJob, number[]>(async (job, { progress }) => {
  const subject = await openSubject(job.subject, job.flagsFolder);
  const run = async (calls: number): Promise<void> => {
    for (let done = 0; done < calls; done += 1) {
      // Timers get their turn: the guard's ticks and the flags' polls must not leak either.
      if (done % CALLS_PER_TURN === 0) await nextTurn();
      if (subject.fails) await subject.call(done).catch(() => undefined);
      else await subject.call(done);
    }
  };
  await run(job.warmupCalls);
  subject.check();
  const readings = [await collectedHeap()];
  for (let step = 1; step <= job.steps; step += 1) {
    await run(job.callsPerStep);
    readings.push(await collectedHeap());
    progress(`${(step * job.callsPerStep) / 1e6} million calls`);
  }
  subject.check();
  await subject.close();
  return readings;
});

async function collectedHeap(): Promise<number> {
  const { gc } = globalThis;
  if (gc === undefined) {
    throw new CodedError("BENCH_NO_GC", "The program needs --expose-gc to read the heap.");
  }
  // Twice, with a turn between: what finalisers let go of is only free after the second.
  for (let count = 0; count < 2; count += 1) {
    gc();
    await nextTurn();
  }
  return process.memoryUsage().heapUsed;
}
