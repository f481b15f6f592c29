import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { LogFields, Logger } from "../../src/base/logger.ts";
import { ContentLock } from "../../src/files/content-lock.ts";
import type { FileManager, OnDuplicate, UploadRequest } from "../../src/files/file-manager.ts";
import { openLegacyFileManager } from "../../src/files/legacy/legacy-file-manager.ts";
import { createProvider } from "../../src/files/providers/create-provider.ts";
import { effectOf } from "../../src/files/saga/write-effect.ts";
import { bytesSource } from "../../src/files/source.ts";
import { openStreamingFileManager } from "../../src/files/streaming/streaming-file-manager.ts";
import { callOf, FileWorld, seededBytes, sha256Of } from "./file-manager-world.ts";

let world: FileWorld;
beforeAll(async () => {
  world = await FileWorld.open();
});
afterAll(() => world?.close());

interface LogLine extends LogFields {
  readonly level: string;
  readonly message: string;
}

describe.each(["legacy", "streaming"] as const)("the %s file manager", (name) => {
  let manager: FileManager;
  const lines: LogLine[] = [];
  beforeAll(() => {
    const { supabase, kimi } = world.sandbox.addresses;
    const at =
      (level: string) =>
      (fields: LogFields, message: string): void =>
        void lines.push({ ...fields, level, message });
    const logger: Logger = {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
    };
    const transport = name === "legacy" ? "buffered" : "streaming";
    const providers = [createProvider({ name: "kimi", ...kimi, transport })];
    const open = name === "legacy" ? openLegacyFileManager : openStreamingFileManager;
    manager = open({ supabase, providers, logger, clock: systemClock, lock: new ContentLock() });
  });
  afterAll(() => manager.close());

  const request = (seed: string, more: Partial<UploadRequest> = {}): UploadRequest => ({
    owner: randomUUID(),
    name: "confidential-name.pdf",
    purpose: "file-extract",
    provider: "kimi",
    mimeType: "application/pdf",
    source: bytesSource(seededBytes(`${name} ${seed}`, 5000)),
    metadata: { note: "confidential-note" },
    ...more,
  });

  it("marks every line of an upload and a delete with its request id, and says nothing secret", async () => {
    lines.length = 0;
    const upload = request("log");
    const { id } = await manager.upload(upload, callOf({ requestId: "upload-1" }));
    await manager.delete({ owner: upload.owner, id }, callOf({ requestId: "delete-1" }));
    const ofUpload = lines.filter(({ requestId }) => requestId === "upload-1");
    expect(ofUpload.map(({ level, message }) => [level, message])).toEqual(
      expect.arrayContaining([
        ["debug", "The bytes are stored"],
        ["debug", "The provider has the bytes"],
        ["debug", "The content has its row"],
      ]),
    );
    expect(ofUpload.at(-1)).toMatchObject({
      level: "info",
      message: "A file was stored",
      operation: "files.test",
      file: id,
      sizeBytes: 5000,
      ms: expect.any(Number),
    });
    const ofDelete = lines.filter(({ requestId }) => requestId === "delete-1");
    expect(ofDelete.at(-1)).toMatchObject({ message: "A file was deleted", file: id });
    expect(ofDelete).toHaveLength(4);
    expect(lines).toHaveLength(ofUpload.length + ofDelete.length);
    const text = JSON.stringify(lines);
    const { secretKey } = world.sandbox.addresses.supabase;
    for (const secret of ["confidential", secretKey, world.sandbox.addresses.kimi.apiKey]) {
      expect(text).not.toContain(secret);
    }
  });

  it("logs a failure by its code", async () => {
    lines.length = 0;
    await world.fault("kimi", { errorStatus: 400, count: 1, operations: ["upload"] });
    await expect(manager.upload(request("refused"), callOf())).rejects.toThrow();
    await world.fault("kimi", null);
    expect(lines.at(-1)).toMatchObject({
      message: "A file was not stored",
      code: "FILES_PROVIDER_REJECTED",
      requestId: "test",
    });
  });

  it("adds, answers or refuses bytes that their owner has stored already", async () => {
    const again = (owner: string, onDuplicate: OnDuplicate) =>
      manager.upload(request("twice", { owner, onDuplicate }), callOf());
    const owner = randomUUID();
    const first = await again(owner, "error");
    const second = await again(owner, "force");
    expect(second.id).not.toBe(first.id);
    expect((await again(owner, "return")).id).toBe(first.id);
    const error: unknown = await again(owner, "error").catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "FILES_DUPLICATE", status: 409 });
    expect(effectOf(error)).toBe("absent");
    expect(await world.files(owner)).toHaveLength(2);
    expect(await world.contents(sha256Of(seededBytes(`${name} twice`, 5000)))).toHaveLength(1);
  });

  it("lets nobody find out what others have stored", async () => {
    await manager.upload(request("theirs"), callOf());
    for (const onDuplicate of ["error", "return"] as const) {
      const mine = request("theirs", { onDuplicate });
      expect(await manager.upload(mine, callOf())).toMatchObject({ owner: mine.owner });
    }
  });
});
