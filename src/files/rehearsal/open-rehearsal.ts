import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { SupabaseCatalog } from "../catalog/supabase-catalog.ts";
import type { FileManager } from "../file-manager.ts";
import type { ErrorProvider } from "../provider-errors.ts";
import type { FileManagerParts } from "../saga/parts.ts";
import { BufferedStorage } from "../storage/buffered-storage.ts";
import { StreamingStorage } from "../storage/streaming-storage.ts";
import { type SupabaseAccess, SupabaseConnection } from "../storage/supabase-connection.ts";
import { Leftovers } from "./leftovers.ts";
import { UploadRehearsal } from "./upload-rehearsal.ts";

/** What {@link openUploadRehearsal} connects. */
export interface RehearsalConnectOptions {
  readonly supabase: SupabaseAccess;
  /** Makes a file manager of each path out of the parts of a rehearsal. */
  readonly legacy: (parts: FileManagerParts) => FileManager;
  readonly candidate: (parts: FileManagerParts) => FileManager;
  /** The providers that are set up. */
  readonly providers: readonly ErrorProvider[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Kept connections of the streaming path's rehearsals; default 4. */
  readonly connections?: number;
  /** See `UploadRehearsalParts`; default 300,000. */
  readonly staleMs?: number;
}

const ROWS_MS = 15_000;

/** Rehearsals on Supabase, over connections of their own. Connects when the first one runs. */
export function openUploadRehearsal(options: RehearsalConnectOptions): UploadRehearsal {
  const { supabase, clock, logger, providers, connections = 4 } = options;
  const pooled = (): SupabaseConnection =>
    new SupabaseConnection(supabase, { clock, connections, timeoutMs: ROWS_MS });
  const single = new SupabaseConnection(supabase, {
    clock,
    ...{ connections: "single-use", timeoutMs: null },
  });
  const rows = pooled();
  const sweeping = pooled();
  const objects = new StreamingStorage(supabase, {
    clock,
    ...{ writeConnections: connections, readConnections: 1 },
  });
  return new UploadRehearsal({
    paths: {
      legacy: {
        catalog: new SupabaseCatalog(single),
        storage: new BufferedStorage(single, supabase.bucket),
        transport: "buffered",
        open: options.legacy,
      },
      candidate: {
        catalog: new SupabaseCatalog(rows),
        storage: objects,
        transport: "streaming",
        open: options.candidate,
      },
    },
    leftovers: new Leftovers(sweeping, supabase.bucket),
    disconnect: async () => {
      await Promise.all([single, rows, sweeping, objects].map((each) => each.close()));
    },
    ...{ providers, clock, logger },
    ...(options.staleMs === undefined ? {} : { staleMs: options.staleMs }),
  });
}
