import { join } from "node:path";
import { type Random, seededRandom } from "../../src/base/random.ts";
import {
  type Comparison,
  type ComparisonSubject,
  comparisonOf,
} from "../../src/harness/measurement.ts";
import type { PairValues, Series } from "../../src/harness/pairs.ts";
import { addedTo, pairsOf } from "../../src/harness/rounds.ts";
import type { BenchmarkCase, CaseContext, CaseResult, Tier } from "../case.ts";
import type { PeersJob } from "../children/facade-peers.ts";
import { peerNames, type SubjectName, writeFlags } from "./peer-subject.ts";

const NAME = "facade-peers";
const PROGRAM = new URL("../children/facade-peers.ts", import.meta.url);
/** Nothing is collected while allocations are counted: semi-spaces of 256 MiB. */
const HEAP_FLAGS = ["--expose-gc", "--min-semi-space-size=256", "--max-semi-space-size=256"];
/** What is added below this, in ns, is not told apart: a tenth of what the cheapest peer adds. */
const RESOLUTION_NS = 20;

const timed = {
  case: NAME,
  unit: "ns",
  better: "lower",
  nodeFlags: [],
  note: "",
} as const;

/** The facade as users get it, against a direct call and against what others offer, in one run. */
export const facadePeers: BenchmarkCase = {
  name: NAME,
  title: "a call through the facade against tzientist, opossum, cockatiel and LaunchDarkly",
  run: async (context) => {
    const flagsFolder = join(context.folder, "peer-flags");
    await writeFlags(flagsFolder);
    const parts = [
      await againstPeers("changeover", "direct", flagsFolder, context),
      ...(context.tier === "full"
        ? [await againstPeers("changeover, fresh keys", "direct, fresh keys", flagsFolder, context)]
        : []),
      await failing(flagsFolder, context),
      await allocated(flagsFolder, context),
    ];
    return {
      comparisons: parts.flatMap(({ comparisons }) => comparisons),
      distributions: [],
    };
  },
};

/** Direct, ours and one peer in one process, for every peer. */
async function againstPeers(
  ours: SubjectName,
  direct: SubjectName,
  flagsFolder: string,
  context: CaseContext,
): Promise<CaseResult> {
  const random = seededRandom(context.seed);
  const own: Launch[] = [];
  const peers: Comparison[] = [];
  const ratios: Comparison[] = [];
  for (const peer of peerNames) {
    const subjects = [direct, ours, peer] as const;
    const launches = await launch("time", subjects, flagsFolder, context);
    own.push(...launches);
    peers.push(against(direct, peer, launches, random));
    const added = launches.map((each) => ratioPairs(each, direct, peer, ours));
    const ratio = comparisonOf(
      { ...timed, measure: "time added to a direct call", resolution: RESOLUTION_NS },
      added,
      random,
    );
    ratios.push(ratio);
  }
  const total = against(direct, ours, own, random);
  // The peers against a direct call once: they know nothing of our keys.
  const shown = direct === "direct" ? [total, ...peers] : [total];
  return { comparisons: [...shown, ...ratios], distributions: [] };
}

/** Is a failing call dearer than a good one and the error together? */
async function failing(flagsFolder: string, context: CaseContext): Promise<CaseResult> {
  const random = seededRandom(context.seed);
  const subjects = ["direct", "direct, failing", "changeover", "changeover, failing"] as const;
  const launches = await launch("time", subjects, flagsFolder, context);
  const sums = launches.map((each): PairValues => {
    const error = addedTo(seriesOf(each, "direct"), seriesOf(each, "direct, failing")).values;
    const values = seriesOf(each, "changeover").values.map((ns, index) => ns + (error[index] ?? 0));
    return pairsOf(
      { name: "a good call + the error's cost", values },
      seriesOf(each, "changeover, failing"),
    );
  });
  const comparison = comparisonOf(
    { ...timed, measure: "time of a failing call", resolution: null },
    sums,
    random,
  );
  return {
    comparisons: [against("direct, failing", "changeover, failing", launches, random), comparison],
    distributions: [],
  };
}

/** Bytes for each call, every subject beside its direct call in processes of its own. */
async function allocated(flagsFolder: string, context: CaseContext): Promise<CaseResult> {
  const random = seededRandom(context.seed);
  const pairs: readonly (readonly [SubjectName, SubjectName])[] = [
    ["direct", "changeover"],
    ["direct, fresh keys", "changeover, fresh keys"],
    ["direct, failing", "changeover, failing"],
    ...peerNames.map((peer) => ["direct", peer] as const),
  ];
  const comparisons: Comparison[] = [];
  for (const pair of pairs) {
    const [base, contender] = pair;
    // Ours have targets; the peers' are only shown.
    const isOurs = contender.startsWith("changeover");
    const kind = isOurs || context.tier === "full" ? "bytes" : "peers' bytes";
    const launches = await launch(kind, pair, flagsFolder, context);
    const subject: ComparisonSubject = {
      case: NAME,
      measure: "allocated per call",
      unit: "B",
      better: "lower",
      resolution: null,
      nodeFlags: HEAP_FLAGS,
      note: "growth of the heap while nothing is collected",
    };
    const values = launches.map((each) => pairsOf(seriesOf(each, base), seriesOf(each, contender)));
    comparisons.push(comparisonOf(subject, values, random));
  }
  return { comparisons, distributions: [] };
}

type Launch = readonly Series[];
type Measured = PeersJob["kind"] | "peers' bytes";

/** Launches, and rounds in each. */
const sizes: Readonly<Record<Measured, Readonly<Record<Tier, { count: number; rounds: number }>>>> =
  {
    time: {
      quick: { count: 1, rounds: 8 },
      default: { count: 3, rounds: 16 },
      full: { count: 5, rounds: 24 },
    },
    bytes: {
      quick: { count: 1, rounds: 3 },
      default: { count: 2, rounds: 7 },
      full: { count: 3, rounds: 9 },
    },
    "peers' bytes": {
      quick: { count: 1, rounds: 3 },
      default: { count: 1, rounds: 7 },
      full: { count: 3, rounds: 9 },
    },
  };

async function launch(
  measured: Measured,
  subjects: readonly SubjectName[],
  flagsFolder: string,
  context: CaseContext,
): Promise<Launch[]> {
  const { tier, seed } = context;
  const { count, rounds } = sizes[measured][tier];
  const kind = measured === "time" ? "time" : "bytes";
  const launches: Launch[] = [];
  for (let index = 0; index < count; index += 1) {
    context.progress(`${subjects.join(", ")}: ${kind}, launch ${index + 1} of ${count}`);
    const job: PeersJob = { kind, subjects, flagsFolder, rounds, seed: seed + index };
    const nodeFlags = kind === "bytes" ? HEAP_FLAGS : [];
    launches.push(await context.runChild<Series[]>({ program: PROGRAM, input: job, nodeFlags }));
  }
  return launches;
}

function against(
  base: SubjectName,
  contender: SubjectName,
  launches: readonly Launch[],
  random: Random,
): Comparison {
  const pairs = launches.map((each) => pairsOf(seriesOf(each, base), seriesOf(each, contender)));
  return comparisonOf({ ...timed, measure: "time per call", resolution: null }, pairs, random);
}

function ratioPairs(
  launched: Launch,
  direct: SubjectName,
  peer: SubjectName,
  ours: SubjectName,
): PairValues {
  const base = seriesOf(launched, direct);
  return pairsOf(addedTo(base, seriesOf(launched, peer)), addedTo(base, seriesOf(launched, ours)));
}

function seriesOf(launched: Launch, name: SubjectName): Series {
  return launched.find((each) => each.name === name) ?? { name, values: [] };
}
