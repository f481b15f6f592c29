import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/app/app.ts";
import { readConfig } from "../../src/app/config.ts";
import { addFilesMetrics } from "../../src/app/files-metrics.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import type { UploadRequest } from "../../src/files/file-manager.ts";
import type { ProviderStatus } from "../../src/files/providers/steady/provider-status.ts";
import { UploadCounts } from "../../src/files/saga/upload-counts.ts";
import { bytesSource } from "../../src/files/source.ts";
import {
  openStreamingFileManager,
  type StreamingFileManager,
} from "../../src/files/streaming/streaming-file-manager.ts";
import { MetricsRecorder } from "../../src/metrics/recorder.ts";
import { callOf, FileWorld } from "../contract/file-manager-world.ts";
import { countedBy, samplesOf } from "../metrics/exposition.ts";
import { root } from "../rules/sources.ts";

const noUploads = () => ({ legacy: new UploadCounts(), candidate: new UploadCounts() });
const spool = { usedBytes: 7, files: 2 };

describe("the app", () => {
  it("exports them, and answers in the format that was asked for", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "changeover-metrics-"));
    const config = readConfig({
      CHANGEOVER_DATA_DIR: dataDir,
      CHANGEOVER_FLAGS_DIR: join(root, "flags"),
    });
    const app = await createApp(config, { logger: silentLogger, backend: null });
    try {
      const samples = samplesOf(await app.metrics.text());
      expect(samples.get("changeover_spool_limit_bytes")).toBe(config.spoolBytes);
      expect(samples.get("changeover_provider_health provider=kimi state=up")).toBe(0);
      expect(samples.get("changeover_memory_resident_bytes")).toBeGreaterThan(0);
      expect(samples.get("changeover_admission_limit_bytes path=legacy")).toBeGreaterThan(0);
      const verdicts = [...samples].filter(
        ([name, value]) => /_verdict .*overall/.test(name) && value,
      );
      expect(verdicts.length).toBeGreaterThan(0);
      const { contentType, text } = await app.metrics.exposition("application/openmetrics-text");
      expect(contentType).toContain("openmetrics");
      expect(text.endsWith("# EOF\n")).toBe(true);
    } finally {
      await app.close();
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});

describe("the metrics of providers", () => {
  it("show health, queue, quota, retries and lost replies of those that are set up", async () => {
    const recorder = new MetricsRecorder();
    const status: ProviderStatus = {
      provider: "glm",
      health: {
        state: "throttled",
        ...{ sinceMs: 0, checkedMs: 9000, answerMs: 250, reason: "429", failures: 0 },
      },
      throughput: { bytesPerSecond: 4096, samples: 3 },
      queue: {
        ...{ running: { uploads: 1, requests: 2 }, waiting: { uploads: 3, requests: 4 } },
        ...{ limit: 5, pausedMs: 1500 },
      },
      quotas: [
        { purpose: "batch", files: 1, filesMax: 10, bytes: 30, bytesMax: 40, countedMs: 0 },
        { purpose: null, files: 5, filesMax: null, bytes: 0, bytesMax: null, countedMs: 0 },
      ],
      retries: { made: 6, left: 7 },
      lostReplies: { adopted: 8, absent: 9, ambiguous: 10 },
    };
    addFilesMetrics(recorder, {
      ...{ providers: [{ status }], spool, spoolLimitBytes: 100 },
      ...{ uploads: noUploads(), candidate: null },
    });
    expect(await countedBy(recorder, "provider_health")).toEqual({
      "provider=glm state=throttled": 1,
    });
    const samples = samplesOf(await recorder.text());
    const of = (name: string, more = "") => samples.get(`changeover_${name} ${more}provider=glm`);
    expect(of("provider_last_check_timestamp_seconds")).toBe(9);
    expect(of("provider_answer_seconds")).toBe(0.25);
    expect(of("provider_upload_bytes_per_second")).toBe(4096);
    expect(of("provider_running_requests", "lane=requests ")).toBe(2);
    expect(of("provider_waiting_requests", "lane=uploads ")).toBe(3);
    expect(of("provider_limit_uploads")).toBe(5);
    expect(of("provider_pause_seconds")).toBe(1.5);
    expect(of("provider_quota_used_ratio")).toBe(0.75);
    expect(of("provider_retries_total")).toBe(6);
    expect(of("provider_retries_left")).toBe(7);
    expect(of("provider_lost_replies_total", "fate=ambiguous ")).toBe(10);
    expect(samples.get("changeover_provider_retries_total provider=kimi")).toBe(0);
    expect(samples.get("changeover_spool_used_bytes")).toBe(7);
    expect(samples.get("changeover_spool_limit_bytes")).toBe(100);
    expect(samples.get("changeover_spool_files")).toBe(2);
  });
});

describe("the metrics of uploads", () => {
  let world: FileWorld;
  let manager: StreamingFileManager;
  const counts = noUploads();
  const recorder = new MetricsRecorder();

  beforeAll(async () => {
    world = await FileWorld.open();
    manager = openStreamingFileManager({
      ...{ supabase: world.sandbox.addresses.supabase, providers: [], lock: world.lock },
      ...{ clock: systemClock, logger: silentLogger, counts: counts.candidate },
      storage: { writeConnections: 4 },
    });
    addFilesMetrics(recorder, {
      ...{ providers: [], spool, spoolLimitBytes: 100, uploads: counts, candidate: manager },
    });
  });
  afterAll(async () => {
    await manager?.close();
    await world?.close();
  });

  it("count what was sent, what was there, and what was given back", async () => {
    const bytes = Buffer.from(`counted once: ${randomUUID()}`);
    const request = (owner: string, onDuplicate: "force" | "return"): UploadRequest => ({
      ...{ owner, name: "a.txt", mimeType: "text/plain", purpose: "user-data", metadata: {} },
      ...{ provider: "none", source: bytesSource(bytes), onDuplicate },
    });
    await manager.upload(request("ana", "force"), callOf());
    await manager.upload(request("bob", "force"), callOf());
    await manager.upload(request("ana", "return"), callOf());
    expect(await countedBy(recorder, "uploads_total")).toEqual({
      "path=candidate result=stored": 1,
      "path=candidate result=reused": 1,
      "path=candidate result=returned": 1,
    });
    expect(await countedBy(recorder, "dedupe_hits_total")).toEqual({ "path=candidate": 2 });
    expect(await countedBy(recorder, "dedupe_saved_bytes_total")).toEqual({
      "path=candidate": 2 * bytes.length,
    });
    const samples = samplesOf(await recorder.text());
    expect(samples.get("changeover_pool_limit_connections pool=storage-writes")).toBe(4);
    expect(samples.get("changeover_pool_connections pool=storage-writes")).toBeGreaterThan(0);
    expect(samples.get("changeover_uploads_running stage=sending")).toBe(0);
    expect(samples.get("changeover_hash_cache_lookups_total result=miss")).toBe(3);
  });
});
