import { systemClock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { serveJob } from "../../src/harness/child.ts";
import { measurePairs, type PairValues } from "../../src/harness/pairs.ts";
import { openVersion, type VersionTools, type VersionWork } from "../compare/version-subject.ts";
import type { Injection } from "../subjects/streaming-put.ts";

/** One launch: two versions of the product do the same work in turn, each with modules of its own. */
export interface VersionPairsJob {
  readonly work: VersionWork;
  readonly base: VersionSide;
  readonly contender: VersionSide;
  readonly tools: VersionTools;
  readonly pairs: number;
  readonly samplesPerBlock: number;
  readonly seed: number;
}

/** One of the two. */
export interface VersionSide {
  readonly name: string;
  /** A checkout, as a file URL that ends with a slash. */
  readonly root: string;
  readonly inject?: Injection;
}

serveJob<VersionPairsJob, PairValues>(async (job) => {
  const { work, tools, pairs, samplesPerBlock, seed } = job;
  // Every other launch imports the contender first: what the engine sees first must not decide.
  const sides =
    seed % 2 === 0 ? ([job.base, job.contender] as const) : ([job.contender, job.base] as const);
  const opened = new Map<VersionSide, Awaited<ReturnType<typeof openVersion>>>();
  for (const side of sides) {
    const root = new URL(side.root);
    opened.set(side, await openVersion(work, root, tools, side.inject));
  }
  const contestant = (side: VersionSide) => ({
    name: side.name,
    run: () => opened.get(side)?.run() ?? Promise.reject(new Error("not opened")),
  });
  try {
    return await measurePairs(contestant(job.base), contestant(job.contender), {
      clock: systemClock,
      random: seededRandom(seed),
      pairs,
      samplesPerBlock,
      warmupPairs: 5,
    });
  } finally {
    for (const subject of opened.values()) await subject.close();
  }
});
