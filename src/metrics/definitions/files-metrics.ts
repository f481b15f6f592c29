import { paths } from "../../migration/call.ts";
import type { MetricDefinition } from "../metric.ts";

/** Metrics of the file system, which is a client of the library: whoever assembles both adds them. */
export type FilesMetricId =
  | "uploads"
  | "dedupeHits"
  | "dedupeBytes"
  | "uploadsRunning"
  | "uploadsWaiting"
  | "hashLookups"
  | "backendRetries"
  | "poolConnections"
  | "poolLimit"
  | "poolRunning"
  | "poolQueued"
  | "spoolUsed"
  | "spoolLimit"
  | "spoolFiles"
  | "providerHealth"
  | "providerChecked"
  | "providerAnswer"
  | "providerThroughput"
  | "providerRunning"
  | "providerWaiting"
  | "providerLimit"
  | "providerPause"
  | "providerQuota"
  | "providerRetries"
  | "providerRetriesLeft"
  | "providerLostReplies";

const provider = { provider: ["kimi", "glm"] } as const;
const path = { path: paths } as const;
const lane = { lane: ["uploads", "requests"] } as const;
const stage = { stage: ["hashing", "sending"] } as const;
const pool = { pool: ["storage-writes", "storage-reads"] } as const;

function metric(
  type: "counter" | "gauge",
  name: string,
  help: string,
  labels: MetricDefinition["labels"] = {},
): MetricDefinition {
  return { name: `changeover_${name}`, help, type, perOperation: false, labels };
}

export const filesMetrics: Readonly<Record<FilesMetricId, MetricDefinition>> = {
  uploads: metric(
    "counter",
    "uploads_total",
    "Files that were stored: their bytes sent, reused from what was there, or the owner's file given back.",
    { ...path, result: ["stored", "reused", "returned"] },
  ),
  dedupeHits: metric(
    "counter",
    "dedupe_hits_total",
    "Uploads whose bytes were there already.",
    path,
  ),
  dedupeBytes: metric(
    "counter",
    "dedupe_saved_bytes_total",
    "Bytes that were not sent because they were there already.",
    path,
  ),
  uploadsRunning: metric(
    "gauge",
    "uploads_running",
    "Uploads of the candidate that are hashed or sent.",
    stage,
  ),
  uploadsWaiting: metric(
    "gauge",
    "uploads_waiting",
    "Uploads of the candidate that wait for their turn.",
    stage,
  ),
  hashLookups: metric(
    "counter",
    "hash_cache_lookups_total",
    "How often a file's SHA-256 was known, and how often it was computed.",
    { result: ["hit", "miss"] },
  ),
  backendRetries: metric(
    "counter",
    "backend_retries_total",
    "Requests for rows and objects that the candidate repeated.",
  ),
  poolConnections: metric(
    "gauge",
    "pool_connections",
    "Open connections of the candidate to the object store.",
    pool,
  ),
  poolLimit: metric(
    "gauge",
    "pool_limit_connections",
    "Connections that a pool may have open.",
    pool,
  ),
  poolRunning: metric(
    "gauge",
    "pool_running_requests",
    "Requests of a pool that are being answered.",
    pool,
  ),
  poolQueued: metric(
    "gauge",
    "pool_queued_requests",
    "Requests that wait for a connection of a pool.",
    pool,
  ),
  spoolUsed: metric(
    "gauge",
    "spool_used_bytes",
    "Bytes taken by staged bodies, and by those on their way.",
  ),
  spoolLimit: metric("gauge", "spool_limit_bytes", "Bytes that may be staged; beyond it 507."),
  spoolFiles: metric("gauge", "spool_files", "Bodies staged or on their way."),
  providerHealth: metric(
    "gauge",
    "provider_health",
    "1 for how a provider is; all 0 for one that is not set up.",
    { ...provider, state: ["unknown", "up", "slow", "throttled", "unauthorised", "down"] },
  ),
  providerChecked: metric(
    "gauge",
    "provider_last_check_timestamp_seconds",
    "When a provider was last seen to be so, in seconds since the Unix epoch; 0 for never.",
    provider,
  ),
  providerAnswer: metric(
    "gauge",
    "provider_answer_seconds",
    "How long the last small answer took; 0 when none came.",
    provider,
  ),
  providerThroughput: metric(
    "gauge",
    "provider_upload_bytes_per_second",
    "How fast a provider takes files, as a weighted mean; 0 when unknown.",
    provider,
  ),
  providerRunning: metric("gauge", "provider_running_requests", "Requests that are going on.", {
    ...provider,
    ...lane,
  }),
  providerWaiting: metric("gauge", "provider_waiting_requests", "Requests that wait for a turn.", {
    ...provider,
    ...lane,
  }),
  providerLimit: metric(
    "gauge",
    "provider_limit_uploads",
    "Uploads that may run at once; lower after a 429.",
    provider,
  ),
  providerPause: metric(
    "gauge",
    "provider_pause_seconds",
    "How long nothing is sent yet, because the provider asked for it.",
    provider,
  ),
  providerQuota: metric(
    "gauge",
    "provider_quota_used_ratio",
    "The fullest of a provider's quotas, 0 to 1; 0 when none was counted.",
    provider,
  ),
  providerRetries: metric(
    "counter",
    "provider_retries_total",
    "Requests to a provider that were repeated.",
    provider,
  ),
  providerRetriesLeft: metric(
    "gauge",
    "provider_retries_left",
    "Repeats that the budget still allows.",
    provider,
  ),
  providerLostReplies: metric(
    "counter",
    "provider_lost_replies_total",
    "Uploads whose replies were lost, by what became of them.",
    { ...provider, fate: ["adopted", "absent", "ambiguous"] },
  ),
};
