import type { HealthState } from "../files/providers/health/health.ts";
import type { QuotaUse } from "../files/providers/steady/quota.ts";
import type { SteadyProvider } from "../files/providers/steady/steady-provider.ts";
import type { UploadCounts } from "../files/saga/upload-counts.ts";
import type { Spool } from "../files/spool.ts";
import type { PoolUse } from "../files/storage/streaming-storage.ts";
import type { StreamingFileManager } from "../files/streaming/streaming-file-manager.ts";
import { type FilesMetricId, filesMetrics } from "../metrics/definitions/files-metrics.ts";
import type { Cells } from "../metrics/family.ts";
import type { MetricsDoor } from "../metrics/recorder.ts";
import { type Path, paths } from "../migration/call.ts";

/** Where the metrics of the file system are read from. */
export interface FilesMetricsSources {
  readonly providers: readonly Pick<SteadyProvider, "status">[];
  readonly spool: Pick<Spool, "usedBytes" | "files">;
  readonly spoolLimitBytes: number;
  readonly uploads: Readonly<Record<Path, UploadCounts>>;
  /** Null without a backend. */
  readonly candidate: Pick<StreamingFileManager, "use"> | null;
}

type FilesCells = Readonly<Record<FilesMetricId, Cells>>;

/** Adds the metrics of providers, pool, queues, spool and uploads to what is scraped. */
export function addFilesMetrics(
  metrics: Pick<MetricsDoor, "addFamilies">,
  sources: FilesMetricsSources,
): void {
  metrics.addFamilies(filesMetrics, (cells) => {
    readProviders(cells, sources);
    readUploads(cells, sources);
    cells.spoolUsed.set(0, sources.spool.usedBytes);
    cells.spoolLimit.set(0, sources.spoolLimitBytes);
    cells.spoolFiles.set(0, sources.spool.files);
    if (sources.candidate !== null) readManager(cells, sources.candidate.use);
  });
}

const labels = (id: FilesMetricId, label: string): readonly string[] =>
  filesMetrics[id].labels[label] ?? [];

const providerNames = labels("providerHealth", "provider");
const states = labels("providerHealth", "state");
const lanes = labels("providerRunning", "lane") as readonly ("uploads" | "requests")[];
const fates = labels("providerLostReplies", "fate") as readonly (
  | "adopted"
  | "absent"
  | "ambiguous"
)[];
const results = labels("uploads", "result") as readonly ("stored" | "reused" | "returned")[];
const pools = labels("poolConnections", "pool") as readonly PoolUse["pool"][];

function readProviders(cells: FilesCells, { providers }: FilesMetricsSources): void {
  for (const { status } of providers) {
    const at = providerNames.indexOf(status.provider);
    if (at < 0) continue;
    const { health, throughput, queue, quotas, retries, lostReplies } = status;
    for (const [index, state] of states.entries()) {
      cells.providerHealth.set(at * states.length + index, isState(state, health.state) ? 1 : 0);
    }
    cells.providerChecked.set(at, (health.checkedMs ?? 0) / 1000);
    cells.providerAnswer.set(at, (health.answerMs ?? 0) / 1000);
    cells.providerThroughput.set(at, throughput.bytesPerSecond ?? 0);
    for (const [index, lane] of lanes.entries()) {
      cells.providerRunning.set(at * lanes.length + index, queue.running[lane]);
      cells.providerWaiting.set(at * lanes.length + index, queue.waiting[lane]);
    }
    cells.providerLimit.set(at, queue.limit);
    cells.providerPause.set(at, queue.pausedMs / 1000);
    cells.providerQuota.set(at, Math.max(0, ...quotas.map(usedRatio)));
    cells.providerRetries.set(at, retries.made);
    cells.providerRetriesLeft.set(at, retries.left);
    for (const [index, fate] of fates.entries()) {
      cells.providerLostReplies.set(at * fates.length + index, lostReplies[fate]);
    }
  }
}

const isState = (label: string, state: HealthState): boolean => label === state;

/** How much of the tighter of both limits is used. */
function usedRatio({ files, filesMax, bytes, bytesMax }: QuotaUse): number {
  const byFiles = filesMax === null || filesMax === 0 ? 0 : files / filesMax;
  const byBytes = bytesMax === null || bytesMax === 0 ? 0 : bytes / bytesMax;
  return Math.max(byFiles, byBytes);
}

function readUploads(cells: FilesCells, { uploads }: FilesMetricsSources): void {
  for (const [at, path] of paths.entries()) {
    for (const [index, result] of results.entries()) {
      cells.uploads.set(at * results.length + index, uploads[path][result]);
    }
    cells.dedupeHits.set(at, uploads[path].reused + uploads[path].returned);
    cells.dedupeBytes.set(at, uploads[path].savedBytes);
  }
}

function readManager(cells: FilesCells, use: StreamingFileManager["use"]): void {
  const stages = [use.hashing, use.sending];
  for (const [index, { running, waiting }] of stages.entries()) {
    cells.uploadsRunning.set(index, running);
    cells.uploadsWaiting.set(index, waiting);
  }
  cells.hashLookups.set(0, use.hashes.hits);
  cells.hashLookups.set(1, use.hashes.misses);
  cells.backendRetries.set(0, use.retriesMade);
  for (const each of use.pools) {
    const at = pools.indexOf(each.pool);
    if (at < 0) continue;
    cells.poolConnections.set(at, each.connected);
    cells.poolLimit.set(at, each.limit);
    cells.poolRunning.set(at, each.running);
    cells.poolQueued.set(at, each.queued);
  }
}
