import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ContentLock } from "../../src/files/content-lock.ts";
import type { UploadRequest } from "../../src/files/file-manager.ts";
import { openLegacyFileManager } from "../../src/files/legacy/legacy-file-manager.ts";
import { effectOf } from "../../src/files/saga/write-effect.ts";
import { bytesSource, fileSource } from "../../src/files/source.ts";
import { openStreamingFileManager } from "../../src/files/streaming/streaming-file-manager.ts";
import { callOf } from "../contract/file-manager-world.ts";
import { objectServer, sendJson } from "./object-server.ts";

const toClose: { close(): Promise<void> }[] = [];

afterEach(async () => {
  await Promise.all(toClose.splice(0).map((each) => each.close()));
});

const partsFor = (url: string): Parameters<typeof openLegacyFileManager>[0] => ({
  supabase: { url, secretKey: "sb_secret_test", bucket: "files" },
  providers: [],
  lock: new ContentLock(),
  clock: systemClock,
  logger: silentLogger,
});

const request: Omit<UploadRequest, "source"> = {
  owner: "me",
  name: "big.bin",
  purpose: "user-data",
  provider: "none",
  mimeType: "application/octet-stream",
  metadata: {},
};

describe("the legacy path", () => {
  it("refuses files of 2 GiB, as Node does, and says so", async () => {
    const folder = await mkdtemp(join(tmpdir(), "changeover-legacy-"));
    const path = join(folder, "sparse.bin");
    const handle = await open(path, "w");
    await handle.truncate(2 ** 31);
    await handle.close();
    const manager = openLegacyFileManager(partsFor("http://127.0.0.1:9"));
    toClose.push(manager);
    const upload = { ...request, source: await fileSource(path) };
    const error: unknown = await manager.upload(upload, callOf()).catch((each: unknown) => each);
    await rm(folder, { recursive: true });
    expect(error).toMatchObject({
      code: "FILES_TOO_LARGE",
      status: 413,
      message: expect.stringContaining("legacy path"),
      details: { limitBytes: 2 ** 31 - 1, sizeBytes: 2 ** 31 },
    });
    expect(effectOf(error)).toBe("absent");
  });

  it("opens a new connection for every request, where the streaming path keeps a few", async () => {
    const server = await objectServer((_request, response) => sendJson(response, 200, []));
    toClose.push(server);
    const legacy = openLegacyFileManager(partsFor(server.url));
    const streaming = openStreamingFileManager(partsFor(server.url));
    toClose.push(legacy, streaming);
    for (let index = 0; index < 10; index += 1) {
      await legacy.list({ owner: "me", limit: 1 }, callOf());
    }
    expect(server.connections()).toBe(10);
    for (let index = 0; index < 10; index += 1) {
      await streaming.list({ owner: "me", limit: 1 }, callOf());
    }
    expect(server.connections()).toBeLessThan(15);
  });
});

describe("both paths", () => {
  it.each([
    [401, { message: "no" }, "FILES_BACKEND_REJECTED", false],
    [500, { message: "internal", code: "XX000" }, "FILES_BACKEND_UNAVAILABLE", true],
    [503, "<html>maintenance</html>", "FILES_BACKEND_UNAVAILABLE", true],
  ])("say what a backend that answers %i means", async (status, body, code, retryable) => {
    const server = await objectServer((_request, response) => sendJson(response, status, body));
    toClose.push(server);
    for (const make of [openLegacyFileManager, openStreamingFileManager]) {
      const manager = make(partsFor(server.url));
      toClose.push(manager);
      const ask = manager.list({ owner: "me", limit: 1 }, callOf());
      await expect(ask).rejects.toMatchObject({ code, retryable });
    }
  });

  it("say of a backend that is not there that nothing happened", async () => {
    const server = await objectServer(() => undefined);
    await server.close();
    for (const make of [openLegacyFileManager, openStreamingFileManager]) {
      const manager = make(partsFor(server.url));
      toClose.push(manager);
      const source = bytesSource(Buffer.from("bytes"));
      const error: unknown = await manager
        .upload({ ...request, source }, callOf())
        .catch((each: unknown) => each);
      expect(error).toMatchObject({ code: "FILES_BACKEND_UNAVAILABLE", retryable: true });
      expect(effectOf(error)).toBe("absent");
    }
  });
});
