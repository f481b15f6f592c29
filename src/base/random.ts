/** A source of numbers in [0, 1), for sampling and jitter; seedable so that a test can repeat itself. */
export interface Random {
  next(): number;
}

/** The machine's own source. */
export const systemRandom: Random = { next: () => Math.random() };

/**
 * A repeatable source: the same seed gives the same numbers (mulberry32, by Tommy Ettinger, public
 * domain). Good enough to sample with, not for anything secret.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next: () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}
