import { type Clock, systemClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/logger.ts";
import { backfillDigest } from "../../files/backfill/adopted-id.ts";
import {
  type BackfillOptions,
  type BackfillReport,
  backfill,
} from "../../files/backfill/backfill.ts";
import { MemoryQueue } from "../../files/backfill/memory-queue.ts";
import type { BackfillQueue } from "../../files/backfill/queue.ts";
import type { BackfillTally } from "../../files/backfill/tally.ts";
import { BackendRetries } from "../../files/retry/backend-retries.ts";
import { retryingCatalog } from "../../files/retry/retrying-catalog.ts";
import { retryingStorage } from "../../files/retry/retrying-storage.ts";
import { StreamingStorage } from "../../files/storage/streaming-storage.ts";
import { openCatalog } from "../../files/streaming/streaming-file-manager.ts";
import { BatchQueue } from "../../postgres/queue/batch-queue.ts";
import type { Backend } from "../backend.ts";

/** How {@link backfillBackend} goes. */
export interface BackfillBackendOptions extends BackfillOptions {
  /** The Postgres that the machines share; null, the default, works alone and in this process. */
  readonly queueUrl?: string | null;
  readonly clock?: Clock;
}

/**
 * Runs one backfill on a backend, over connections of its own. See `backfill` for what it throws, and
 * `BatchQueue.open` for what comes with a `queueUrl`.
 */
export async function backfillBackend(
  backend: Backend,
  { clock = systemClock, queueUrl = null, ...options }: BackfillBackendOptions,
): Promise<BackfillReport> {
  const { supabase } = backend;
  const url = options.dryRun === true ? null : queueUrl;
  const queue = url === null ? new MemoryQueue() : await openQueue(backend, url, options, clock);
  const retries = new BackendRetries({ clock, logger: silentLogger });
  const catalog = retryingCatalog(openCatalog(supabase, { clock }), retries);
  const streaming = new StreamingStorage(supabase, { clock });
  const storage = {
    ...retryingStorage(streaming, retries),
    list: (prefix: string, signal: AbortSignal) => streaming.list(prefix, signal),
  };
  try {
    return await backfill({ catalog, storage, queue, clock }, options);
  } finally {
    await Promise.all([catalog.close(), storage.close(), queue.close()]);
  }
}

function openQueue(
  { supabase }: Backend,
  url: string,
  options: BackfillOptions,
  clock: Clock,
): Promise<BackfillQueue> {
  const { owner, prefix = "", purpose = "user_data", validateOnly = false } = options;
  const { url: project, bucket } = supabase;
  const identity = { url: project, bucket, owner, prefix, purpose, validateOnly };
  const name = `backfill/${backfillDigest(identity)}`;
  return BatchQueue.open<BackfillTally>({ url, name, clock });
}
