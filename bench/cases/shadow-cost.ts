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
import { type NetworkName, networkProfiles } from "../network/profiles.ts";

const NAME = "shadow-cost";
const PROGRAM = new URL("../children/shadow-cost.ts", import.meta.url);
/** One kind of load. */
interface Mode {
  readonly name: string;
  readonly utilisation: number;
  readonly calibrate: ShadowJob["calibrate"];
  /** How far the backend is that every call asks; its round trip is the call's wait. */
  readonly distance: NetworkName;
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
    distance: "lan",
    percentage: 100,
    spare: true,
  },
  {
    name: "30 % busy before shadows",
    utilisation: 0.3,
    calibrate: "without shadows",
    distance: "lan",
    percentage: 100,
    spare: true,
  },
  {
    name: "30 % busy before shadows, region",
    utilisation: 0.3,
    calibrate: "without shadows",
    distance: "region",
    percentage: 100,
    spare: true,
  },
  {
    name: "30 % busy, one in ten shadowed",
    utilisation: 0.3,
    calibrate: "without shadows",
    distance: "lan",
    percentage: 10,
    spare: true,
  },
  {
    name: "no spare CPU",
    utilisation: 0.85,
    calibrate: "without shadows",
    distance: "lan",
    percentage: 100,
    spare: false,
  },
];

/** How long the work of one kind of load is watched. */
interface Stretch {
  readonly pairs: number;
  readonly blockMs: number;
  readonly calibrationMs: number;
}

const nearby: Readonly<Record<Tier, Stretch>> = {
  quick: { pairs: 4, blockMs: 400, calibrationMs: 200 },
  default: { pairs: 4, blockMs: 400, calibrationMs: 200 },
  full: { pairs: 16, blockMs: 600, calibrationMs: 400 },
};

/** Twice as long: a block begins and ends with a round trip in which the load is not what it should be. */
const faraway: Readonly<Record<Tier, Stretch>> = {
  quick: { pairs: 2, blockMs: 800, calibrationMs: 400 },
  default: { pairs: 4, blockMs: 800, calibrationMs: 400 },
  full: { pairs: 16, blockMs: 1200, calibrationMs: 800 },
};

const launchCounts: Readonly<Record<Tier, number>> = { quick: 1, default: 2, full: 4 };

/** Shadows at once: the product's own default, and what some thousand calls a second over 20 ms need. */
const concurrentMax: Readonly<Record<"nearby" | "faraway", number>> = { nearby: 8, faraway: 256 };

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
  const figures = [
    ...(mode.spare ? [] : [waitingFigure(mode, launches)]),
    ...(mode.percentage === 100 ? [shareFigure(mode, launches, context)] : []),
  ];
  return { comparisons: [p50, p95, p99, busy], distributions: [], figures };
}

async function launch(mode: Mode, context: CaseContext): Promise<ShadowLaunch[]> {
  const { tier, seed } = context;
  const count = launchCounts[tier];
  const launches: ShadowLaunch[] = [];
  for (let index = 0; index < count; index += 1) {
    context.progress(`${mode.name}: launch ${index + 1} of ${count}`);
    const job = { ...jobOf(mode, tier), seed: seed + index };
    launches.push(
      await context.runChild<ShadowLaunch>({ program: PROGRAM, input: job, timeoutMs: 300_000 }),
    );
  }
  return launches;
}

function jobOf(
  { utilisation, calibrate, percentage, distance }: Mode,
  tier: Tier,
): Omit<ShadowJob, "seed"> {
  const backendMs = networkProfiles[distance].roundTripMs;
  const isNear = backendMs <= networkProfiles.lan.roundTripMs;
  return {
    utilisation,
    calibrate,
    percentage,
    backendMs,
    concurrentMax: concurrentMax[isNear ? "nearby" : "faraway"],
    ...(isNear ? nearby : faraway)[tier],
  };
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
  const { name, distance } = mode;
  const { roundTripMs } = networkProfiles[distance];
  return `${name}: a backend at ${distance} distance (${roundTripMs} ms), ${rates} calls a second, of ${sum((each) => each.calls)} calls ${sum((each) => each.ran)} were shadowed; shed: ${shed.join(", ") || "none"}; the rest was gone ${Math.round(drained)} ms after the last caller at the latest`;
}

/** Those that wait are never more than the queue has room for. */
function waitingFigure({ name }: Mode, launches: readonly ShadowLaunch[]): Figure {
  const waiting = launches.flatMap(({ on }) => on.map(({ waitingAtEnd }) => waitingAtEnd));
  const value = Math.max(...waiting);
  return {
    case: NAME,
    measure: `${name}: most shadows waiting`,
    unit: "shadows",
    value,
    ci95: { low: value, high: value },
  };
}

/** With room nearly none may be shed, or the callers' times say nothing; without it some must be. */
function shareFigure(
  { name }: Mode,
  launches: readonly ShadowLaunch[],
  context: CaseContext,
): Figure {
  const shares = launches.map(({ on }) => on.map(({ calls, ran }) => (100 * ran) / calls));
  return {
    case: NAME,
    measure: `${name}: calls that were shadowed`,
    unit: "%",
    value: medianOfGroups(shares),
    ci95: bootstrapInterval(shares, { random: seededRandom(context.seed) }),
  };
}
