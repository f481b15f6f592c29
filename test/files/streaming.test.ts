import { randomUUID } from "node:crypto";
import { mkdtemp, open, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { FileManager, FileSource, UploadRequest } from "../../src/files/file-manager.ts";
import { effectOf } from "../../src/files/saga/write-effect.ts";
import { bytesSource, DiskSource, fileSource } from "../../src/files/source.ts";
import { Admission } from "../../src/files/streaming/admission.ts";
import { checkedBody } from "../../src/files/streaming/checked-body.ts";
import { SourceHashes } from "../../src/files/streaming/source-hashes.ts";
import {
  callOf,
  FileWorld,
  readAll,
  seededBytes,
  sha256Of,
} from "../contract/file-manager-world.ts";

const { signal } = new AbortController();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "changeover-streaming-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function onDisk(bytes: Buffer): Promise<string> {
  const path = join(folder, randomUUID());
  await writeFile(path, bytes);
  return path;
}

/** A source of bytes in memory that says of itself what a test wants. */
function inMemory(bytes: Buffer, more: Partial<FileSource>): FileSource {
  return {
    sizeBytes: bytes.length,
    path: null,
    sha256: null,
    identity: null,
    open: () => Readable.from([bytes], { objectMode: false }),
    verifyUnchanged: async () => undefined,
    ...more,
  };
}

describe("the hashes of sources", () => {
  it("are computed once for as long as the file stays the same", async () => {
    const hashes = new SourceHashes();
    const path = await onDisk(seededBytes("once", 700_000));
    for (let index = 0; index < 3; index += 1) await hashes.of(await fileSource(path), signal);
    expect(hashes.counts).toEqual({ hits: 2, misses: 1 });
    const edited = seededBytes("edited", 700_000);
    await writeFile(path, edited);
    const known = await hashes.of(await fileSource(path), signal);
    expect(known).toEqual({ sha256: sha256Of(edited), isTrusted: true });
  });

  it("are remembered for a thousand files and not for more", async () => {
    const hashes = new SourceHashes();
    const bytes = Buffer.from("the same");
    for (let index = 0; index < 2000; index += 1) {
      await hashes.of(inMemory(bytes, { identity: `file ${index}` }), signal);
    }
    expect(hashes.size).toBe(1000);
  });

  it("are taken from a source that knows its own, but then checked on the way out", async () => {
    const source = inMemory(Buffer.from("a"), { sha256: "0".repeat(64) });
    const known = await new SourceHashes().of(source, signal);
    expect(known).toEqual({ sha256: "0".repeat(64), isTrusted: false });
  });
});

describe("a checked body", () => {
  const bytes = seededBytes("checked", 500_000);
  const chunks = (of: Buffer): Readable =>
    Readable.from([of.subarray(0, 200_000), of.subarray(200_000)], { objectMode: false });
  const expected = { what: "The bytes", sizeBytes: bytes.length, sha256: sha256Of(bytes) };

  it("passes what is right", async () => {
    expect(sha256Of(await readAll(checkedBody(chunks(bytes), expected)))).toBe(expected.sha256);
    const empty = { what: "Nothing", sizeBytes: 0, sha256: sha256Of(Buffer.alloc(0)) };
    expect(await readAll(checkedBody(Readable.from([]), empty))).toHaveLength(0);
  });

  it.each([
    ["a flipped bit", Buffer.concat([bytes.subarray(0, 499_999), Buffer.from([1])])],
    ["a missing end", bytes.subarray(0, 499_999)],
    ["more bytes", Buffer.concat([bytes, Buffer.from("x")])],
    ["nothing at all", Buffer.alloc(0)],
  ])("fails on %s, before its reader has as many bytes as a whole file", async (_what, wrong) => {
    let got = 0;
    const reading = async (): Promise<void> => {
      for await (const chunk of checkedBody(chunks(wrong), expected)) {
        got += (chunk as Buffer).length;
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: "FILES_INTEGRITY" });
    expect(got).toBeLessThan(bytes.length);
  });

  it("hands on the error of the body, and closes the body when its reader leaves", async () => {
    const broken = new Error("reset");
    const failing = new Readable({ read: () => undefined });
    const reading = readAll(checkedBody(failing, expected));
    failing.destroy(broken);
    await expect(reading).rejects.toBe(broken);

    const endless = new Readable({ read: () => undefined });
    checkedBody(endless, expected).destroy();
    await new Promise((resolve) => endless.once("close", resolve));
    expect(endless.destroyed).toBe(true);
  });
});

describe("admission", () => {
  it("runs so many at once, in order, and refuses more than may wait", async () => {
    const admission = new Admission({ running: 2, waitingMax: 1 });
    const gates = [1, 2, 3].map(() => Promise.withResolvers<void>());
    const started: number[] = [];
    const runs = gates.map(({ promise }, index) =>
      admission.run(signal, async () => {
        started.push(index);
        await promise;
      }),
    );
    await expect(admission.run(signal, async () => undefined)).rejects.toMatchObject({
      code: "FILES_BUSY",
      retryable: true,
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(started).toEqual([0, 1]);
    for (const gate of gates) gate.resolve();
    await Promise.all(runs);
    expect(started).toEqual([0, 1, 2]);
  });

  it("never starts what was given up during the wait", async () => {
    const admission = new Admission({ running: 1, waitingMax: 5 });
    const gate = Promise.withResolvers<void>();
    const first = admission.run(signal, () => gate.promise);
    const caller = new AbortController();
    let started = false;
    const second = admission.run(caller.signal, async () => {
      started = true;
    });
    caller.abort(new Error("enough"));
    await expect(second).rejects.toThrow("enough");
    gate.resolve();
    await first;
    await new Promise((resolve) => setImmediate(resolve));
    expect(started).toBe(false);
  });
});

describe("a streaming upload", () => {
  let world: FileWorld;
  let manager: FileManager;
  beforeAll(async () => {
    world = await FileWorld.open();
    manager = world.streaming();
  });
  afterEach(() => expect(world.complaints.splice(0)).toEqual([]));
  afterAll(() => world?.close());

  const request = (source: FileSource, more: Partial<UploadRequest> = {}): UploadRequest => ({
    owner: randomUUID(),
    name: "a.pdf",
    purpose: "file-extract",
    provider: "kimi",
    mimeType: "application/pdf",
    source,
    metadata: {},
    ...more,
  });
  const expectNothing = async (owner: string, sha256: string): Promise<void> => {
    expect(await world.files(owner)).toEqual([]);
    expect(await world.contents(sha256)).toEqual([]);
    expect(await world.objects(sha256)).toEqual([]);
    expect(await world.arrived("kimi", sha256)).toEqual([]);
  };

  it("of a file that changes meanwhile fails and stores nothing", async () => {
    const bytes = seededBytes("changes", 3_000_000);
    const path = await onDisk(bytes);
    const changed = request(await fileSource(path), {
      progress: (sent) => {
        if (sent > 300_000) return;
        void open(path, "r+").then(async (handle) => {
          await handle.write("changed", 2_900_000);
          await handle.close();
        });
      },
    });
    const error: unknown = await manager.upload(changed, callOf()).catch((each: unknown) => each);
    expect(error).toMatchObject({ code: "FILES_SOURCE_CHANGED" });
    await expectNothing(changed.owner, sha256Of(bytes));
  });

  it("of a file that shrinks fails and stores nothing", async () => {
    const bytes = seededBytes("shrinks", 3_000_000);
    const path = await onDisk(bytes);
    const source = await fileSource(path);
    const shrinking = request(source, { provider: "none", purpose: "user-data" });
    await writeFile(path, bytes.subarray(0, 100));
    await expect(manager.upload(shrinking, callOf())).rejects.toMatchObject({
      code: "FILES_SOURCE_CHANGED",
    });
    await expectNothing(shrinking.owner, sha256Of(bytes));
  });

  it("of bytes that are not those of the announced hash fails and stores nothing", async () => {
    const bytes = seededBytes("announced", 600_000);
    const path = await onDisk(seededBytes("other", 600_000));
    const { size, mtimeNs, ino } = await stat(path, { bigint: true });
    const source = new DiskSource(path, { size, mtimeNs, ino }, sha256Of(bytes));
    const wrong = request(source, { provider: "none", purpose: "user-data" });
    const error: unknown = await manager.upload(wrong, callOf()).catch((each: unknown) => each);
    expect(error).toMatchObject({ code: "FILES_SOURCE_CHANGED" });
    expect(effectOf(error)).toBe("absent");
    await expectNothing(wrong.owner, sha256Of(bytes));
  });

  it("that is aborted between two chunks leaves nothing", async () => {
    const bytes = seededBytes("between", 5_000_000);
    const caller = new AbortController();
    const reason = new Error("The caller went home.");
    const aborted = request(await fileSource(await onDisk(bytes)), {
      progress: (sent) => {
        if (sent > 1_000_000) caller.abort(reason);
      },
    });
    const call = callOf({ signal: caller.signal });
    await expect(manager.upload(aborted, call)).rejects.toBe(reason);
    await expectNothing(aborted.owner, sha256Of(bytes));
  });

  it("of what is stored already sends no bytes", async () => {
    const bytes = seededBytes("stored already", 400_000);
    await manager.upload(request(bytesSource(bytes)), callOf());
    const before = await world.uploadRequests("kimi");
    let opened = 0;
    const counting = inMemory(bytes, {
      open: () => {
        opened += 1;
        return Readable.from([bytes], { objectMode: false });
      },
    });
    await manager.upload(request(counting), callOf());
    expect(opened).toBe(1);
    expect(await world.uploadRequests("kimi")).toBe(before);
  });

  it("knows when a lost answer of the provider leaves the effect open", async () => {
    await world.fault("kimi", { loseReply: 1, count: 1, operations: ["upload"] });
    const lost = request(bytesSource(seededBytes("lost", 1000)));
    const error: unknown = await manager.upload(lost, callOf()).catch((each: unknown) => each);
    await world.fault("kimi", null);
    expect(effectOf(error)).toBe("possible");
    await world.fault("kimi", { errorStatus: 400, count: 1, operations: ["upload"] });
    const refused = request(bytesSource(seededBytes("refused", 1000)));
    const other: unknown = await manager.upload(refused, callOf()).catch((each: unknown) => each);
    expect(effectOf(other)).toBe("absent");
  });

  it("runs a hundred at once and stores every one", async () => {
    const owner = randomUUID();
    const uploads = Array.from({ length: 100 }, (_, index) => {
      const source = bytesSource(seededBytes(`hundred ${index}`, 20_000 + index));
      const each = request(source, { owner, provider: "none", purpose: "user-data" });
      return manager.upload(each, callOf());
    });
    const files = await Promise.all(uploads);
    expect(files.map((each) => each.sizeBytes)).toEqual(
      Array.from({ length: 100 }, (_, index) => 20_000 + index),
    );
    const page = await manager.list({ owner, limit: 100 }, callOf());
    expect(page.files).toHaveLength(100);
  });
});
