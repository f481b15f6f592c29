import pLimit from "p-limit";
import { systemClock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { FileManager, StoredFile } from "../../src/files/file-manager.ts";
import type { SupabaseAccess } from "../../src/files/storage/supabase-connection.ts";
import { serveJob } from "../../src/harness/child.ts";
import { type Contestant, measurePairs, type PairValues } from "../../src/harness/pairs.ts";
import { makeFile, makeUnique } from "../cases/upload-file.ts";
import { openManager, remove, upload } from "../cases/upload-subject.ts";

/** One launch: both managers upload the same files in turn. */
export interface ThroughputJob {
  readonly supabase: SupabaseAccess;
  readonly paths: readonly string[];
  /** Legacy is given the next file when the one before is stored, or all of them at once. */
  readonly legacyAtOnce: boolean;
  /** Uploads that the streaming path runs at once; null for its own default. */
  readonly streamingAtOnce: number | null;
  readonly pairs: number;
  readonly limitMs: number;
  readonly seed: number;
}

serveJob<ThroughputJob, PairValues>(async (job, { progress }) => {
  const legacy = openManager("legacy", job.supabase);
  const streaming = openManager("streaming", job.supabase, job.streamingAtOnce);
  try {
    for (const manager of [legacy, streaming]) await warmUp(manager, job.paths);
    return await measurePairs(
      contestant("legacy", legacy, job, job.legacyAtOnce),
      contestant("streaming", streaming, job, true),
      {
        // One pair says little, and costs a minute where networks are slow: launches make up for it.
        warmupPairs: job.pairs > 1 ? 1 : 0,
        clock: systemClock,
        random: seededRandom(job.seed),
        pairs: job.pairs,
        limitMs: job.limitMs,
        onPair: (done, wanted) => progress(`pair ${done} of ${wanted}`),
      },
    );
  } finally {
    await Promise.all([legacy.close(), streaming.close()]);
  }
});

function contestant(
  name: string,
  manager: FileManager,
  { paths }: ThroughputJob,
  atOnce: boolean,
): Contestant {
  let stored: StoredFile[] = [];
  return {
    name,
    prepare: async () => {
      for (const path of paths) await makeUnique(path);
    },
    run: async () => {
      stored = atOnce
        ? await Promise.all(paths.map((path) => upload(manager, path)))
        : await inTurn(manager, paths);
    },
    finish: async () => {
      // Eight at a time: a hundred removals over a slow network would take longer than the uploads.
      const limit = pLimit(8);
      await Promise.all(stored.map((file) => limit(() => remove(manager, file))));
    },
  };
}

/** One small upload: it opens connections and compiles code. */
async function warmUp(manager: FileManager, paths: readonly string[]): Promise<void> {
  const path = `${paths[0]}.warm-up`;
  await makeFile(path, 10_000);
  await remove(manager, await upload(manager, path));
}

async function inTurn(manager: FileManager, paths: readonly string[]): Promise<StoredFile[]> {
  const stored: StoredFile[] = [];
  for (const path of paths) stored.push(await upload(manager, path));
  return stored;
}
