import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as wait } from "node:timers/promises";
import { systemClock } from "../../src/base/clock.ts";
import { serveJob } from "../../src/harness/child.ts";
import { type PeakGrowth, startPeak } from "../../src/harness/memory.ts";
import { openTransfer } from "../subjects/peers.ts";
import { type Injection, loadPutModules, streamingPut } from "../subjects/streaming-put.ts";
import type { NetworkSubject, TransferName, TransferTarget } from "../subjects/transfer.ts";

/** One launch: one subject sends one file in a process that did nothing like it before. */
export interface TransferMemoryJob {
  readonly subject: TransferName;
  readonly url: string;
  readonly rawPort: number;
  readonly path: string;
  readonly warmupPath: string;
  /** SHA-256 of both files: hashing them here would fill memory that is then used unseen. */
  readonly hashes: Readonly<Record<string, string>>;
  /** Which checkout's streaming path, as a file URL; default this one's. */
  readonly root?: string;
  readonly inject?: Injection;
}

/** What one upload needed. */
export interface TransferNeed {
  readonly peak: PeakGrowth;
  readonly elapsedMs: number;
  readonly cpuMs: number;
  /** The longest time for which the event loop did nothing else, in milliseconds. */
  readonly longestBlockMs: number;
}

/** Long enough for the histogram of the event loop to tick, in milliseconds. */
const SETTLE_MS = 25;

serveJob<TransferMemoryJob, TransferNeed>(async (job) => {
  const { path, warmupPath } = job;
  const subject = await open(job, {
    url: job.url,
    rawPort: job.rawPort,
    bucket: "bench",
    secretKey: "sb_secret_bench",
    sha256: (each) => job.hashes[each] ?? "",
  });
  try {
    await subject.send(warmupPath);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    // Its first tick is where it counts from (after a reset too): a block before it would be missed.
    await wait(SETTLE_MS);
    const cpu = process.cpuUsage();
    const startedMs = systemClock.monotonicMs();
    const meter = startPeak();
    await subject.send(path);
    const peak = meter.read();
    const elapsedMs = systemClock.monotonicMs() - startedMs;
    const { user, system } = process.cpuUsage(cpu);
    // A block at the very end is seen by the tick after it.
    await wait(SETTLE_MS);
    delay.disable();
    return {
      peak,
      elapsedMs,
      cpuMs: (user + system) / 1000,
      longestBlockMs: delay.max / 1e6,
    };
  } finally {
    await subject.close();
  }
});

async function open(job: TransferMemoryJob, target: TransferTarget): Promise<NetworkSubject> {
  const { subject, root, inject } = job;
  if (root === undefined && inject === undefined) return openTransfer(subject, target);
  const modules = await loadPutModules(new URL(root ?? new URL("../../", import.meta.url)));
  return streamingPut(modules, subject, subject !== "changeover", inject)(target);
}
