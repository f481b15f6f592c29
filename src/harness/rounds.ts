import type { Random } from "../base/random.ts";
import {
  type BlockOptions,
  type Contestant,
  type PairValues,
  type Series,
  timedBlock,
} from "./pairs.ts";

/** How rounds are taken. */
export interface RoundsOptions extends BlockOptions {
  readonly random: Random;
  /** How many rounds to take. */
  readonly rounds: number;
  readonly onRound?: (done: number, wanted: number) => void;
}

/**
 * Times any number of contestants in turn, in random order inside each round, so that whatever else the
 * machine does slows all of a round alike: pairs, for more than two. A value is the median of its block,
 * in milliseconds for one sample; one round before the first is thrown away. Throws as `measurePairs`
 * does, but has no time limit of its own: run it in a child that has one.
 */
export async function measureRounds(
  contestants: readonly Contestant[],
  options: RoundsOptions,
): Promise<Series[]> {
  const { random, rounds } = options;
  const values = contestants.map((): number[] => []);
  for (let round = -1; round < rounds; round += 1) {
    for (const index of shuffled(contestants.length, random)) {
      const contestant = contestants[index] as Contestant;
      const ms = await timedBlock(contestant, round, options);
      if (round >= 0) values[index]?.push(ms);
    }
    if (round >= 0) options.onRound?.(round + 1, rounds);
  }
  return contestants.map(({ name }, index) => ({ name, values: values[index] ?? [] }));
}

/** The numbers below `count` in random order (Fisher and Yates). */
export function shuffled(count: number, random: Random): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const other = Math.floor(random.next() * (last + 1));
    const held = order[last] as number;
    order[last] = order[other] as number;
    order[other] = held;
  }
  return order;
}

/** Two of the series as pairs; which one began is not kept. */
export function pairsOf(base: Series, contender: Series): PairValues {
  return { base, contender, first: [] };
}

/** What each value of a series adds to the value of `base` in the same round; may be below 0. */
export function addedTo(base: Series, series: Series): Series {
  const values = series.values.map((value, index) => value - (base.values[index] ?? Number.NaN));
  return { name: series.name, values };
}
