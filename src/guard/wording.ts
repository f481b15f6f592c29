import type { Tally } from "./engine/wilson.ts";

/* How numbers read in a verdict's sentence. */

const english = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** 1204.25 as "1,204.3". Small whole numbers are most of them, and need no formatter. */
export const number = (value: number): string =>
  Number.isInteger(value) && value >= 0 && value < 1000 ? String(value) : english.format(value);
/** "7 of 1,204". */
export const of = ({ bad, calls }: Tally): string => `${number(bad)} of ${number(calls)}`;
/** 0.8 as "80 %". */
export const percent = (ratio: number): string => `${number(ratio * 100)} %`;
/** 0.05 as "5 points", 0.01 as "1 point": percentage points. */
export const points = (share: number): string => {
  const text = number(share * 100);
  return `${text} ${text === "1" ? "point" : "points"}`;
};
/** Wall-clock milliseconds as "14:03:12 UTC". */
export const timeOfDay = (ms: number): string => `${new Date(ms).toISOString().slice(11, 19)} UTC`;
