import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { LogFields } from "../../src/base/logger.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ContentLock } from "../../src/files/content-lock.ts";
import type { FileManager, FileSource, UploadRequest } from "../../src/files/file-manager.ts";
import { effectOf } from "../../src/files/saga/write-effect.ts";
import { bytesSource, fileSource } from "../../src/files/source.ts";
import type { ResumableOptions } from "../../src/files/storage/resumable/resumable-uploads.ts";
import { openStreamingFileManager } from "../../src/files/streaming/streaming-file-manager.ts";
import {
  callOf,
  eventually,
  FileWorld,
  readAll,
  seededBytes,
  sha256Of,
} from "../contract/file-manager-world.ts";
import { type CuttingProxy, cuttingProxy } from "./fixtures/cutting-proxy.ts";

const MIB = 2 ** 20;
let world: FileWorld;
let proxy: CuttingProxy;
let folder: string;
const managers: FileManager[] = [];
const told: { readonly message: string; readonly fields: LogFields }[] = [];

beforeAll(async () => {
  world = await FileWorld.open();
  proxy = await cuttingProxy(world.sandbox.addresses.supabase.url);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "changeover-resumable-"));
});
afterEach(async () => {
  await Promise.all(managers.splice(0).map((manager) => manager.close()));
  await rm(folder, { recursive: true });
  told.length = 0;
});
afterAll(async () => {
  await proxy?.close();
  await world?.close();
});

type Settings = Partial<Omit<ResumableOptions, "clock" | "logger" | "head">>;

function open1(settings: Settings = {}): FileManager {
  const tell = (fields: LogFields, message: string): void => void told.push({ message, fields });
  const manager = openStreamingFileManager({
    supabase: { ...world.sandbox.addresses.supabase, url: proxy.url },
    providers: [],
    lock: new ContentLock(),
    clock: systemClock,
    logger: { ...silentLogger, warn: tell, error: tell },
    resumable: {
      folder: join(folder, "partials"),
      fromBytes: 1,
      partBytes: MIB,
      waitsMs: [0, 20, 50, 100],
      ...settings,
    },
  });
  managers.push(manager);
  return manager;
}

const request = (source: FileSource, more: Partial<UploadRequest> = {}): UploadRequest => ({
  owner: randomUUID(),
  name: "a.bin",
  purpose: "user-data",
  provider: "none",
  mimeType: "application/octet-stream",
  source,
  metadata: {},
  ...more,
});

async function onDisk(bytes: Buffer): Promise<string> {
  const path = join(folder, randomUUID());
  await writeFile(path, bytes);
  return path;
}

async function expectStored(manager: FileManager, owner: string, bytes: Buffer): Promise<void> {
  const { files } = await manager.list({ owner, limit: 10 }, callOf());
  expect(files).toHaveLength(1);
  const { body } = await manager.download({ owner, id: files[0]?.id ?? "" }, callOf());
  expect(sha256Of(await readAll(body))).toBe(sha256Of(bytes));
  expect(await world.contents(sha256Of(bytes))).toHaveLength(1);
  expect(await world.objects(sha256Of(bytes))).toHaveLength(1);
}

async function expectNothing(bytes: Buffer): Promise<void> {
  expect(await world.contents(sha256Of(bytes))).toEqual([]);
  expect(await world.objects(sha256Of(bytes))).toEqual([]);
}

/** What the managers remember of unfinished uploads. */
async function remembered(): Promise<number> {
  const entries = await readdir(join(folder, "partials"), { recursive: true }).catch(() => []);
  return entries.filter((name) => name.endsWith(".json")).length;
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "it succeeded",
    (error: unknown) => error,
  );

describe("an upload in parts", () => {
  it.each([
    ["from disk", async (bytes: Buffer) => fileSource(await onDisk(bytes))],
    ["from memory", async (bytes: Buffer) => bytesSource(bytes)],
  ])("arrives %s byte for byte and tells its progress", async (title, sourceOf) => {
    const bytes = seededBytes(`parts ${title}`, 5 * MIB + 12_345);
    const manager = open1();
    const progress: number[] = [];
    const upload = request(await sourceOf(bytes), { progress: (sent) => progress.push(sent) });
    await manager.upload(upload, callOf());
    await expectStored(manager, upload.owner, bytes);
    expect(progress.at(-1)).toBe(bytes.length);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(await remembered()).toBe(0);
  });

  it("goes on where it was when its connection breaks, several times over", async () => {
    const bytes = seededBytes("cut", 8 * MIB);
    const manager = open1();
    const before = proxy.sentBytes();
    let cuts = 0;
    const upload = request(await fileSource(await onDisk(bytes)), {
      progress: (sent) => {
        if (sent < (cuts + 1) * 2 * MIB || cuts === 3) return;
        cuts += 1;
        proxy.cutAfter(700_000);
      },
    });
    await manager.upload(upload, callOf());
    expect(cuts).toBe(3);
    await expectStored(manager, upload.owner, bytes);
    // Sent anew is at most a part for each cut, and never the whole file.
    expect(proxy.sentBytes() - before).toBeLessThan(bytes.length + 3 * MIB + 100_000);
  });

  it("is done when only the answer to its last bytes was lost", async () => {
    const bytes = seededBytes("last answer", 3 * MIB);
    const manager = open1();
    const upload = request(await fileSource(await onDisk(bytes)), {
      progress: (sent) => {
        if (sent === 2 * MIB + 256 * 1024) proxy.loseAnswerAfter(700_000);
      },
    });
    const before = proxy.sentBytes();
    await manager.upload(upload, callOf());
    await expectStored(manager, upload.owner, bytes);
    expect(proxy.sentBytes() - before).toBeLessThan(bytes.length + 100_000);
  });

  it("goes on after its process was killed, from what had arrived", async () => {
    const bytes = seededBytes("killed", 10 * MIB);
    const path = await onDisk(bytes);
    const { url, secretKey, bucket } = world.sandbox.addresses.supabase;
    const program = fileURLToPath(new URL("./fixtures/dying-upload.ts", import.meta.url));
    const words = [
      JSON.stringify({ url: proxy.url, secretKey, bucket }),
      join(folder, "partials"),
      path,
      String(7 * MIB),
    ];
    expect(url).not.toBe(proxy.url);
    const child = spawn(process.execPath, [program, ...words], { stdio: "inherit" });
    const killedBy = await new Promise((resolve) => child.once("exit", (_, by) => resolve(by)));
    expect(killedBy).toBe("SIGKILL");
    await expectNothing(bytes);
    expect(await remembered()).toBe(1);
    const manager = open1();
    const before = proxy.sentBytes();
    const upload = request(await fileSource(path));
    await manager.upload(upload, callOf());
    await expectStored(manager, upload.owner, bytes);
    expect(proxy.sentBytes() - before).toBeLessThan(5 * MIB);
    expect(await remembered()).toBe(0);
  });

  it("keeps what arrived while the backend is away, and the next call goes on", async () => {
    const bytes = seededBytes("outage", 6 * MIB);
    const path = await onDisk(bytes);
    const manager = open1();
    const broken = request(await fileSource(path), {
      progress: (sent) => {
        if (sent >= 4 * MIB) proxy.refuse(true);
      },
    });
    const error = await failureOf(manager.upload(broken, callOf()));
    expect(error).toMatchObject({ code: "FILES_BACKEND_UNAVAILABLE", retryable: true });
    proxy.refuse(false);
    expect(await remembered()).toBe(1);
    const before = proxy.sentBytes();
    const again = request(await fileSource(path));
    await manager.upload(again, callOf());
    await expectStored(manager, again.owner, bytes);
    expect(proxy.sentBytes() - before).toBeLessThan(4 * MIB);
  });

  it.each([
    [true, 1],
    [false, 0],
  ])("that its caller gives up (keeping: %s) leaves %i to continue", async (keepPartial, left) => {
    const bytes = seededBytes(`given up ${keepPartial}`, 6 * MIB);
    const path = await onDisk(bytes);
    const manager = open1();
    const caller = new AbortController();
    const reason = new Error("The caller went home.");
    const upload = request(await fileSource(path), {
      keepPartial,
      progress: (sent) => {
        if (sent >= 4 * MIB) caller.abort(reason);
      },
    });
    const error = await failureOf(manager.upload(upload, callOf({ signal: caller.signal })));
    expect(error).toBe(reason);
    expect(effectOf(error)).toBe("absent");
    expect(await remembered()).toBe(left);
    await expectNothing(bytes);
    const before = proxy.sentBytes();
    const again = request(await fileSource(path));
    await manager.upload(again, callOf());
    await expectStored(manager, again.owner, bytes);
    const sent = proxy.sentBytes() - before;
    if (keepPartial) expect(sent).toBeLessThan(4 * MIB);
    else expect(sent).toBeGreaterThan(6 * MIB);
  });

  it("of a file that changes meanwhile fails, stores nothing and leaves nothing to continue", async () => {
    const bytes = seededBytes("changes", 6 * MIB);
    const path = await onDisk(bytes);
    const manager = open1();
    const upload = request(await fileSource(path), {
      progress: (sent) => {
        if (sent !== MIB) return;
        void open(path, "r+").then(async (handle) => {
          await handle.write("changed", 5 * MIB);
          await handle.close();
        });
      },
    });
    const error = await failureOf(manager.upload(upload, callOf()));
    expect(error).toMatchObject({ code: "FILES_SOURCE_CHANGED" });
    expect(await remembered()).toBe(0);
    await expectNothing(bytes);
  });

  it("that is given up with its last bytes under way is taken back, and can be sent again", async () => {
    const bytes = seededBytes("last bytes", 3 * MIB);
    const path = await onDisk(bytes);
    const manager = open1();
    const caller = new AbortController();
    // Given up with its last bytes under way: they arrive, and the object is taken back.
    const upload = request(await fileSource(path), {
      keepPartial: true,
      progress: (sent) => {
        if (sent === 3 * MIB) caller.abort(new Error("too late"));
      },
    });
    await failureOf(manager.upload(upload, callOf({ signal: caller.signal })));
    await expectNothing(bytes);
    const again = request(await fileSource(path));
    await manager.upload(again, callOf());
    await expectStored(manager, again.owner, bytes);
  });

  it("is one of several of the same bytes at once, and all are answered", async () => {
    const bytes = seededBytes("several", 4 * MIB);
    const path = await onDisk(bytes);
    const uploads = Array.from({ length: 4 }, async () => {
      const upload = request(await fileSource(path));
      // A lock of its own for each, as in processes that share a data folder.
      const manager = open1();
      return { file: await manager.upload(upload, callOf()), manager };
    });
    const [first] = await Promise.all(uploads);
    if (first === undefined) throw new Error("Four were stored.");
    await expectStored(first.manager, first.file.owner, bytes);
    await eventually("nothing is remembered", async () => (await remembered()) === 0);
  });
});
