import { systemClock } from "../../src/base/clock.ts";
import { serveJob } from "../../src/harness/child.ts";
import { startPeak } from "../../src/harness/memory.ts";
import { openTransfer } from "../subjects/peers.ts";
import type { TransferName } from "../subjects/transfer.ts";

/** One launch: the same file many times at once, in a process that did nothing like it before. */
export interface TransferCrowdJob {
  readonly subject: TransferName;
  readonly url: string;
  readonly rawPort: number;
  readonly path: string;
  readonly warmupPath: string;
  readonly hashes: Readonly<Record<string, string>>;
  /** Sent at once. */
  readonly atOnce: number;
}

/** What the crowd needed. */
export interface CrowdNeed {
  readonly growthBytes: number;
  readonly elapsedMs: number;
}

serveJob<TransferCrowdJob, CrowdNeed>(async (job) => {
  const subject = await openTransfer(job.subject, {
    url: job.url,
    rawPort: job.rawPort,
    bucket: "bench",
    secretKey: "sb_secret_bench",
    sha256: (each) => job.hashes[each] ?? "",
  });
  try {
    // Few: every connection has buffers of its own, which belong to what is measured.
    await subject.send(job.warmupPath);
    const startedMs = systemClock.monotonicMs();
    const meter = startPeak();
    await Promise.all(Array.from({ length: job.atOnce }, () => subject.send(job.path)));
    const { growthBytes } = meter.read();
    return { growthBytes, elapsedMs: systemClock.monotonicMs() - startedMs };
  } finally {
    await subject.close();
  }
});
