import { Bench } from "tinybench";
import { CodedError } from "../base/errors.ts";
import { quantileOfSorted } from "./statistics.ts";

/** Something whose single calls are timed. */
export interface DistributionSubject {
  readonly name: string;
  readonly call: () => Promise<unknown>;
}

/** How long each subject is called. */
export interface DistributionOptions {
  /** Milliseconds of calls for each subject; default 300. Every call's time is kept until then. */
  readonly timeMs?: number;
  /** Milliseconds of calls before that; default 100. */
  readonly warmupMs?: number;
  readonly signal?: AbortSignal;
}

/** How long single calls of one subject took, in nanoseconds, with the cost of reading the clock inside. */
export interface CallDistribution {
  readonly name: string;
  readonly calls: number;
  readonly p50Ns: number;
  readonly p95Ns: number;
  readonly p99Ns: number;
  readonly p999Ns: number;
  readonly maxNs: number;
}

/**
 * Times every single call with tinybench, one subject after the other: the shape of the tail, which the
 * medians of pairs hide. Not for comparing subjects: they did not run at the same time. Throws
 * `HARNESS_SUBJECT_FAILED` when a subject throws, or the signal's reason.
 */
export async function measureDistribution(
  subjects: readonly DistributionSubject[],
  options: DistributionOptions = {},
): Promise<CallDistribution[]> {
  const { timeMs = 300, warmupMs = 100, signal } = options;
  const bench = new Bench({
    time: timeMs,
    warmupTime: warmupMs,
    retainSamples: true,
    ...(signal === undefined ? {} : { signal }),
  });
  for (const { name, call } of subjects) bench.add(name, call, { async: true });
  const tasks = await bench.run();
  signal?.throwIfAborted();
  return tasks.map(({ name, result }) => {
    if (result.state === "errored") throw failed(name, result.error);
    const samples = result.state === "completed" ? result.latency.samples : undefined;
    if (samples === undefined) throw failed(name, undefined);
    return distributionOf(name, samples);
  });
}

/** `samples` in milliseconds. */
function distributionOf(name: string, samples: readonly number[]): CallDistribution {
  const sorted = Float64Array.from(samples).sort();
  const ns = (q: number): number => quantileOfSorted(sorted, q) * 1e6;
  return {
    name,
    calls: sorted.length,
    p50Ns: ns(0.5),
    p95Ns: ns(0.95),
    p99Ns: ns(0.99),
    p999Ns: ns(0.999),
    maxNs: ns(1),
  };
}

function failed(name: string, cause: unknown): CodedError {
  return new CodedError("HARNESS_SUBJECT_FAILED", `"${name}" failed while it was measured.`, {
    cause,
  });
}
