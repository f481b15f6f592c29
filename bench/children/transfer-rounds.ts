import { systemClock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import { fileSource } from "../../src/files/source.ts";
import { serveJob } from "../../src/harness/child.ts";
import type { Contestant, Series } from "../../src/harness/pairs.ts";
import { measureRounds } from "../../src/harness/rounds.ts";
import { openTransfer } from "../subjects/peers.ts";
import type { NetworkSubject, TransferName, TransferTarget } from "../subjects/transfer.ts";

/** One launch: every subject sends the same file in turn. */
export interface TransferJob {
  readonly subjects: readonly TransferName[];
  readonly url: string;
  readonly rawPort: number;
  readonly path: string;
  /** Sent once by everybody before the first round. */
  readonly warmupPath: string;
  /** SHA-256 of both files. */
  readonly hashes: Readonly<Record<string, string>>;
  readonly rounds: number;
  readonly seed: number;
}

/** Milliseconds, and milliseconds of this process's CPU, for each round. */
export interface TransferLaunch {
  readonly elapsed: readonly Series[];
  readonly cpu: readonly Series[];
}

serveJob<TransferJob, TransferLaunch>(async (job, { progress }) => {
  const { url, rawPort, path, warmupPath, rounds } = job;
  const target: TransferTarget = {
    url,
    rawPort,
    bucket: "bench",
    secretKey: "sb_secret_bench",
    sha256: (each) => job.hashes[each] ?? "",
  };
  const subjects: NetworkSubject[] = [];
  for (const name of job.subjects) subjects.push(await openTransfer(name, target));
  try {
    for (const subject of subjects) await subject.send(warmupPath);
    const { sizeBytes } = await fileSource(path);
    const cpu = subjects.map((): number[] => []);
    const contestants = subjects.map((subject, index) =>
      contestant(subject, { path, url, sizeBytes, spent: (ms) => cpu[index]?.push(ms) }),
    );
    const elapsed = await measureRounds(contestants, {
      clock: systemClock,
      random: seededRandom(job.seed),
      rounds,
      onRound: (done) => progress(`round ${done} of ${rounds}`),
    });
    return {
      elapsed,
      cpu: subjects.map(({ name }, index) => ({ name, values: cpu[index] ?? [] })),
    };
  } finally {
    for (const subject of subjects) await subject.close();
  }
});

function contestant(
  subject: NetworkSubject,
  job: {
    readonly path: string;
    readonly url: string;
    readonly sizeBytes: number;
    readonly spent: (cpuMs: number) => void;
  },
): Contestant {
  let before = process.cpuUsage();
  return {
    name: subject.name,
    prepare: async () => {
      await received(job.url);
      before = process.cpuUsage();
    },
    run: () => subject.send(job.path),
    finish: async ({ pair }) => {
      const { user, system } = process.cpuUsage(before);
      if (pair >= 0) job.spent((user + system) / 1000);
      const bytes = await received(job.url);
      if (subject.sendsNothing === true || bytes === job.sizeBytes) return;
      throw new CodedError(
        "BENCH_TRANSFER_FAILED",
        `The server got ${bytes} of ${job.sizeBytes} bytes from ${subject.name}.`,
      );
    },
  };
}

/** What the server got since it was last asked. */
async function received(url: string): Promise<number> {
  const response = await fetch(`${url}/received`);
  return ((await response.json()) as { readonly bytes: number }).bytes;
}
