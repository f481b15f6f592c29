import type { NetworkSubject, TransferTarget } from "./transfer.ts";

/** The modules of one version of the product that an upload to storage needs. */
export interface PutModules {
  readonly storage: Pick<
    typeof import("../../src/files/storage/streaming-storage.ts"),
    "StreamingStorage"
  >;
  readonly outgoing: Pick<
    typeof import("../../src/files/streaming/outgoing-bytes.ts"),
    "OutgoingBytes"
  >;
  readonly source: Pick<typeof import("../../src/files/source.ts"), "fileSource">;
  readonly clock: Pick<typeof import("../../src/base/clock.ts"), "systemClock">;
}

/** Loads them from a checkout; `root` ends with a slash. Each root has its own copies. */
export async function loadPutModules(root: URL): Promise<PutModules> {
  const load = async <T>(path: string): Promise<T> => (await import(new URL(path, root).href)) as T;
  return {
    storage: await load("src/files/storage/streaming-storage.ts"),
    outgoing: await load("src/files/streaming/outgoing-bytes.ts"),
    source: await load("src/files/source.ts"),
    clock: await load("src/base/clock.ts"),
  };
}

/** What makes a subject worse on purpose, so that the gate can show that it sees it. */
export interface Injection {
  /** Share of its own time that every upload takes longer, 0 to 1. */
  readonly slower?: number;
  /** Bytes held while it runs. */
  readonly extraBytes?: number;
}

/**
 * The streaming path's own way of the bytes: read, hashed on the fly or compared by size and time of
 * change, sent. Without the rows around it.
 */
export function streamingPut(
  modules: PutModules,
  name: string,
  isTrusted: boolean,
  { slower = 0, extraBytes = 0 }: Injection = {},
): (target: TransferTarget) => NetworkSubject {
  return ({ url, bucket, secretKey, sha256 }) => {
    const clock = modules.clock.systemClock;
    const storage = new modules.storage.StreamingStorage({ url, secretKey, bucket }, { clock });
    const { signal } = new AbortController();
    return {
      name,
      send: async (path) => {
        const startedMs = clock.monotonicMs();
        const held = extraBytes > 0 ? Buffer.alloc(extraBytes, 1) : null;
        const source = await modules.source.fileSource(path);
        const known = { sha256: sha256(path), isTrusted };
        const outgoing = new modules.outgoing.OutgoingBytes(source, known, { withMd5: false });
        await storage.put(
          {
            key: "bench.bin",
            sizeBytes: source.sizeBytes,
            mimeType: "application/octet-stream",
            open: () => outgoing.chunks(),
          },
          signal,
        );
        if (slower > 0) spin(clock, (clock.monotonicMs() - startedMs) * slower);
        if (held !== null && held.at(-1) !== 1) throw new Error("The memory held is not held.");
      },
      close: () => storage.close(),
    };
  };
}

function spin(clock: PutModules["clock"]["systemClock"], ms: number): void {
  const endMs = clock.monotonicMs() + ms;
  while (clock.monotonicMs() < endMs);
}
