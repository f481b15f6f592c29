import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { fileSource, sourceChunks } from "../../src/files/source.ts";
import type { NewObject } from "../../src/files/storage/object-storage.ts";
import {
  StreamingStorage,
  type StreamingStorageOptions,
} from "../../src/files/storage/streaming-storage.ts";
import { readAll, seededBytes, sha256Of } from "../contract/file-manager-world.ts";
import { hashBody, type ObjectServer, objectServer, sendJson } from "./object-server.ts";

const signal = new AbortController().signal;
const toClose: { close(): Promise<void> }[] = [];
const folders: string[] = [];

afterEach(async () => {
  await Promise.all(toClose.splice(0).map((each) => each.close()));
  await Promise.all(folders.splice(0).map((each) => rm(each, { recursive: true })));
});

async function serve(
  answer: Parameters<typeof objectServer>[0],
  options: Partial<StreamingStorageOptions> = {},
): Promise<{ readonly server: ObjectServer; readonly storage: StreamingStorage }> {
  const server = await objectServer(answer);
  const access = { url: server.url, secretKey: "sb_secret_test", bucket: "files" };
  const storage = new StreamingStorage(access, { clock: systemClock, ...options });
  toClose.push(storage, server);
  return { server, storage };
}

async function onDisk(bytes: Buffer): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "changeover-storage-"));
  folders.push(folder);
  await writeFile(join(folder, "a.bin"), bytes);
  return join(folder, "a.bin");
}

const small = (size = 10): NewObject => ({
  key: "none/user-data/ab/abc/id",
  sizeBytes: size,
  mimeType: "text/plain",
  open: async function* () {
    yield Buffer.alloc(size, "x");
  },
});

describe("streaming storage", () => {
  it("sends a file from re-used buffers unharmed to a receiver that reads slowly", async () => {
    const bytes = seededBytes("slow receiver", 9 * 1024 * 1024 + 12_345);
    const arrived: unknown[] = [];
    const { storage } = await serve(async (request, response) => {
      // Pauses between reads, so that the sender's socket is full nearly all the time.
      const gate = setInterval(() => {
        request.resume();
        setImmediate(() => request.pause());
      }, 2);
      request.pause();
      arrived.push(await hashBody(request));
      clearInterval(gate);
      sendJson(response, 200, { Key: "k" });
    });
    const source = await fileSource(await onDisk(bytes));
    const object = { ...small(bytes.length), open: () => sourceChunks(source) };
    await Promise.all([storage.put(object, signal), storage.put(object, signal)]);
    const whole = { bytes: bytes.length, sha256: sha256Of(bytes) };
    expect(arrived).toEqual([whole, whole]);
  });

  it("announces the length, the type and the key, and keeps its connection", async () => {
    const seen: unknown[] = [];
    const { server, storage } = await serve(async (request, response) => {
      const { method, url, headers } = request;
      const length = headers["content-length"];
      seen.push([method, url, length, headers["content-type"], headers["x-upsert"]]);
      expect(headers["transfer-encoding"]).toBeUndefined();
      await hashBody(request);
      sendJson(response, 200, { Key: "k" });
    });
    for (const key of ["a/b c/ü#?", "a/2"]) await storage.put({ ...small(), key }, signal);
    await storage.remove("a/2", signal);
    expect(seen.slice(0, 2)).toEqual([
      ["POST", "/storage/v1/object/files/a/b%20c/%C3%BC%23%3F", "10", "text/plain", "true"],
      ["POST", "/storage/v1/object/files/a/2", "10", "text/plain", "true"],
    ]);
    for (let index = 0; index < 50; index += 1) await storage.put(small(), signal);
    expect(server.connections()).toBeLessThanOrEqual(4);
  });

  it.each([
    [400, { statusCode: "404", error: "not_found", code: "NoSuchKey" }, null],
    [400, { statusCode: "404", code: "NoSuchBucket" }, "FILES_BACKEND_REJECTED"],
    [400, { statusCode: "403", error: "Unauthorized" }, "FILES_BACKEND_REJECTED"],
    [400, { statusCode: "423", code: "ResourceLocked" }, "FILES_BACKEND_UNAVAILABLE"],
    [400, { statusCode: "544", code: "DatabaseTimeout" }, "FILES_BACKEND_UNAVAILABLE"],
    [429, { statusCode: "429", code: "SlowDown" }, "FILES_BACKEND_UNAVAILABLE"],
    [502, "<html>Bad gateway</html>", "FILES_BACKEND_UNAVAILABLE"],
  ])("judges an answer of %i by its body: %j", async (status, body, code) => {
    const { storage } = await serve((_request, response) => sendJson(response, status, body));
    const asked = [storage.get("k", null, signal), storage.head("k", signal)];
    for (const answer of asked) {
      if (code === null) expect(await answer).toBeNull();
      else await expect(answer).rejects.toMatchObject({ code });
    }
  });

  it("hears a refusal that comes before its body is read", async () => {
    const { storage } = await serve((_request, response) => {
      response.setHeader("connection", "close");
      sendJson(response, 400, { statusCode: "413", code: "EntityTooLarge" });
    });
    const bytes = seededBytes("refused", 300_000);
    const object: NewObject = {
      ...small(50 * 300_000),
      open: async function* () {
        for (let index = 0; index < 50; index += 1) yield bytes;
      },
    };
    await expect(storage.put(object, signal)).rejects.toMatchObject({
      code: expect.stringMatching(/^FILES_BACKEND_/),
    });
  });

  it("takes the range out of an answer that has the whole object", async () => {
    const bytes = seededBytes("ranges ignored", 200_000);
    const { storage } = await serve((_request, response) => void response.end(bytes));
    const body = await storage.get("k", { start: 70_000, end: 150_000 }, signal);
    if (body === null) throw new Error("The object is there.");
    expect(sha256Of(await readAll(body))).toBe(sha256Of(bytes.subarray(70_000, 150_001)));
  });

  it("gives up when the receiver takes no more bytes", async () => {
    const clock = new ManualClock();
    const { storage } = await serve((request) => void request.pause(), { clock, idleMs: 1000 });
    const chunk = Buffer.alloc(1024 * 1024);
    let sent = 0;
    const object: NewObject = {
      ...small(1024 * chunk.length),
      open: async function* () {
        for (; sent < 1024; sent += 1) yield chunk;
      },
    };
    const put = expect(storage.put(object, signal)).rejects.toMatchObject({
      code: "FILES_BACKEND_UNAVAILABLE",
      message: expect.stringContaining("no answer within 1000 ms"),
    });
    let before = -1;
    // Until the sockets' buffers are full, bytes still move.
    while (sent !== before || sent === 0) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    clock.advance(2000);
    await put;
    expect(sent).toBeLessThan(1024);
    expect(clock.pending).toBe(0);
  });

  it("gives up when no answer begins", async () => {
    const clock = new ManualClock();
    const { server, storage } = await serve(() => undefined, { clock, answerMs: 5000 });
    const asked = expect(storage.get("k", null, signal)).rejects.toMatchObject({
      code: "FILES_BACKEND_UNAVAILABLE",
      retryable: true,
    });
    while (server.connections() === 0) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(5000);
    await asked;
    expect(clock.pending).toBe(0);
  });

  it("rejects with the caller's own reason, and the server sees the connection end", async () => {
    const caller = new AbortController();
    const reason = new Error("enough");
    const closed = Promise.withResolvers<unknown>();
    const { storage } = await serve((request) => {
      request.once("data", () => caller.abort(reason));
      request.once("close", () => closed.resolve(request.complete));
    });
    const object: NewObject = {
      ...small(1000),
      open: async function* () {
        yield Buffer.alloc(500);
        await once(caller.signal, "abort");
        yield Buffer.alloc(500);
      },
    };
    await expect(storage.put(object, caller.signal)).rejects.toBe(reason);
    expect(await closed.promise).toBe(false);
  });

  it("waits for the answer once all bytes are on their way, so that nothing appears later", async () => {
    const caller = new AbortController();
    const reason = new Error("enough");
    let stored = false;
    const { storage } = await serve(async (request, response) => {
      await hashBody(request);
      caller.abort(reason);
      await new Promise((resolve) => setTimeout(resolve, 30));
      stored = true;
      sendJson(response, 200, { Key: "k" });
    });
    await expect(storage.put(small(), caller.signal)).rejects.toBe(reason);
    expect(stored).toBe(true);
  });

  it("but not for ever", async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const arrived = Promise.withResolvers<void>();
    const { storage } = await serve((request) => hashBody(request).then(() => arrived.resolve()), {
      clock,
      settleMs: 5000,
    });
    const reason = new Error("enough");
    const put = expect(storage.put(small(), caller.signal)).rejects.toBe(reason);
    await arrived.promise;
    caller.abort(reason);
    clock.advance(5000);
    await put;
    expect(clock.pending).toBe(0);
  });

  it("hands on the error of a body that breaks off, and stores nothing", async () => {
    const closed = Promise.withResolvers<unknown>();
    const { storage } = await serve((request) => {
      request.resume().once("close", () => closed.resolve(request.complete));
    });
    const broken = new Error("The disk is gone.");
    const object: NewObject = {
      ...small(1000),
      open: async function* () {
        yield Buffer.alloc(999);
        throw broken;
      },
    };
    await expect(storage.put(object, signal)).rejects.toBe(broken);
    expect(await closed.promise).toBe(false);
  });

  it("says of a refused connection that nothing can have happened", async () => {
    const { server, storage } = await serve(() => undefined);
    await server.close();
    await expect(storage.put(small(), signal)).rejects.toMatchObject({
      code: "FILES_BACKEND_UNAVAILABLE",
      details: { effect: "absent" },
    });
  });
});
