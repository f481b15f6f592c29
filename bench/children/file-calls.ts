import { setTimeout as wait } from "node:timers/promises";
import pLimit from "p-limit";
import { systemClock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { FileManager, StoredFile } from "../../src/files/file-manager.ts";
import type { SupabaseAccess } from "../../src/files/storage/supabase-connection.ts";
import { serveJob } from "../../src/harness/child.ts";
import { startPeak } from "../../src/harness/memory.ts";
import { type Contestant, measurePairs, type PairValues } from "../../src/harness/pairs.ts";
import { makeUnique } from "../cases/upload-file.ts";
import {
  abandon,
  download,
  list,
  type ManagerName,
  openManager,
  remove,
  upload,
} from "../cases/upload-subject.ts";

/** What one launch measures with the managers. */
export type FileCallsJob =
  | {
      /** Whole downloads, their first byte, downloads given up after 1 MB, or all sorts of calls at once. */
      readonly kind: "download" | "first-byte" | "abort" | "mixed";
      readonly supabase: SupabaseAccess;
      readonly paths: readonly string[];
      readonly pairs: number;
      readonly seed: number;
    }
  | {
      /** Memory while a reader takes a pause after each chunk. */
      readonly kind: "slow-consumer";
      readonly manager: ManagerName;
      readonly supabase: SupabaseAccess;
      readonly warmupPath: string;
      readonly path: string;
    }
  | {
      /** Many uploads that arrive at once, each with a deadline. */
      readonly kind: "crowd";
      readonly manager: ManagerName;
      readonly supabase: SupabaseAccess;
      readonly paths: readonly string[];
      readonly deadlineMs: number;
    };

/** What became of a crowd. */
export interface CrowdResult {
  readonly uploads: number;
  /** Not stored within the deadline. */
  readonly late: number;
}

const ABANDONED_AFTER_BYTES = 1_000_000;
const PAUSE_MS = 1;

serveJob<FileCallsJob, PairValues | number | CrowdResult>(async (job) => {
  if (job.kind === "slow-consumer") return slowConsumer(job);
  if (job.kind === "crowd") return crowd(job);
  const managers = {
    legacy: openManager("legacy", job.supabase),
    streaming: openManager("streaming", job.supabase),
  };
  const stored: StoredFile[] = [];
  try {
    for (const path of job.paths) stored.push(await upload(managers.streaming, path));
    const options = {
      clock: systemClock,
      random: seededRandom(job.seed),
      pairs: job.pairs,
      limitMs: 600_000,
    };
    const firsts: Record<ManagerName, number[]> = { legacy: [], streaming: [] };
    const contestants = (["legacy", "streaming"] as const).map((name) =>
      contestant(name, managers[name], { job, stored, firsts: firsts[name] }),
    );
    const pairs = await measurePairs(
      contestants[0] as Contestant,
      contestants[1] as Contestant,
      options,
    );
    if (job.kind !== "first-byte") return pairs;
    // The warm-up's is the first of each.
    return {
      base: { name: "legacy", values: firsts.legacy.slice(1) },
      contender: { name: "streaming", values: firsts.streaming.slice(1) },
      first: pairs.first,
    };
  } finally {
    for (const file of stored) await remove(managers.streaming, file);
    await Promise.all([managers.legacy.close(), managers.streaming.close()]);
  }
});

function contestant(
  name: ManagerName,
  manager: FileManager,
  {
    job,
    stored,
    firsts,
  }: {
    readonly job: Extract<FileCallsJob, { readonly pairs: number }>;
    readonly stored: readonly StoredFile[];
    readonly firsts: number[];
  },
): Contestant {
  const [file] = stored;
  if (file === undefined) throw new CodedError("BENCH_NO_FILE", "There is no file to read.");
  if (job.kind === "abort") {
    return { name, run: () => abandon(manager, file, ABANDONED_AFTER_BYTES) };
  }
  if (job.kind !== "mixed") {
    return { name, run: async () => firsts.push(await download(manager, file)) };
  }
  let added: StoredFile[] = [];
  return {
    name,
    prepare: async () => {
      for (const path of job.paths) await makeUnique(path);
    },
    run: async () => {
      const uploads = Promise.all(job.paths.map((path) => upload(manager, path)));
      const reads = stored.map((each) => download(manager, each));
      const lists = Array.from({ length: 4 }, () => list(manager));
      [added] = await Promise.all([uploads, ...reads, ...lists]);
    },
    finish: async () => {
      for (const each of added) await remove(manager, each);
    },
  };
}

async function slowConsumer(
  job: Extract<FileCallsJob, { readonly kind: "slow-consumer" }>,
): Promise<number> {
  const manager = openManager(job.manager, job.supabase);
  // Stored by another manager than the measured one is; the file is small enough for its buffers.
  const small = await upload(manager, job.warmupPath);
  const large = await storedElsewhere(job);
  await download(manager, small);
  const meter = startPeak();
  await download(manager, large, () => wait(PAUSE_MS));
  const { growthBytes } = meter.read();
  await remove(manager, small);
  await remove(manager, large);
  await manager.close();
  return growthBytes / 1e6;
}

/** Through the streaming path, which leaves no whole file in this process's memory. */
async function storedElsewhere({
  supabase,
  path,
}: {
  readonly supabase: SupabaseAccess;
  readonly path: string;
}): Promise<StoredFile> {
  const manager = openManager("streaming", supabase);
  const file = await upload(manager, path);
  await manager.close();
  return file;
}

async function crowd(job: Extract<FileCallsJob, { readonly kind: "crowd" }>): Promise<CrowdResult> {
  const { manager: name, supabase, paths, deadlineMs } = job;
  const manager = openManager(name, supabase, name === "streaming" ? 20 : null);
  const startedMs = systemClock.monotonicMs();
  const isOver = (): boolean => systemClock.monotonicMs() - startedMs > deadlineMs;
  const stored: StoredFile[] = [];
  let inTime = 0;
  const one = async (path: string): Promise<void> => {
    stored.push(await upload(manager, path));
    if (!isOver()) inTime += 1;
  };
  if (name === "streaming") await Promise.all(paths.map(one));
  // Legacy serves one after the other, as it is used; who has not begun by then is late.
  else for (const path of paths) if (!isOver()) await one(path);
  const limit = pLimit(16);
  await Promise.all(stored.map((file) => limit(() => remove(manager, file))));
  await manager.close();
  return { uploads: paths.length, late: paths.length - inTime };
}
