import type { ProviderName } from "../file-manager.ts";
import type { Throughput } from "../providers/health/throughput.ts";
import { type Complexity, type SizeClass, sizeClassOf } from "./complexity.ts";

/** What a prediction is made from. */
export interface DurationFacts {
  readonly provider: ProviderName;
  readonly complexity: Complexity;
  readonly sizeBytes: number;
  /** What was measured at this provider, if anything was. */
  readonly throughput?: Throughput;
}

/** How long an upload and its answer are expected to take. */
export interface PredictedDuration {
  readonly expectedMs: number;
  /** Whether it comes from this provider's measured throughput, or from the table for a cold start. */
  readonly basis: "measured" | "table";
  /** Is it expected to take longer than the provider has been seen to wait? */
  readonly isLate: boolean;
  /** A total limit that leaves room for a slow day: four times as long as expected, within 30 s and 30 min. */
  readonly totalMs: number;
  /** A limit without a byte moving, beside the total one: a slow link is no dead one. */
  readonly idleMs: number;
}

/** Milliseconds by question, for a small file; a larger one takes a multiple. */
const BASE_MS: Readonly<Record<Complexity, number>> = {
  simple: 5000,
  moderate: 15_000,
  complex: 45_000,
};
const SIZE_FACTOR: Readonly<Record<SizeClass, number>> = { small: 1, medium: 2, large: 4 };

/** After how many milliseconds a provider gives up on its own; null where it is not known to. */
const TIMEOUT_MS: Readonly<Record<ProviderName, number | null>> = {
  kimi: 180_000,
  glm: null,
  none: null,
};
/** Late begins before the timeout itself. */
const LATE_SHARE = 0.8;

/** What an upload takes beside its bytes: the connection, and the provider's reading of the file. */
const OVERHEAD_MS = 2000;
const MIN_EXPECTED_MS = 1000;
const MAX_EXPECTED_MS = 30 * 60_000;
const TOTAL_FACTOR = 4;
const MIN_TOTAL_MS = 30_000;
const IDLE_MS = 30_000;

/**
 * Predicts how long an upload takes: by a table until something was measured, then by the provider's
 * own throughput and a fixed overhead. Pure.
 */
export function predictDuration(facts: DurationFacts): PredictedDuration {
  const { provider, complexity, sizeBytes, throughput } = facts;
  const rate = throughput?.bytesPerSecond ?? null;
  const expectedMs =
    rate === null
      ? BASE_MS[complexity] * SIZE_FACTOR[sizeClassOf(sizeBytes)]
      : within(OVERHEAD_MS + (sizeBytes / rate) * 1000, MIN_EXPECTED_MS, MAX_EXPECTED_MS);
  const timeoutMs = TIMEOUT_MS[provider];
  return {
    expectedMs,
    basis: rate === null ? "table" : "measured",
    isLate: timeoutMs !== null && expectedMs > LATE_SHARE * timeoutMs,
    totalMs: within(TOTAL_FACTOR * expectedMs, MIN_TOTAL_MS, MAX_EXPECTED_MS),
    idleMs: IDLE_MS,
  };
}

function within(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}
