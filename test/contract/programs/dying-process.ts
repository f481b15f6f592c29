import { randomUUID } from "node:crypto";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { SupabaseCatalog } from "../../../src/files/catalog/supabase-catalog.ts";
import { ContentLock } from "../../../src/files/content-lock.ts";
import type { UploadRequest } from "../../../src/files/file-manager.ts";
import { createProvider } from "../../../src/files/providers/create-provider.ts";
import { bytesSource } from "../../../src/files/source.ts";
import { ResumableUploads } from "../../../src/files/storage/resumable/resumable-uploads.ts";
import { StreamingStorage } from "../../../src/files/storage/streaming-storage.ts";
import { SupabaseConnection } from "../../../src/files/storage/supabase-connection.ts";
import { StreamingFileManager } from "../../../src/files/streaming/streaming-file-manager.ts";
import type { SandboxAddresses } from "../../../src/sandbox/sandbox.ts";
import { callOf, seededBytes } from "../file-manager-world.ts";

/** What the process is told. */
export interface DyingOrder {
  readonly addresses: SandboxAddresses;
  readonly owner: string;
  /** Uploads bytes of these seeds, one after another in each of several lanes; or deletes a file. */
  readonly work:
    | { readonly kind: "upload"; readonly seeds: readonly string[]; readonly sizeBytes: number }
    | { readonly kind: "delete"; readonly id: string };
  /** `<port>.<method>`; null lives until somebody else ends it. */
  readonly diesAt: string | null;
  readonly moment: "before" | "after";
  /** Where unfinished uploads are remembered; null sends objects in one piece. */
  readonly partials: string | null;
}

const order = JSON.parse(process.argv[2] ?? "") as DyingOrder;
const { supabase, kimi } = order.addresses;

/** The same port, whose one method ends the process as `kill -9` does. */
function dying<T extends object>(name: string, port: T): T {
  return new Proxy(port, {
    get: (target, method) => {
      const value: unknown = Reflect.get(target, method);
      if (typeof value !== "function") return value;
      if (order.diesAt !== `${name}.${String(method)}`) return value.bind(target);
      return async (...words: unknown[]) => {
        if (order.moment === "after") await value.apply(target, words);
        process.kill(process.pid, "SIGKILL");
        await new Promise(() => undefined);
      };
    },
  });
}

const connection = { clock: systemClock, connections: 4, timeoutMs: 10_000 };
const storage = new StreamingStorage(supabase, { clock: systemClock });
const manager = new StreamingFileManager(
  {
    catalog: dying("catalog", new SupabaseCatalog(new SupabaseConnection(supabase, connection))),
    storage: dying("storage", storage),
    providers: [
      dying("provider", createProvider({ name: "kimi", ...kimi, transport: "streaming" })),
    ],
    lock: new ContentLock(),
    clock: systemClock,
    logger: silentLogger,
  },
  {
    resumable:
      order.partials === null
        ? null
        : dying(
            "resumable",
            new ResumableUploads(supabase, {
              clock: systemClock,
              logger: silentLogger,
              folder: order.partials,
              fromBytes: 1,
              partBytes: 256 * 1024,
              head: (key, signal) => storage.head(key, signal),
            }),
          ),
  },
);

const request = (seed: string, sizeBytes: number): UploadRequest => ({
  owner: order.owner,
  name: `${seed}.pdf`,
  purpose: "file-extract",
  provider: "kimi",
  mimeType: "application/pdf",
  source: bytesSource(seededBytes(seed, sizeBytes)),
  metadata: { seed },
});

const { work, owner } = order;
if (work.kind === "delete") await manager.delete({ owner, id: work.id }, callOf());
else {
  const rest = work.seeds.values();
  const lane = async (): Promise<void> => {
    for (const seed of rest) {
      const { id } = await manager.upload(request(seed, work.sizeBytes), {
        ...callOf(),
        requestId: randomUUID(),
      });
      process.send?.({ seed, id });
    }
  };
  await Promise.all([lane(), lane(), lane()]);
}
await manager.close();
process.disconnect?.();
