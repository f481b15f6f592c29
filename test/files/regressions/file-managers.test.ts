import { randomUUID } from "node:crypto";
import { mkdtemp, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { ContentLock } from "../../../src/files/content-lock.ts";
import type { MigratedFiles } from "../../../src/files/file-service.ts";
import { openLegacyFileManager } from "../../../src/files/legacy/legacy-file-manager.ts";
import { createProvider } from "../../../src/files/providers/create-provider.ts";
import { bytesSource, fileSource } from "../../../src/files/source.ts";
import { openStreamingFileManager } from "../../../src/files/streaming/streaming-file-manager.ts";
import type { Answered, Path } from "../../../src/migration/call.ts";
import { readAll, seededBytes, sha256Of } from "../../contract/file-manager-world.ts";
import { failureOf } from "../fixtures/provider-server.ts";
import { seen } from "./defects.ts";
import { MigratedWorld, noting, requestOf } from "./migrated-world.ts";

let world: MigratedWorld;
let folder: string;
beforeAll(async () => {
  world = await MigratedWorld.open();
  folder = await mkdtemp(join(tmpdir(), "changeover-regressions-"));
});
afterAll(async () => {
  await world?.close();
  await rm(folder, { recursive: true, force: true });
});

const key = { key: "anna" };

describe.each(["legacy", "candidate"] as const)("with every call on %s", (path) => {
  let files: MigratedFiles;
  beforeAll(async () => {
    files = (await world.migrated(path)).files;
  });
  const bytesOf = (seed: string, sizeBytes: number): Buffer =>
    seededBytes(`regressions ${path} ${seed}`, sizeBytes);
  const download = async (owner: string, id: string): Promise<Buffer> =>
    readAll((await files.download({ owner, id }, key)).body);

  it(seen(4), async () => {
    const bytes = bytesOf("operations", 50_000);
    const answers: Answered[] = [];
    const options = noting(answers);
    const { owner, id } = await files.upload(requestOf(bytesSource(bytes)), options);
    const part = await files.download({ owner, id, range: { start: 7, end: 99 } }, options);
    expect(await readAll(part.body)).toEqual(bytes.subarray(7, 100));
    expect(await files.info({ owner, id }, options)).toMatchObject({ sha256: sha256Of(bytes) });
    expect((await files.list({ owner, limit: 10 }, options)).files).toHaveLength(1);
    expect(await files.delete({ owner, id }, options)).toEqual({ id, deleted: true });
    expect((await files.list({ owner, limit: 10 }, options)).files).toEqual([]);
    // None of them was saved by the other path.
    const all = { path, fellBack: false };
    expect(answers).toMatchObject(Array.from({ length: 6 }, () => all));
  });

  it(seen(5), async () => {
    const owner = randomUUID();
    const file = join(folder, `${path}.pdf`);
    const versions = ["first", "edited", "replaced"].map((version) => bytesOf(version, 30_000));
    const [first = Buffer.of(), edited = Buffer.of(), replaced = Buffer.of()] = versions;
    const noon = new Date("2026-01-01T12:00:00Z");
    const send = async () => files.upload(requestOf(await fileSource(file), { owner }), key);
    await writeFile(file, first);
    await utimes(file, noon, noon);
    const stored = [await send(), await send()];
    await writeFile(file, edited);
    stored.push(await send());
    // Another file under the old name, of the same size and time, as a restored backup may be.
    await writeFile(`${file}.new`, replaced);
    await utimes(`${file}.new`, noon, noon);
    await rename(`${file}.new`, file);
    stored.push(await send());
    const expected = [first, first, edited, replaced].map(sha256Of);
    expect(stored.map(({ sha256 }) => sha256)).toEqual(expected);
    const back = await Promise.all(stored.map(({ id }) => download(owner, id)));
    expect(back.map(sha256Of)).toEqual(expected);
  });

  it(seen(6), async () => {
    const bytes = bytesOf("both providers", 40_000);
    const owner = randomUUID();
    const providers = ["kimi", "glm", "none"] as const;
    const stored: { id: string; providerFileId: string | null }[] = [];
    for (const provider of providers) {
      stored.push(await files.upload(requestOf(bytesSource(bytes), { owner, provider }), key));
    }
    const sha256 = sha256Of(bytes);
    for (const [index, name] of (["kimi", "glm"] as const).entries()) {
      const there = await world.backends.arrived(name, sha256);
      expect(there.map(({ id }) => id)).toEqual([stored[index]?.providerFileId]);
    }
    await files.delete({ owner, id: stored[0]?.id ?? "" }, key);
    expect(await world.backends.arrived("kimi", sha256)).toEqual([]);
    expect(await world.backends.arrived("glm", sha256)).toHaveLength(1);
    for (const { id } of stored.slice(1)) {
      expect(sha256Of(await download(owner, id))).toBe(sha256);
    }
  });

  it(seen(9), async () => {
    const { files: withoutBucket } = await withMissingBucket(path);
    const request = requestOf(bytesSource(bytesOf("refused", 20_000)), { provider: "kimi" });
    const error = await failureOf(withoutBucket.upload(request, key));
    expect(error).toMatchObject({ code: "FILES_BACKEND_REJECTED" });
    const { owner } = request;
    expect(await files.list({ owner, limit: 10 }, key)).toEqual({ files: [], hasMore: false });
    const sha256 = sha256Of(bytesOf("refused", 20_000));
    expect(await world.backends.arrived("kimi", sha256)).toEqual([]);
    expect(await world.backends.contents(sha256)).toEqual([]);
  });
});

/** A backend whose storage refuses everything. */
function withMissingBucket(path: Path) {
  const { supabase, kimi } = world.backends.sandbox.addresses;
  const parts = {
    supabase: { ...supabase, bucket: "nobody-made-this-bucket" },
    lock: new ContentLock(),
    clock: systemClock,
    logger: silentLogger,
  };
  const kimiBy = (transport: "buffered" | "streaming") => [
    createProvider({ name: "kimi", ...kimi, transport }),
  ];
  return world.migratedOf(
    path,
    openLegacyFileManager({ ...parts, providers: kimiBy("buffered") }),
    openStreamingFileManager({ ...parts, providers: kimiBy("streaming") }),
  );
}
