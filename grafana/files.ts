import type { DashboardSpec, RowSpec } from "./panel.ts";
import { lines } from "./panel-kinds.ts";
import { age, maxBy, perSecond, share, sumBy } from "./query.ts";

const byProvider = "{{provider}}";

const uploads: RowSpec = {
  title: "Uploads",
  height: 7,
  panels: [
    lines("Stored", "reqps", "Files that were stored, by path and by what it took.", [
      {
        expr: perSecond("path, result", "changeover_uploads_total"),
        legend: "{{path}} {{result}}",
      },
    ]),
    lines("Deduplicated", "percentunit", "Share of uploads whose bytes were there already.", [
      {
        expr: share(
          perSecond("path", "changeover_dedupe_hits_total"),
          perSecond("path", "changeover_uploads_total"),
        ),
        legend: "{{path}}",
      },
    ]),
    lines("Saved", "Bps", "Bytes that were not sent because they were there.", [
      { expr: perSecond("path", "changeover_dedupe_saved_bytes_total"), legend: "{{path}}" },
    ]),
    lines("Queue", "short", "Uploads of the candidate that run, and that wait for their turn.", [
      { expr: sumBy("stage", "changeover_uploads_running"), legend: "{{stage}}" },
      { expr: sumBy("stage", "changeover_uploads_waiting"), legend: "{{stage}} waiting" },
    ]),
    lines("Hashes known", "percentunit", "Share of files whose SHA-256 need not be computed.", [
      {
        expr: share(
          `sum(rate(changeover_hash_cache_lookups_total{result="hit"}[$__rate_interval]))`,
          "sum(rate(changeover_hash_cache_lookups_total[$__rate_interval]))",
        ),
        legend: "known",
      },
    ]),
  ],
};

const storage: RowSpec = {
  title: "Storage and spool",
  height: 7,
  panels: [
    lines("Connections", "percentunit", "Open connections, as a share of what a pool may have.", [
      {
        expr: share(
          sumBy("pool", "changeover_pool_connections"),
          sumBy("pool", "changeover_pool_limit_connections"),
        ),
        legend: "{{pool}}",
      },
    ]),
    lines("Requests", "short", "Requests that are answered, and that wait for a connection.", [
      { expr: sumBy("pool", "changeover_pool_running_requests"), legend: "{{pool}}" },
      { expr: sumBy("pool", "changeover_pool_queued_requests"), legend: "{{pool}} waiting" },
    ]),
    lines("Repeated", "reqps", "Requests to the backend that were made again.", [
      { expr: "sum(rate(changeover_backend_retries_total[$__rate_interval]))", legend: "retries" },
    ]),
    {
      ...lines("Spool", "percentunit", "How full it is: at 100 % uploads are refused with 507.", [
        {
          expr: maxBy(
            "instance",
            "changeover_spool_used_bytes / (changeover_spool_limit_bytes > 0)",
          ),
          legend: "{{instance}}",
        },
      ]),
      ...{ max: 1, redFrom: 0.9 },
    },
    lines("Staged", "short", "Bodies in the spool.", [
      { expr: "sum(changeover_spool_files)", legend: "files" },
    ]),
  ],
};

const providers: RowSpec = {
  title: "Providers",
  height: 7,
  panels: [
    {
      title: "Health",
      description: "How each provider is; none where it is not set up.",
      ...{ type: "state-timeline", unit: "short" },
      queries: [
        {
          expr: `${maxBy("provider, state", "changeover_provider_health")} == 1`,
          legend: "{{provider}} {{state}}",
        },
      ],
    },
    {
      title: "Last looked at",
      description: "How long ago a provider's health was last seen.",
      ...{ type: "stat", unit: "s" },
      queries: [
        {
          expr: age("provider", "changeover_provider_last_check_timestamp_seconds"),
          legend: byProvider,
        },
      ],
    },
    lines("Answer", "s", "How long the last small answer took.", [
      { expr: maxBy("provider", "changeover_provider_answer_seconds"), legend: byProvider },
    ]),
    lines("Throughput", "Bps", "How fast files are taken.", [
      {
        expr: maxBy("provider", "changeover_provider_upload_bytes_per_second"),
        legend: byProvider,
      },
    ]),
    {
      ...lines("Quota", "percentunit", "The fullest of a provider's quotas.", [
        { expr: maxBy("provider", "changeover_provider_quota_used_ratio"), legend: byProvider },
      ]),
      ...{ max: 1, redFrom: 0.9 },
    },
  ],
};

const pace: RowSpec = {
  title: "Pace",
  height: 7,
  panels: [
    lines("Requests", "short", "Going on, waiting, and how many uploads may go on at once.", [
      {
        expr: sumBy("provider, lane", "changeover_provider_running_requests"),
        legend: "{{provider}} {{lane}}",
      },
      {
        expr: sumBy("provider, lane", "changeover_provider_waiting_requests"),
        legend: "{{provider}} {{lane}} waiting",
      },
      {
        expr: sumBy("provider", "changeover_provider_limit_uploads"),
        legend: "{{provider}} uploads allowed",
      },
    ]),
    lines("Pause", "s", "How long nothing is sent, because the provider asked for it.", [
      { expr: maxBy("provider", "changeover_provider_pause_seconds"), legend: byProvider },
    ]),
    lines("Repeated", "reqps", "Requests to a provider that were made again.", [
      { expr: perSecond("provider", "changeover_provider_retries_total"), legend: byProvider },
    ]),
    lines("Repeats left", "short", "What the budget still allows; at 0 nothing is repeated.", [
      {
        expr: "min by (provider) (changeover_provider_retries_left)",
        legend: byProvider,
      },
    ]),
    lines("Lost replies", "short", "What became of uploads whose replies were lost.", [
      {
        expr: sumBy(
          "provider, fate",
          "increase(changeover_provider_lost_replies_total[$__rate_interval])",
        ),
        legend: "{{provider}} {{fate}}",
      },
    ]),
  ],
};

/** The file system: uploads, object store, spool, and the AI providers. */
export const filesDashboard: DashboardSpec = {
  uid: "changeover-files",
  title: "files",
  description: "Uploads, providers, connections, queues and what deduplication saves.",
  byOperation: false,
  rows: [uploads, storage, providers, pace],
  annotations: [],
};
