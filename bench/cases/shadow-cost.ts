import { seededRandom } from "../../src/base/random.ts";
import {
  type Comparison,
  comparisonOf,
  type Figure,
  type Unit,
} from "../../src/harness/measurement.ts";
import type { PairValues } from "../../src/harness/pairs.ts";
import { bootstrapInterval, medianOfGroups } from "../../src/harness/statistics.ts";
import type { BenchmarkCase, CaseContext, CaseResult, Tier } from "../case.ts";
import type { ShadowBlock, ShadowJob, ShadowLaunch } from "../children/shadow-cost.ts";

const NAME = "shadow-cost";
const PROGRAM = new URL("../children/shadow-cost.ts", import.meta.url);
interface Mode {
  readonly name: string;
  readonly utilisation: number;
  readonly calibrate: ShadowJob["calibrate"];
  /** Share of the calls that are shadowed, in percent. */
  readonly percentage: number;
  /** Is there CPU left for the shadows? Without it they must be shed, and callers are only reported. */
  readonly spare: boolean;
}

const modes: readonly Mode[] = [
  {
    name: "30 % busy with shadows",
    utilisation: 0.3,
    calibrate: "with shadows",
    percentage: 100,
    spare: true,
  },
  {
    name: "30 % busy before shadows",
    utilisation: 0.3,
    calibrate: "without shadows",
    percentage: 100,
    spare: true,
  },
  {
    name: "30 % busy, one in ten shadowed",
    utilisation: 0.3,
    calibrate: "without shadows",
    percentage: 10,
    spare: true,
  },
  {
    name: "no spare CPU",
    utilisation: 0.85,
    calibrate: "without shadows",
    percentage: 100,
    spare: false,
  },
];

/** What callers notice of shadows, and what becomes of shadows when there is no room for them. */
export const shadowCost: BenchmarkCase = {
  name: NAME,
  title: "callers at a steady rate, without shadows and with every call shadowed: p50, p95, p99",
  run: async (context) => {
    const parts: CaseResult[] = [];
    for (const mode of modes) parts.push(await measure(mode, context));
    return {
      comparisons: parts.flatMap(({ comparisons }) => comparisons),
      distributions: [],
      figures: parts.flatMap(({ figures = [] }) => figures),
    };
  },
};

/** Launches, and what each measures. */
const sizes: Readonly<
  Record<Tier, { count: number; blocks: Pick<ShadowJob, "pairs" | "blockMs"> }>
> = {
  quick: { count: 1, blocks: { pairs: 4, blockMs: 400 } },
  default: { count: 2, blocks: { pairs: 4, blockMs: 400 } },
  full: { count: 4, blocks: { pairs: 16, blockMs: 600 } },
};

async function measure(mode: Mode, context: CaseContext): Promise<CaseResult> {
  const launches = await launch(mode, context);
  const p50 = compare(mode, "caller's p50", "ms", launches, (block) => block.p50Ms, context);
  const p95 = compare(mode, "caller's p95", "ms", launches, (block) => block.p95Ms, context);
  const p99 = compare(mode, "caller's p99", "ms", launches, (block) => block.p99Ms, context);
  const busy = compare(
    mode,
    "event loop busy",
    "%",
    launches,
    (block) => block.utilisation * 100,
    context,
  );
  const figures = mode.spare ? [] : shedFigures(mode, launches, context);
  return { comparisons: [p50, p95, p99, busy], distributions: [], figures };
}

async function launch(mode: Mode, context: CaseContext): Promise<ShadowLaunch[]> {
  const { tier, seed } = context;
  const { count, blocks } = sizes[tier];
  const launches: ShadowLaunch[] = [];
  for (let index = 0; index < count; index += 1) {
    context.progress(`${mode.name}: launch ${index + 1} of ${count}`);
    const { utilisation, calibrate, percentage } = mode;
    const job: ShadowJob = { utilisation, calibrate, percentage, ...blocks, seed: seed + index };
    launches.push(
      await context.runChild<ShadowLaunch>({ program: PROGRAM, input: job, timeoutMs: 300_000 }),
    );
  }
  return launches;
}

function compare(
  mode: Mode,
  what: string,
  unit: Unit,
  launches: readonly ShadowLaunch[],
  read: (block: ShadowBlock) => number,
  context: CaseContext,
): Comparison {
  const pairs = launches.map(
    ({ off, on }): PairValues => ({
      base: { name: "shadows off", values: off.map(read) },
      contender: { name: `shadows ${mode.percentage} %`, values: on.map(read) },
      first: [],
    }),
  );
  const subject = {
    case: NAME,
    measure: `${mode.name}: ${what}`,
    unit,
    better: "lower",
    resolution: null,
    nodeFlags: [],
    note: noteOf(mode, launches),
  } as const;
  return comparisonOf(subject, pairs, seededRandom(context.seed));
}

function noteOf(mode: Mode, launches: readonly ShadowLaunch[]): string {
  const blocks = launches.flatMap(({ on }) => on);
  const sum = (read: (block: ShadowBlock) => number): number =>
    blocks.reduce((total, block) => total + read(block), 0);
  const reasons = new Set(blocks.flatMap(({ skipped }) => Object.keys(skipped)));
  const shed = [...reasons].map(
    (reason) => `${reason} ${sum((each) => each.skipped[reason] ?? 0)}`,
  );
  const rates = launches.map(({ perSecond }) => perSecond).join(", ");
  const drained = Math.max(...blocks.map(({ drainedMs }) => drainedMs));
  return `${mode.name}: ${rates} calls a second, of ${sum((each) => each.calls)} calls ${sum((each) => each.ran)} were shadowed; shed: ${shed.join(", ") || "none"}; the rest was gone ${Math.round(drained)} ms after the last caller at the latest`;
}

/** Some must be shed, and those that wait are never more than the queue has room for. */
function shedFigures(
  mode: Mode,
  launches: readonly ShadowLaunch[],
  context: CaseContext,
): Figure[] {
  const waiting = launches.flatMap(({ on }) => on.map(({ waitingAtEnd }) => waitingAtEnd));
  const most = Math.max(...waiting);
  const shares = launches.map(({ on }) => on.map(({ calls, ran }) => (100 * ran) / calls));
  return [
    {
      case: NAME,
      measure: `${mode.name}: most shadows waiting`,
      unit: "shadows",
      value: most,
      ci95: { low: most, high: most },
    },
    {
      case: NAME,
      measure: `${mode.name}: calls that were shadowed`,
      unit: "%",
      value: medianOfGroups(shares),
      ci95: bootstrapInterval(shares, { random: seededRandom(context.seed) }),
    },
  ];
}
