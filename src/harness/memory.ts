import { readFileSync, writeFileSync } from "node:fs";
import { CodedError } from "../base/errors.ts";

/** Where a peak comes from. */
export type PeakSource =
  /** The kernel's high-water mark of resident memory, reset before the work (Linux). */
  | "VmHWM"
  /** The highest resident memory since the process began: it cannot be reset. */
  | "maxRSS";

/** What one piece of work needed at its highest. */
export interface PeakGrowth {
  readonly source: PeakSource;
  /** Resident memory just before the work, in bytes. */
  readonly idleBytes: number;
  /** Highest resident memory during the work, in bytes. */
  readonly peakBytes: number;
  /** Peak minus idle, in bytes; below {@link PEAK_RESOLUTION_BYTES} it says no more than "little". */
  readonly growthBytes: number;
}

/** Growth below this hides in memory that the process held free already, in bytes: 4 MiB. */
export const PEAK_RESOLUTION_BYTES: number = 4 * 1024 * 1024;

/** Ends a measurement that {@link startPeak} began. */
export interface PeakMeter {
  read(): PeakGrowth;
}

/**
 * Starts watching the resident memory of a process (default: this one). On Linux it resets the kernel's
 * high-water mark (`5` into `/proc/<pid>/clear_refs`, see proc(5)), which sees spikes that sampling
 * misses; elsewhere, for this process only, it falls back to `maxRSS`, which counts whatever happened
 * before. Warm the code up with a small part of the real input first: a full-size warm-up leaves pages
 * behind that the work then reuses unseen. Throws `HARNESS_NO_MEMORY_READING` when neither works.
 */
export function startPeak(pid: number = process.pid): PeakMeter {
  const fromKernel = resetHighWaterMark(pid);
  if (!fromKernel && pid !== process.pid) throw noReading(pid);
  const source: PeakSource = fromKernel ? "VmHWM" : "maxRSS";
  const idleBytes = fromKernel ? statusBytes(pid, "VmRSS") : process.memoryUsage.rss();
  return {
    read: () => {
      const peakBytes = fromKernel
        ? statusBytes(pid, "VmHWM")
        : process.resourceUsage().maxRSS * 1024;
      return { source, idleBytes, peakBytes, growthBytes: Math.max(0, peakBytes - idleBytes) };
    },
  };
}

/** Says whether the kernel took the reset. */
function resetHighWaterMark(pid: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
    return true;
  } catch {
    // Not our process, or a sandboxed /proc: then there is no mark to trust.
    return false;
  }
}

function statusBytes(pid: number, field: "VmRSS" | "VmHWM"): number {
  const status = readStatus(pid);
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
  if (kibibytes === undefined) throw noReading(pid);
  return Number(kibibytes) * 1024;
}

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch (cause) {
    throw noReading(pid, cause);
  }
}

function noReading(pid: number, cause?: unknown): CodedError {
  return new CodedError(
    "HARNESS_NO_MEMORY_READING",
    `The memory of process ${pid} cannot be read. It must be alive and belong to the same user; other processes can only be watched on Linux.`,
    { cause, details: { pid } },
  );
}
