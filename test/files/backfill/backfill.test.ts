import type { ChildProcess } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { backfillBackend } from "../../../src/app/upkeep/backfill-backend.ts";
import { verifyBackend } from "../../../src/app/upkeep/verify-backend.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { adoptedFileId, backfillDigest } from "../../../src/files/backfill/adopted-id.ts";
import { type BackfillOptions, backfill } from "../../../src/files/backfill/backfill.ts";
import { MemoryQueue } from "../../../src/files/backfill/memory-queue.ts";
import { ContentLock } from "../../../src/files/content-lock.ts";
import { bytesSource } from "../../../src/files/source.ts";
import { StreamingStorage } from "../../../src/files/storage/streaming-storage.ts";
import {
  openCatalog,
  openStreamingFileManager,
} from "../../../src/files/streaming/streaming-file-manager.ts";
import { type Sandbox, startSandbox } from "../../../src/sandbox/sandbox.ts";
import { ended, spawnChangeover, until } from "../../cli/command-line.ts";
import { callOf, readAll } from "../../contract/file-manager-world.ts";

const { signal } = new AbortController();
const sha256Of = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("objects that were in the bucket before", () => {
  let folder: string;
  let sandbox: Sandbox;
  let owner: string;
  let prefix: string;
  let run = 0;
  const supabase = () => sandbox.addresses.supabase;
  const backend = () => ({ supabase: supabase(), kimi: null, glm: null });
  const put = async (name: string, bytes: Buffer): Promise<string> => {
    const { url, secretKey, bucket } = supabase();
    const key = `${prefix}${name}`;
    const client = createClient(url, secretKey, { auth: { persistSession: false } });
    const { error } = await client.storage.from(bucket).upload(key, bytes);
    if (error !== null) throw error;
    return key;
  };
  const fill = (more: Partial<BackfillOptions> = {}) =>
    backfillBackend(backend(), { owner, prefix, signal, ...more });
  const files = async () => {
    const common = { clock: systemClock, logger: silentLogger, lock: new ContentLock() };
    const manager = openStreamingFileManager({ ...common, supabase: supabase(), providers: [] });
    try {
      const { files: found } = await manager.list({ owner, limit: 100 }, callOf());
      const read = async (id: string): Promise<string> =>
        sha256Of(await readAll((await manager.download({ owner, id }, callOf())).body));
      return await Promise.all(
        found.map(async (file) => ({ ...file, downloaded: await read(file.id) })),
      );
    } finally {
      await manager.close();
    }
  };
  const verify = (fix = false) =>
    verifyBackend(backend(), { hash: true, fix, graceMs: 0, withProviders: false, signal });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "changeover-backfill-"));
    sandbox = await startSandbox({ dataDir: folder });
  });
  beforeEach(() => {
    run += 1;
    owner = `owner-${run}`;
    prefix = `before-${run}/`;
  });
  afterAll(async () => {
    await sandbox.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("become files with their hashes, where they are, once however often it runs", async () => {
    const bytes = [randomBytes(3_000_000), Buffer.from("plain text"), Buffer.alloc(0)];
    const names = ["large.bin", "deep/er/note.txt", "empty.dat"];
    for (const [index, name] of names.entries()) await put(name, bytes[index] ?? Buffer.alloc(0));
    const seen: number[] = [];
    const first = await fill({ progress: ({ done, total }) => void seen.push(done / total) });
    expect(first).toMatchObject({ objects: 3, adopted: 3, known: 0, failed: [], duplicates: [] });
    expect(seen.at(-1)).toBe(1);
    const found = await files();
    expect(found.map(({ name, sha256 }) => [name, sha256]).sort()).toEqual(
      [
        ["large.bin", sha256Of(bytes[0] ?? Buffer.alloc(0))],
        ["note.txt", sha256Of(Buffer.from("plain text"))],
        ["empty.dat", sha256Of(Buffer.alloc(0))],
      ].sort(),
    );
    for (const { sha256, downloaded } of found) expect(downloaded).toBe(sha256);
    expect(found.find(({ name }) => name === "note.txt")?.mimeType).toBe("text/plain");
    expect(await fill()).toMatchObject({ objects: 3, adopted: 0, known: 3, bytes: 0 });
    expect(await files()).toHaveLength(3);
    expect(await verify()).toMatchObject({ ok: true, findings: [] });
  });

  it("of the same bytes point at one content, and are named", async () => {
    const bytes = randomBytes(1000);
    const [one, two] = [await put("one.bin", bytes), await put("two.bin", bytes)];
    const { adopted, duplicates } = await fill({ concurrency: 1 });
    expect(adopted).toBe(2);
    expect(duplicates).toHaveLength(1);
    expect([duplicates[0]?.key, duplicates[0]?.sameAs].sort()).toEqual([one, two]);
    for (const { downloaded } of await files()) expect(downloaded).toBe(sha256Of(bytes));
    // A later run names them too: the machine that took one in may not have lived to say so.
    expect(await fill()).toMatchObject({ known: 2, adopted: 0, duplicates });
  });

  it("are only counted by a dry run, and only read by a validation", async () => {
    await put("a.bin", randomBytes(500));
    expect(await fill({ dryRun: true })).toMatchObject({ objects: 1, adopted: 1, bytes: 500 });
    expect(await fill({ validateOnly: true })).toMatchObject({ adopted: 1, bytes: 500 });
    expect(await files()).toEqual([]);
    expect(await fill()).toMatchObject({ adopted: 1, known: 0 });
  });

  it.each([
    [{ owner: "" }, "FILES_INVALID_OWNER"],
    [{ owner: "ana " }, "FILES_INVALID_OWNER"],
    [{ owner: "a".repeat(101) }, "FILES_INVALID_OWNER"],
    [{ purpose: "zzz" }, "FILES_UNKNOWN_PURPOSE"],
  ])("are not taken in where nobody could see or use them: %j", async (options, code) => {
    await put("a.bin", randomBytes(10));
    await expect(fill(options)).rejects.toMatchObject({ code, status: 400 });
    expect(await fill({ dryRun: true })).toMatchObject({ objects: 1, known: 0 });
  });

  it("are never written over, also not by an upload of what they were", async () => {
    const [before, now] = [randomBytes(300), randomBytes(400)];
    const key = await put("me.png", before);
    await fill();
    const { url, secretKey, bucket } = supabase();
    const client = createClient(url, secretKey, { auth: { persistSession: false } });
    expect((await client.storage.from(bucket).update(key, now)).error).toBeNull();
    const common = { clock: systemClock, logger: silentLogger, lock: new ContentLock() };
    const manager = openStreamingFileManager({ ...common, supabase: supabase(), providers: [] });
    try {
      const file = { owner, name: "me.png", purpose: "user_data", provider: "none" } as const;
      const said = { mimeType: "image/png", metadata: {}, source: bytesSource(before) };
      await expect(manager.upload({ ...file, ...said }, callOf())).rejects.toMatchObject({
        code: "FILES_INTEGRITY",
        message: expect.stringContaining("was replaced"),
      });
    } finally {
      await manager.close();
    }
    const there = await client.storage.from(bucket).download(key);
    expect(sha256Of(Buffer.from((await there.data?.arrayBuffer()) ?? new ArrayBuffer(0)))).toBe(
      sha256Of(now),
    );
    // The other tests verify the whole bucket.
    expect((await client.storage.from(bucket).update(key, before)).error).toBeNull();
  });

  it("are taken in once by two runs at once that know nothing of each other", async () => {
    for (let index = 0; index < 12; index += 1) await put(`${index}.bin`, randomBytes(100));
    const [one, two] = await Promise.all([fill(), fill()]);
    expect([...(one?.failed ?? []), ...(two?.failed ?? [])]).toEqual([]);
    expect(await files()).toHaveLength(12);
    expect(await verify()).toMatchObject({ ok: true, findings: [] });
  });

  it("are tried three times each when they cannot be read, and the others are taken in", async () => {
    for (const name of ["a.bin", "bad.bin", "c.bin"]) await put(name, randomBytes(100));
    const catalog = openCatalog(supabase(), { clock: systemClock });
    const storage = new StreamingStorage(supabase(), { clock: systemClock });
    let tries = 0;
    const get = storage.get.bind(storage);
    const sick = Object.create(storage, {
      list: { value: storage.list.bind(storage) },
      get: {
        value: (...words: Parameters<typeof get>) => {
          if (!words[0].endsWith("bad.bin")) return get(...words);
          tries += 1;
          return Promise.reject(new Error("sick"));
        },
      },
    });
    const places = { catalog, storage: sick, queue: new MemoryQueue(), clock: systemClock };
    const report = await backfill(places, { owner, prefix, signal });
    expect(tries).toBe(3);
    expect(report).toMatchObject({ objects: 3, adopted: 2, here: { objects: 2 } });
    expect(report.failed).toMatchObject([{ key: `${prefix}bad.bin`, reason: "sick" }]);
    await Promise.all([catalog.close(), storage.close()]);
  });

  it("stay where they are when verify removes a row that a killed run left without a file", async () => {
    const bytes = randomBytes(700);
    await put("a.bin", bytes);
    const [catalog, storage] = [
      openCatalog(supabase(), { clock: systemClock }),
      new StreamingStorage(supabase(), { clock: systemClock }),
    ];
    // The last step of all never comes about, as in a process that is killed before it.
    const dying = Object.create(catalog, {
      addFile: { value: () => Promise.reject(new Error("killed")) },
      findFile: { value: () => Promise.resolve(null) },
      addContent: { value: catalog.addContent.bind(catalog) },
    });
    const report = await backfill(
      { catalog: dying, storage, queue: new MemoryQueue(), clock: systemClock },
      { owner, prefix, signal },
    );
    expect(report.failed).toMatchObject([{ reason: "killed" }]);
    await Promise.all([catalog.close(), storage.close()]);
    expect((await verify(true)).findings).toMatchObject([
      { kind: "unused-content", result: "removed" },
    ]);
    expect(await fill()).toMatchObject({ adopted: 1, failed: [] });
    expect((await files())[0]?.downloaded).toBe(sha256Of(bytes));
  });

  it("are all taken in after a run was killed in the middle", { timeout: 60_000 }, async () => {
    const count = 30;
    for (let index = 0; index < count; index += 1) await put(`${index}.bin`, randomBytes(2000));
    const { url, secretKey, bucket } = supabase();
    const environment = {
      SUPABASE_URL: url,
      SUPABASE_SECRET_KEY: secretKey,
      SUPABASE_BUCKET: bucket,
      CHANGEOVER_DATA_DIR: join(folder, "cli"),
    };
    const words = ["backfill", "--owner", owner, "--prefix", prefix, "--json"];
    const slow: ChildProcess = spawnChangeover([...words, "--rate", "10"], { environment });
    const slowEnd = ended(slow);
    await until(async () => (await files()).length >= 3);
    slow.kill("SIGKILL");
    await slowEnd;
    const before = (await files()).length;
    expect(before).toBeLessThan(count);
    const { code, stdout } = await ended(spawnChangeover(words, { environment }));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ objects: count, failed: [] });
    expect(JSON.parse(stdout).known).toBeGreaterThanOrEqual(3);
    expect(await files()).toHaveLength(count);
    expect(await verify(true)).toMatchObject({ ok: true });
  });
});

describe("the id of a file that was taken in", () => {
  it("is a UUID that follows from owner and key", () => {
    const id = adoptedFileId("ana", "a/b.txt");
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(adoptedFileId("ana", "a/b.txt")).toBe(id);
    expect(adoptedFileId("bob", "a/b.txt")).not.toBe(id);
    expect(adoptedFileId("ana", "a/c.txt")).not.toBe(id);
  });
});

describe("the name of a backfill's queue", () => {
  it("is the same for the same work, and another for each other work", () => {
    const work = { url: "https://a.supabase.co", bucket: "b", owner: "ana", prefix: "p/" };
    const asked = { ...work, purpose: "user_data", validateOnly: false };
    const name = backfillDigest(asked);
    expect(name).toMatch(/^[0-9a-f]{24}$/);
    expect(backfillDigest({ ...asked })).toBe(name);
    const others = [
      { url: "https://b.supabase.co" },
      { bucket: "c" },
      { owner: "bob" },
      { prefix: "q/" },
      { purpose: "batch" },
      { validateOnly: true },
    ];
    const names = others.map((other) => backfillDigest({ ...asked, ...other }));
    expect(new Set([name, ...names]).size).toBe(7);
  });
});
