import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { SupabaseCatalog } from "../../src/files/catalog/supabase-catalog.ts";
import { ContentLock } from "../../src/files/content-lock.ts";
import { bytesSource } from "../../src/files/source.ts";
import { StreamingStorage } from "../../src/files/storage/streaming-storage.ts";
import { SupabaseConnection } from "../../src/files/storage/supabase-connection.ts";
import { openStreamingFileManager } from "../../src/files/streaming/streaming-file-manager.ts";
import { verifyFiles } from "../../src/files/verify/verification.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { callOf } from "../contract/file-manager-world.ts";

let folder: string;
let sandbox: Sandbox;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "changeover-damage-"));
  sandbox = await startSandbox({ dataDir: folder });
});
afterAll(async () => {
  await sandbox?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Where the storage keeps these bytes: a disk that rots does not tell its tables. */
async function blobOf(bytes: Buffer): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    if (bytes.equals(await readFile(path))) return path;
  }
  throw new Error("The storage has no such bytes.");
}

it("finds bytes that the storage lost or cannot read to their end, and goes on with the others", async () => {
  const { supabase } = sandbox.addresses;
  const tools = { clock: systemClock, logger: silentLogger, lock: new ContentLock() };
  const manager = openStreamingFileManager({ supabase, ...tools, providers: [] });
  const [sound, lost, cut] = [randomBytes(3000), randomBytes(3000), randomBytes(300_000)];
  for (const bytes of [cut, lost, sound]) {
    const file = { owner: "owner", name: "a.bin", purpose: "user_data", provider: "none" } as const;
    const said = { mimeType: "application/octet-stream", metadata: {} };
    await manager.upload({ ...file, ...said, source: bytesSource(bytes) }, callOf());
  }
  await rm(await blobOf(lost));
  await truncate(await blobOf(cut), 100_000);

  const connection = { clock: systemClock, connections: 2, timeoutMs: 10_000 };
  const parts = {
    catalog: new SupabaseCatalog(new SupabaseConnection(supabase, connection)),
    storage: new StreamingStorage(supabase, { clock: systemClock, idleMs: 500 }),
    providers: [],
    purposes: {},
    withProviders: false,
    clock: systemClock,
  };
  try {
    expect(await verifyFiles(parts)).toMatchObject({ ok: true, contents: 3 });
    const report = await verifyFiles(parts, { hash: true, fix: true });
    expect(report).toMatchObject({ ok: false, contents: 3, unchecked: [] });
    expect(report.findings).toMatchObject([
      { kind: "missing-object", sizeBytes: 3000, result: "open", isLeftOver: false },
      { kind: "unreadable-object", sizeBytes: 300_000, result: "open", isLeftOver: false },
    ]);
    expect(report.findings[0]?.detail).toBe("expected 3000 bytes, found no bytes");
    expect(report.hashedBytes).toBeGreaterThanOrEqual(3000);
  } finally {
    await Promise.all([manager.close(), parts.catalog.close(), parts.storage.close()]);
  }
});
