import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import {
  type BootstrapOptions,
  bootstrapInterval,
  type Interval,
  median,
  medianOfGroups,
} from "./statistics.ts";

/** Which sample is being taken; negative pairs are warm-up. */
export interface SamplePosition {
  readonly pair: number;
  readonly sample: number;
}

/** One of the two things that are compared. */
export interface Contestant {
  readonly name: string;
  /** Untimed, before every sample. */
  readonly prepare?: (position: SamplePosition) => Promise<void> | void;
  /** What is timed: once for each sample, until its promise settles. A throw ends the measurement. */
  readonly run: (position: SamplePosition) => Promise<unknown>;
  /** Untimed, after every sample that succeeded. */
  readonly finish?: (position: SamplePosition) => Promise<void> | void;
}

/** How pairs are taken. */
export interface PairsOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** How many pairs to take. */
  readonly pairs: number;
  /** Timed samples of one contestant in a row; their median is the block's value. Default 1. */
  readonly samplesPerBlock?: number;
  /** Pairs run and thrown away first, so that code is compiled and connections are open; default 1. */
  readonly warmupPairs?: number;
  /**
   * Milliseconds after which no further pair is begun, warm-up included; default 60,000. A sample that
   * hangs is not ended by this: run the measurement in a child with a time limit of its own.
   */
  readonly limitMs?: number;
  /** Fewer pairs than this within the limit are an error; default 3. */
  readonly minPairs?: number;
  readonly signal?: AbortSignal;
  readonly onPair?: (done: number, wanted: number) => void;
}

/** What one contestant did in each pair. */
export interface Series {
  readonly name: string;
  readonly values: readonly number[];
}

/** What one launch measured, one value for each pair on each side. */
export interface PairValues {
  readonly base: Series;
  readonly contender: Series;
  /** Which contestant began each pair. */
  readonly first: readonly ("base" | "contender")[];
}

/**
 * Times two functions in interleaved pairs, in random order inside each pair: whatever else the machine
 * does then slows both alike, and neither gains from always going first. A value is the median of its
 * block, in milliseconds for one sample. Throws
 * `HARNESS_TOO_FEW_PAIRS` when the limit left fewer than `minPairs`, `HARNESS_SAMPLE_TOO_SHORT`, the
 * signal's reason once it aborts, and whatever a contestant throws.
 */
export async function measurePairs(
  base: Contestant,
  contender: Contestant,
  options: PairsOptions,
): Promise<PairValues> {
  const { clock, random, pairs, warmupPairs = 1, limitMs = 60_000, minPairs = 3 } = options;
  const baseMs: number[] = [];
  const contenderMs: number[] = [];
  const first: ("base" | "contender")[] = [];
  const endMs = clock.monotonicMs() + limitMs;
  for (let pair = -warmupPairs; pair < pairs && clock.monotonicMs() < endMs; pair += 1) {
    const baseFirst = random.next() < 0.5;
    let ofBase = baseFirst ? await timedBlock(base, pair, options) : 0;
    const ofContender = await timedBlock(contender, pair, options);
    if (!baseFirst) ofBase = await timedBlock(base, pair, options);
    if (pair < 0) continue;
    baseMs.push(ofBase);
    contenderMs.push(ofContender);
    first.push(baseFirst ? "base" : "contender");
    options.onPair?.(pair + 1, pairs);
  }
  if (baseMs.length < Math.min(minPairs, pairs)) {
    throw new CodedError(
      "HARNESS_TOO_FEW_PAIRS",
      `Only ${baseMs.length} of ${pairs} pairs of "${base.name}" and "${contender.name}" fitted into ${limitMs} ms, and fewer than ${minPairs} say nothing. Raise the limit or make the samples smaller.`,
      { details: { pairs: baseMs.length, minPairs, limitMs } },
    );
  }
  return {
    base: { name: base.name, values: baseMs },
    contender: { name: contender.name, values: contenderMs },
    first,
  };
}

/** How one block is taken: what of {@link PairsOptions} it needs. */
export type BlockOptions = Pick<PairsOptions, "clock" | "signal" | "samplesPerBlock">;

/**
 * Takes the samples of one contestant in a row and returns their median, in milliseconds for one sample.
 * Throws `HARNESS_SAMPLE_TOO_SHORT`, the signal's reason, and whatever the contestant throws.
 */
export async function timedBlock(
  contestant: Contestant,
  pair: number,
  { clock, signal, samplesPerBlock = 1 }: BlockOptions,
): Promise<number> {
  const samplesMs: number[] = [];
  for (let sample = 0; sample < samplesPerBlock; sample += 1) {
    signal?.throwIfAborted();
    const position = { pair, sample };
    await contestant.prepare?.(position);
    const startedMs = clock.monotonicMs();
    await contestant.run(position);
    samplesMs.push(clock.monotonicMs() - startedMs);
    await contestant.finish?.(position);
  }
  const ms = median(samplesMs);
  if (ms > 0) return ms;
  throw new CodedError(
    "HARNESS_SAMPLE_TOO_SHORT",
    `A sample of "${contestant.name}" took no time that the clock can see. Make more calls in one sample.`,
    { details: { name: contestant.name } },
  );
}

/** The same pairs in another unit. */
export function convertPairs(pairs: PairValues, convert: (value: number) => number): PairValues {
  const { base, contender, first } = pairs;
  return {
    base: { name: base.name, values: base.values.map(convert) },
    contender: { name: contender.name, values: contender.values.map(convert) },
    first,
  };
}

/** What all launches say together. */
export interface PairJudgement {
  /** Median value of each side: the median over launches. */
  readonly base: number;
  readonly contender: number;
  /** Contender / base: the exponential of the median log ratio. */
  readonly ratio: number;
  readonly ratioCi95: Interval;
  /** Median of contender - base within a pair. */
  readonly difference: number;
  readonly differenceCi95: Interval;
  readonly pairs: number;
  readonly launches: number;
}

/**
 * The median of the log ratios of pairs and of their differences, with bootstrap 95 % intervals over
 * launches and pairs. Throws `HARNESS_NO_SAMPLES` without launches or for a launch without pairs, and
 * `HARNESS_NO_RATIO` for a value that is not above 0.
 */
export function judgePairs(
  launches: readonly PairValues[],
  bootstrap: Omit<BootstrapOptions, "confidence">,
): PairJudgement {
  const logRatios = launches.map((launch) =>
    perPair(launch, (base, contender) => Math.log(positive(contender) / positive(base))),
  );
  const differences = launches.map((launch) =>
    perPair(launch, (base, contender) => contender - base),
  );
  const { low, high } = bootstrapInterval(logRatios, bootstrap);
  return {
    base: medianOfGroups(launches.map(({ base }) => base.values)),
    contender: medianOfGroups(launches.map(({ contender }) => contender.values)),
    ratio: Math.exp(medianOfGroups(logRatios)),
    ratioCi95: { low: Math.exp(low), high: Math.exp(high) },
    difference: medianOfGroups(differences),
    differenceCi95: bootstrapInterval(differences, bootstrap),
    pairs: logRatios.reduce((sum, each) => sum + each.length, 0),
    launches: launches.length,
  };
}

function perPair(
  { base, contender }: PairValues,
  of: (base: number, contender: number) => number,
): number[] {
  return base.values.map((value, index) => of(value, contender.values[index] as number));
}

function positive(value: number): number {
  if (value > 0 && Number.isFinite(value)) return value;
  throw new CodedError(
    "HARNESS_NO_RATIO",
    `A ratio needs values above 0, and ${value} was measured. The work is too small to be seen.`,
    { details: { value } },
  );
}
