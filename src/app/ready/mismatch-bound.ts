import { wilsonUpper, z95 } from "../../guard/engine/wilson.ts";

/** Up to so many differences the bound is exact; beyond, Wilson's is as good. */
const exactMax = 100;

/**
 * The upper 95 % bound of the share of answers that differ, when `different` of `compared` did, from 0 to
 * 1. With none it is the rule of three, 3/n (J. A. Hanley and A. Lippman-Hand, JAMA 249 (1983) 1743-1745);
 * with some the Poisson mean under which so few would be seen in 5 % of cases, over n. 1 without a
 * comparison. Pure.
 */
export function mismatchBound(different: number, compared: number): number {
  if (compared <= 0) return 1;
  if (different <= 0) return Math.min(1, 3 / compared);
  if (different > exactMax) return wilsonUpper(different, compared, z95);
  return Math.min(1, poissonUpper(different) / compared);
}

/** The mean at which `count` or fewer are seen with a probability of 5 %. */
function poissonUpper(count: number): number {
  let low = count;
  let high = count + 5 + 4 * Math.sqrt(count + 1);
  for (let step = 0; step < 60; step += 1) {
    const mean = (low + high) / 2;
    if (atMost(count, mean) > 0.05) low = mean;
    else high = mean;
  }
  return high;
}

function atMost(count: number, mean: number): number {
  let term = Math.exp(-mean);
  let sum = term;
  for (let k = 1; k <= count; k += 1) {
    term *= mean / k;
    sum += term;
  }
  return sum;
}
