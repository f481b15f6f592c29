import { parentPort } from "node:worker_threads";
import { seededRandom } from "../../src/base/random.ts";

/** One stretch of arrivals. */
export interface ArrivalsOrder {
  readonly perSecond: number;
  readonly durationMs: number;
  readonly seed: number;
}

/** Microseconds on a clock that all threads of a process share. */
export function sharedMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

// A thread of its own: callers come at their rate, however busy the thread is that serves them.
parentPort?.on("message", ({ perSecond, durationMs, seed }: ArrivalsOrder) => {
  const random = seededRandom(seed);
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const endUs = sharedMicroseconds() + durationMs * 1000;
  let dueUs = sharedMicroseconds();
  for (;;) {
    // Exponential gaps: callers know nothing of each other.
    dueUs += (-Math.log(1 - random.next()) * 1e6) / perSecond;
    if (dueUs >= endUs) break;
    const waitMs = (dueUs - sharedMicroseconds()) / 1000;
    if (waitMs > 0) Atomics.wait(cell, 0, 0, waitMs);
    parentPort?.postMessage(sharedMicroseconds());
  }
  parentPort?.postMessage("end");
});
