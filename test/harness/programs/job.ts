import { serveJob } from "../../../src/harness/child.ts";
import { startPeak } from "../../../src/harness/memory.ts";

/** What this program does when a test runs it as a child. */
export interface TestJob {
  readonly act: "double" | "throw" | "hang" | "spin" | "exit" | "allocate" | "allocate-before";
  readonly value: number;
}

const MIB = 1024 * 1024;

serveJob<TestJob, unknown>(async ({ act, value }, { progress }) => {
  progress(`pid ${process.pid}`);
  if (act === "throw") throw Object.assign(new Error(`value ${value}`), { code: "TEST_CODE" });
  if (act === "hang") return new Promise(() => setInterval(() => undefined, 1000));
  if (act === "exit") process.exit(7);
  if (act === "spin") {
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (;;);
  }
  if (act === "allocate") {
    const meter = startPeak();
    holdForAMoment(value);
    return meter.read();
  }
  if (act === "allocate-before") {
    holdForAMoment(value);
    // The memory of a buffer goes back in a later turn than its collection.
    for (let turn = 0; turn < 10; turn += 1) {
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return startPeak().read();
  }
  return { double: value * 2, flags: process.execArgv, environment: Object.keys(process.env) };
});

function holdForAMoment(mebibytes: number): number | undefined {
  return Buffer.alloc(mebibytes * MIB, 1).at(-1);
}
