import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { type StartedBackend, serveParent } from "./child/child-side.ts";
import { lockFolder } from "./folder-lock.ts";
import { keysOf, newKey } from "./key-file.ts";
import { listenOnLoopback } from "./loopback-server.ts";
import { createFront } from "./supabase/front.ts";
import { openLiteApp } from "./supabase/lite-app.ts";
import { ResumableFront } from "./supabase/resumable/resumable-front.ts";
import { StorageFront } from "./supabase/storage/storage-front.ts";

/** What the parent sends. */
export interface SupabaseSettings {
  /** The backend's own folder: database, blobs, keys. */
  readonly folder: string;
  /** Where the SQL migrations are. */
  readonly migrationsFolder: string;
  /** 0: any free one. */
  readonly port: number;
  readonly bucket: string;
  /** The size limit of an object in a bucket without one of its own, in bytes. */
  readonly maxObjectBytes: number;
  /** Milliseconds until an unfinished resumable upload is removed. */
  readonly uploadExpiryMs: number;
}

/** What the parent gets back. */
export interface SupabaseReady {
  readonly url: string;
  readonly secretKey: string;
  readonly publishableKey: string;
  readonly bucket: string;
}

serveParent(startBackend);

async function startBackend(settings: SupabaseSettings): Promise<StartedBackend<SupabaseReady>> {
  const lock = lockFolder(settings.folder);
  const keys = keysOf(join(settings.folder, "keys.json"), {
    secretKey: () => newKey("sb_secret_"),
    publishableKey: () => newKey("sb_publishable_"),
    jwtSecret: () => newKey(""),
  });
  const { folder, migrationsFolder, bucket, maxObjectBytes } = settings;
  const app = await openLiteApp({ folder, migrationsFolder, keys, bucket, maxObjectBytes });
  const storage = new StorageFront(app, keys);
  const resumable = await ResumableFront.open({
    app,
    keys,
    storage,
    clock: systemClock,
    folder: join(folder, "uploads"),
    maxObjectBytes,
    expiryMs: settings.uploadExpiryMs,
  });
  const front = createFront(app, keys, { storage, resumable });
  const server = await listenOnLoopback(settings.port, front);
  const { secretKey, publishableKey } = keys;
  return {
    ready: { url: server.origin, secretKey, publishableKey, bucket },
    stop: async () => {
      await server.close();
      resumable.close();
      await app.close();
      lock.release();
    },
  };
}
