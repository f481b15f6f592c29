import { seededRandom } from "../../src/base/random.ts";
import type { CallDistribution } from "../../src/harness/distribution.ts";
import {
  type CaseDistribution,
  type Comparison,
  comparisonOf,
} from "../../src/harness/measurement.ts";
import type { PairValues } from "../../src/harness/pairs.ts";
import type { BenchmarkCase, CaseContext } from "../case.ts";
import type { OverheadJob } from "../children/facade-overhead.ts";
import { type FacadeVariant, facadeVariants } from "./facade-subject.ts";

const NAME = "facade-overhead";
const PROGRAM = new URL("../children/facade-overhead.ts", import.meta.url);
/** Nothing is collected while allocations are counted: semi-spaces of 256 MiB. */
const HEAP_FLAGS = ["--expose-gc", "--min-semi-space-size=256", "--max-semi-space-size=256"];

/** What the facade costs per call, in time and in allocated bytes. */
export const facadeOverhead: BenchmarkCase = {
  name: NAME,
  title: "a call through the facade against a direct call: ns and bytes allocated",
  run: async (context) => {
    const comparisons: Comparison[] = [];
    for (const variant of facadeVariants) comparisons.push(await time(variant, context));
    for (const variant of facadeVariants) comparisons.push(await bytes(variant, context));
    return { comparisons, distributions: await distributions(context) };
  },
};

/** A process for each: what one subject taught the engine must not show in the next. */
async function distributions(context: CaseContext): Promise<CaseDistribution[]> {
  const found: CallDistribution[] = [];
  for (const variant of [null, ...facadeVariants]) {
    context.progress(`${variant?.name ?? "direct"}: single calls`);
    const timeMs = { quick: 100, default: 300, full: 500 }[context.tier];
    const job: OverheadJob = { kind: "distribution", variant, timeMs };
    found.push(...(await context.runChild<CallDistribution[]>({ program: PROGRAM, input: job })));
  }
  return found.map((each) => ({ ...each, case: NAME }));
}

async function time(variant: FacadeVariant, context: CaseContext): Promise<Comparison> {
  const launches = { quick: 2, default: 3, full: 7 }[context.tier];
  const pairs = { quick: 20, default: 40, full: 60 }[context.tier];
  const results = await launch(variant, context, { kind: "time", launches, pairs, nodeFlags: [] });
  const subject = {
    case: NAME,
    measure: "time per call",
    unit: "ns",
    better: "lower",
    resolution: null,
    nodeFlags: [],
    note: "awaited one after the other, paths that return at once",
  } as const;
  return comparisonOf(subject, results, seededRandom(context.seed));
}

async function bytes(variant: FacadeVariant, context: CaseContext): Promise<Comparison> {
  const launches = { quick: 1, default: 1, full: 3 }[context.tier];
  const results = await launch(variant, context, {
    kind: "bytes",
    launches,
    pairs: 15,
    nodeFlags: HEAP_FLAGS,
  });
  const subject = {
    case: NAME,
    measure: "allocated per call",
    unit: "B",
    better: "lower",
    resolution: null,
    nodeFlags: HEAP_FLAGS,
    note: "growth of the heap while nothing is collected",
  } as const;
  return comparisonOf(subject, results, seededRandom(context.seed));
}

interface Launches {
  readonly kind: "time" | "bytes";
  readonly launches: number;
  readonly pairs: number;
  readonly nodeFlags: readonly string[];
}

async function launch(
  variant: FacadeVariant,
  context: CaseContext,
  { kind, launches, pairs, nodeFlags }: Launches,
): Promise<PairValues[]> {
  const results: PairValues[] = [];
  for (let index = 0; index < launches; index += 1) {
    context.progress(`${variant.name}: ${kind}, launch ${index + 1} of ${launches}`);
    const seed = context.seed + index;
    const job: OverheadJob = { kind, variant, pairs, seed, facadeFirst: index % 2 === 1 };
    results.push(await context.runChild<PairValues>({ program: PROGRAM, input: job, nodeFlags }));
  }
  return results;
}
