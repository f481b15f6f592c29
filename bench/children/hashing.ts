import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { systemClock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { seededRandom } from "../../src/base/random.ts";
import { fileSource } from "../../src/files/source.ts";
import { Hasher } from "../../src/files/streaming/hasher.ts";
import { SourceHashes } from "../../src/files/streaming/source-hashes.ts";
import { serveJob } from "../../src/harness/child.ts";
import type { Contestant, Series } from "../../src/harness/pairs.ts";
import { measureRounds } from "../../src/harness/rounds.ts";

/** One launch: everybody hashes the same files. */
export interface HashingJob {
  readonly paths: readonly string[];
  readonly subjects: readonly HashingName[];
  readonly rounds: number;
  readonly seed: number;
}

/** Ways to the SHA-256 of files. All but `sha256sum, all cores` take one file after the other. */
export type HashingName =
  | "changeover"
  | "changeover, all at once"
  | "createReadStream"
  | "whole file in memory"
  | "sha256sum"
  | "sha256sum, all cores";

const run = promisify(execFile);

/** On all cores. This thread hashes too, but reads between two pieces: with one worker less a core idles. */
const allCores = new Hasher({
  clock: systemClock,
  logger: silentLogger,
  workers: availableParallelism(),
});

serveJob<HashingJob, readonly Series[]>((job) => {
  const contestants = job.subjects.map((name): Contestant => {
    let digests: readonly string[] = [];
    return {
      name,
      run: async () => {
        digests = await ways[name](job.paths);
      },
      finish: () => {
        if (digests.every((digest) => /^[0-9a-f]{64}$/.test(digest))) return;
        throw new CodedError("BENCH_HASH_WRONG", `${name} made no SHA-256 of it.`);
      },
    };
  });
  const { rounds, seed } = job;
  return measureRounds(contestants, { clock: systemClock, random: seededRandom(seed), rounds });
});

type Way = (paths: readonly string[]) => Promise<readonly string[]>;

const ways: Readonly<Record<HashingName, Way>> = {
  changeover: async (paths) => {
    const hashes = new SourceHashes();
    const digests: string[] = [];
    for (const path of paths) digests.push(await ours(hashes, path));
    return digests;
  },
  "changeover, all at once": (paths) => {
    const hashes = new SourceHashes(paths.length, allCores);
    return Promise.all(paths.map((path) => ours(hashes, path)));
  },
  createReadStream: async (paths) => {
    const digests: string[] = [];
    for (const path of paths) {
      const hash = createHash("sha256");
      for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
      digests.push(hash.digest("hex"));
    }
    return digests;
  },
  "whole file in memory": async (paths) => {
    const digests: string[] = [];
    for (const path of paths) {
      digests.push(
        createHash("sha256")
          .update(await readFile(path))
          .digest("hex"),
      );
    }
    return digests;
  },
  sha256sum: async (paths) => digestsOf((await run("sha256sum", [...paths])).stdout),
  "sha256sum, all cores": async (paths) => {
    // As many processes as files: the system spreads them.
    const all = await Promise.all(paths.map((path) => run("sha256sum", [path])));
    return all.flatMap(({ stdout }) => digestsOf(stdout));
  },
};

async function ours(hashes: SourceHashes, path: string): Promise<string> {
  const source = await fileSource(path);
  return (await hashes.of(source, new AbortController().signal)).sha256;
}

function digestsOf(text: string): string[] {
  return text
    .trim()
    .split("\n")
    .map((line) => line.slice(0, 64));
}
