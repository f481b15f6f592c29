import { CodedError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";

/** Both ends of an interval; `low <= high`. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** The middle value; of an even count, the mean of the two in the middle. Throws `HARNESS_NO_SAMPLES`. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/**
 * The value below which the share `q` (0 to 1) of all values lies, interpolated between neighbours (type
 * 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996). Throws `HARNESS_NO_SAMPLES`
 * for an empty list and `HARNESS_INVALID_QUANTILE` for a share outside 0 to 1.
 */
export function quantile(values: readonly number[], q: number): number {
  return quantileOfSorted(Float64Array.from(values).sort(), q);
}

/** {@link quantile} of values that are in ascending order already. */
export function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  if (!(q >= 0 && q <= 1)) {
    throw new CodedError(
      "HARNESS_INVALID_QUANTILE",
      `A quantile lies between 0 and 1, not at ${q}.`,
    );
  }
  if (sorted.length === 0) throw noSamples();
  const position = (sorted.length - 1) * q;
  const below = Math.floor(position);
  const low = at(sorted, below);
  const high = at(sorted, Math.min(below + 1, sorted.length - 1));
  // Not low + share * (high - low): that may leave the interval by a rounding error.
  const share = position - below;
  return low === high ? low : low * (1 - share) + high * share;
}

/** How {@link bootstrapInterval} draws. */
export interface BootstrapOptions {
  readonly random: Random;
  /** How often the samples are drawn again; default 4,000. */
  readonly resamples?: number;
  /** Share of the drawn statistics inside the interval; default 0.95. */
  readonly confidence?: number;
}

/**
 * The median of the medians of groups: one group for each launch of a program, so that a launch with an
 * unlucky memory layout counts once and not as often as it has samples. Throws `HARNESS_NO_SAMPLES`.
 */
export function medianOfGroups(groups: readonly (readonly number[])[]): number {
  return median(groups.map(median));
}

/**
 * The percentile bootstrap interval of {@link medianOfGroups}: draws launches, and inside each drawn
 * launch its samples, with replacement (Efron and Tibshirani, "An Introduction to the Bootstrap",
 * chapter 13). With one group it is the ordinary bootstrap, which knows nothing of how launches differ.
 * Throws `HARNESS_NO_SAMPLES` when there is no group or an empty one.
 */
export function bootstrapInterval(
  groups: readonly (readonly number[])[],
  { random, resamples = 4000, confidence = 0.95 }: BootstrapOptions,
): Interval {
  if (groups.length === 0 || groups.some((group) => group.length === 0)) throw noSamples();
  const drawn = new Float64Array(resamples);
  for (let index = 0; index < resamples; index += 1) {
    drawn[index] = medianOfGroups(groups.map(() => redraw(pick(groups, random), random)));
  }
  drawn.sort();
  const tail = (1 - confidence) / 2;
  return { low: quantileOfSorted(drawn, tail), high: quantileOfSorted(drawn, 1 - tail) };
}

function redraw(values: readonly number[], random: Random): number[] {
  return values.map(() => pick(values, random));
}

function pick<T>(values: readonly T[], random: Random): T {
  return values[Math.floor(random.next() * values.length)] as T;
}

function at(values: ArrayLike<number>, index: number): number {
  return values[index] as number;
}

function noSamples(): CodedError {
  return new CodedError(
    "HARNESS_NO_SAMPLES",
    "There is nothing to judge: not one sample was measured.",
  );
}
