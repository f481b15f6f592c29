import { type Clock, systemClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/logger.ts";
import {
  type BackfillOptions,
  type BackfillReport,
  backfill,
} from "../../files/backfill/backfill.ts";
import { BackendRetries } from "../../files/retry/backend-retries.ts";
import { retryingCatalog } from "../../files/retry/retrying-catalog.ts";
import { retryingStorage } from "../../files/retry/retrying-storage.ts";
import { StreamingStorage } from "../../files/storage/streaming-storage.ts";
import { openCatalog } from "../../files/streaming/streaming-file-manager.ts";
import type { Backend } from "../backend.ts";

/** Runs one backfill on a backend, over connections of its own. See `backfill` for what it throws. */
export async function backfillBackend(
  { supabase }: Backend,
  { clock = systemClock, ...options }: BackfillOptions & { readonly clock?: Clock },
): Promise<BackfillReport> {
  const retries = new BackendRetries({ clock, logger: silentLogger });
  const catalog = retryingCatalog(openCatalog(supabase, { clock }), retries);
  const streaming = new StreamingStorage(supabase, { clock });
  const storage = {
    ...retryingStorage(streaming, retries),
    list: (prefix: string, signal: AbortSignal) => streaming.list(prefix, signal),
  };
  try {
    return await backfill({ catalog, storage, clock }, options);
  } finally {
    await Promise.all([catalog.close(), storage.close()]);
  }
}
