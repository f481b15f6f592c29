/** How fast a provider takes files. */
export interface Throughput {
  /** An exponentially weighted mean; null before the first upload that says something. */
  readonly bytesPerSecond: number | null;
  /** Uploads it was made of. */
  readonly samples: number;
}

export const noThroughput: Throughput = { bytesPerSecond: null, samples: 0 };

/** Smaller uploads measure the round trip and not the speed. */
const MIN_BYTES = 64 * 1024;
/** The weight of the newest upload. */
const WEIGHT = 0.3;

/** The throughput after one more upload, from its first byte to its answer. Pure. */
export function nextThroughput(
  { bytesPerSecond, samples }: Throughput,
  upload: { readonly bytes: number; readonly ms: number },
): Throughput {
  if (upload.bytes < MIN_BYTES || upload.ms <= 0) return { bytesPerSecond, samples };
  const now = upload.bytes / (upload.ms / 1000);
  const mean = bytesPerSecond === null ? now : bytesPerSecond + WEIGHT * (now - bytesPerSecond);
  return { bytesPerSecond: mean, samples: samples + 1 };
}
