import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";
import type { Series } from "../../src/harness/pairs.ts";
import { pairsOf } from "../../src/harness/rounds.ts";
import type { BenchmarkCase, CaseContext } from "../case.ts";
import type { HashingJob, HashingName } from "../children/hashing.ts";
import { launchesOf } from "./launches.ts";
import { makeFiles } from "./upload-file.ts";

const PROGRAM = new URL("../children/hashing.ts", import.meta.url);
const FILE_BYTES = 50_000_000;

/** SHA-256 of files. */
export const hashingCases: readonly BenchmarkCase[] = [
  {
    name: "hashing",
    title: "SHA-256 of a file of 50 MB: ours against streams, whole files and sha256sum",
    needs: { program: "sha256sum", memoryBytes: 200e6, diskBytes: 100e6 },
    run: (context) =>
      compare("hashing", context, {
        files: 1,
        ours: "changeover",
        others: ["createReadStream", "whole file in memory", "sha256sum"],
      }),
  },
  {
    name: "hashing-all-cores",
    title: "SHA-256 of two files for each core: ours against a process for each file",
    needs: { cores: 4, program: "sha256sum", diskBytes: 2e9 },
    run: (context) =>
      compare("hashing-all-cores", context, {
        files: 2 * availableParallelism(),
        ours: "changeover, all at once",
        others: ["sha256sum, all cores"],
      }),
  },
];

async function compare(
  name: string,
  context: CaseContext,
  what: {
    readonly files: number;
    readonly ours: HashingName;
    readonly others: readonly HashingName[];
  },
): Promise<{ comparisons: Comparison[]; distributions: [] }> {
  const folder = await mkdtemp(join(context.folder, "files-"));
  try {
    const paths = await makeFiles(folder, what.files, FILE_BYTES);
    const launches: (readonly Series[])[] = [];
    for (let index = 0; index < launchesOf(context); index += 1) {
      const input: HashingJob = {
        paths,
        subjects: [what.ours, ...what.others],
        rounds: { quick: 2, default: 4, full: 8 }[context.tier],
        seed: context.seed + index,
      };
      launches.push(await context.runChild<Series[]>({ program: PROGRAM, input }));
    }
    const random = seededRandom(context.seed);
    const perSecond = (all: readonly Series[], subject: HashingName): Series => ({
      name: subject,
      values: (all.find((each) => each.name === subject)?.values ?? []).map(
        (ms) => (what.files * FILE_BYTES) / 1000 / ms,
      ),
    });
    const comparisons = what.others.map((other) =>
      comparisonOf(
        {
          case: name,
          measure: "throughput",
          unit: "MB/s",
          better: "higher",
          resolution: null,
          nodeFlags: [],
          note: "files in the page cache",
        },
        launches.map((all) => pairsOf(perSecond(all, other), perSecond(all, what.ours))),
        random,
      ),
    );
    return { comparisons, distributions: [] };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
