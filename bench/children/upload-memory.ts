import type { SupabaseAccess } from "../../src/files/storage/supabase-connection.ts";
import { serveJob } from "../../src/harness/child.ts";
import { type PeakGrowth, startPeak } from "../../src/harness/memory.ts";
import { type ManagerName, openManager, remove, upload } from "../cases/upload-subject.ts";

/** One launch: one manager uploads one file in a process that did nothing like it before. */
export interface MemoryJob {
  readonly manager: ManagerName;
  readonly supabase: SupabaseAccess;
  /** Small: it opens connections and compiles code, and must leave no room for the real one. */
  readonly warmupPath: string;
  readonly path: string;
}

serveJob<MemoryJob, PeakGrowth>(async (job) => {
  const manager = openManager(job.manager, job.supabase);
  try {
    await remove(manager, await upload(manager, job.warmupPath));
    const meter = startPeak();
    const stored = await upload(manager, job.path);
    const growth = meter.read();
    await remove(manager, stored);
    return growth;
  } finally {
    await manager.close();
  }
});
