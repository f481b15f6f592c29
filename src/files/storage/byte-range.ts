import { rangeNotSatisfiable } from "../errors.ts";
import type { ByteRange, DownloadRequest } from "../file-manager.ts";

/**
 * The bytes that a requested range stands for in a file of `sizeBytes`: an open or too late end means
 * the last byte. Null when no range was asked for; throws `FILES_RANGE_NOT_SATISFIABLE` when it starts
 * past the end, or ends before it starts.
 */
export function resolveRange(range: DownloadRequest["range"], sizeBytes: number): ByteRange | null {
  if (range === undefined) return null;
  const end = Math.min(range.end ?? sizeBytes - 1, sizeBytes - 1);
  if (range.start >= sizeBytes || range.start < 0 || end < range.start) {
    throw rangeNotSatisfiable(range.start, sizeBytes);
  }
  return { start: range.start, end };
}
