import { seededRandom } from "../../src/base/random.ts";
import {
  type Comparison,
  type ComparisonSubject,
  comparisonOf,
} from "../../src/harness/measurement.ts";
import { convertPairs, type PairValues } from "../../src/harness/pairs.ts";
import { shuffled } from "../../src/harness/rounds.ts";
import type { CaseContext } from "../case.ts";

/** A comparison whose pairs are measured by a program, in several fresh processes. */
export interface Launched {
  readonly program: URL;
  /** What a launch is told, besides. */
  readonly input: object;
  readonly subject: Omit<ComparisonSubject, "nodeFlags" | "resolution"> &
    Partial<Pick<ComparisonSubject, "nodeFlags" | "resolution">>;
  /** Turns a measured value, in milliseconds, into the subject's unit; default: as it is. */
  readonly convert?: (ms: number) => number;
  /** Fresh processes; default 1, 3 or 5 by tier. */
  readonly launches?: number;
}

/** How many fresh processes measure one thing. */
export function launchesOf({ tier }: CaseContext): number {
  return { quick: 1, default: 3, full: 5 }[tier];
}

/** Runs the program so many times, each with a seed of its own, and judges all pairs together. */
export async function comparePairs(
  { program, input, subject, convert = (ms) => ms, launches }: Launched,
  context: CaseContext,
): Promise<Comparison> {
  const count = launches ?? launchesOf(context);
  const results: PairValues[] = [];
  for (let index = 0; index < count; index += 1) {
    context.progress(`${subject.measure}: launch ${index + 1} of ${count}`);
    const pairs = await context.runChild<PairValues>({
      program,
      input: { ...input, seed: context.seed + index },
      ...(subject.nodeFlags === undefined ? {} : { nodeFlags: subject.nodeFlags }),
      timeoutMs: 1_800_000,
    });
    results.push(convertPairs(pairs, convert));
  }
  return comparisonOf(
    { nodeFlags: [], resolution: null, ...subject },
    results,
    seededRandom(context.seed),
  );
}

/** A fresh process for every value of either side, in random order inside each pair. */
export async function freshPairs(
  [base, contender]: readonly [string, string],
  pairs: number,
  measure: (name: string) => Promise<number>,
  context: CaseContext,
): Promise<PairValues> {
  const names = [base, contender];
  const random = seededRandom(context.seed);
  const values: [number[], number[]] = [[], []];
  const first: ("base" | "contender")[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    context.progress(`pair ${pair + 1} of ${pairs}`);
    const order = shuffled(2, random);
    first.push(order[0] === 0 ? "base" : "contender");
    for (const side of order) values[side as 0 | 1].push(await measure(names[side] ?? ""));
  }
  return {
    base: { name: base, values: values[0] },
    contender: { name: contender, values: values[1] },
    first,
  };
}
