import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { backendUnavailable } from "../../src/files/errors.ts";
import type { Download, FileManager, StoredFile } from "../../src/files/file-manager.ts";
import {
  downloadCost,
  fileOperations,
  migrateFiles,
  uploadCost,
} from "../../src/files/operations.ts";
import { recordEffect } from "../../src/files/saga/write-effect.ts";
import { bytesSource } from "../../src/files/source.ts";
import { readAll } from "../contract/file-manager-world.ts";
import { makeFacade } from "../support/facade.ts";

const MiB = 2 ** 20;
const file: StoredFile = {
  id: "0b9e3a52-6b1c-4c7e-9e55-0d1f5b7c8a10",
  owner: "me",
  name: "a.pdf",
  sizeBytes: 40 * MiB,
  mimeType: "application/pdf",
  sha256: "0".repeat(64),
  provider: "none",
  purpose: "user-data",
  providerFileId: null,
  metadata: {},
  createdAt: "2026-01-01T00:00:00.000Z",
  accessedAt: "2026-01-01T00:00:00.000Z",
};

/** A file manager of answers; what it was asked is in `asked`. */
class Answers implements FileManager {
  readonly asked: string[] = [];
  failure: unknown;

  async upload(): Promise<StoredFile> {
    return this.#answer("upload", file);
  }
  async download(): Promise<Download> {
    const body = Readable.from([Buffer.from("bytes")], { objectMode: false });
    return this.#answer("download", { file, range: null, body });
  }
  async info(): Promise<StoredFile> {
    return this.#answer("info", file);
  }
  async list(): ReturnType<FileManager["list"]> {
    return this.#answer("list", { files: [file], hasMore: false });
  }
  async delete(): ReturnType<FileManager["delete"]> {
    return this.#answer("delete", { id: file.id, deleted: true });
  }
  async close(): Promise<void> {}

  #answer<T>(what: string, answer: T): T {
    this.asked.push(what);
    if (this.failure !== undefined) throw this.failure;
    return answer;
  }
}

const upload = {
  owner: "me",
  name: "a.pdf",
  purpose: "user-data",
  provider: "none",
  mimeType: "application/pdf",
  source: bytesSource(Buffer.from("bytes")),
  metadata: {},
} as const;

function migrated(percentage: number) {
  const names = ["upload", "download", "info", "list", "delete"];
  const flags = Object.fromEntries(names.map((name) => [`files.${name}`, percentage]));
  const { facade, seen } = makeFacade(flags);
  const legacy = new Answers();
  const candidate = new Answers();
  const files = migrateFiles({
    migrate: (definition) => facade.migrate(definition),
    legacy,
    candidate,
  });
  return { files, legacy, candidate, seen };
}

describe("the file operations", () => {
  it("send every call to the path the flags say", async () => {
    for (const [percentage, path] of [
      [0, "legacy"],
      [100, "candidate"],
    ] as const) {
      const { files, seen, ...managers } = migrated(percentage);
      const call = { key: "user" };
      await files.upload(upload, call);
      await readAll((await files.download({ owner: "me", id: file.id }, call)).body);
      await files.info({ owner: "me", id: file.id }, call);
      await files.list({ owner: "me", limit: 10 }, call);
      await files.delete({ owner: "me", id: file.id }, call);
      expect(managers[path].asked).toEqual(["upload", "download", "info", "list", "delete"]);
      expect(seen.map((each) => [each.operation.name, each.first.kind])).toEqual([
        ["files.upload", "succeeded"],
        ["files.download", "succeeded"],
        ["files.info", "succeeded"],
        ["files.list", "succeeded"],
        ["files.delete", "succeeded"],
      ]);
    }
  });

  it("let legacy take over an upload only where it is proven that nothing was stored", async () => {
    const failure = backendUnavailable({ during: "storing the object", reason: "status 503" });
    for (const effect of ["absent", "possible"] as const) {
      const { files, legacy, candidate } = migrated(100);
      candidate.failure = failure;
      recordEffect(failure, effect);
      const uploaded = files.upload(upload, { key: "user" });
      if (effect === "absent") expect(await uploaded).toEqual(file);
      else await expect(uploaded).rejects.toBe(failure);
      expect(legacy.asked).toEqual(effect === "absent" ? ["upload"] : []);
    }
  });

  it("let legacy answer a read that failed", async () => {
    const { files, candidate } = migrated(100);
    candidate.failure = backendUnavailable({ during: "reading", reason: "ECONNRESET" });
    expect(await files.info({ owner: "me", id: file.id }, { key: "user" })).toEqual(file);
  });

  it("know what may be repeated", () => {
    const operations = fileOperations(new Answers(), new Answers());
    expect(Object.values(operations).map(({ name, kind }) => [name, kind])).toEqual([
      ["files.upload", "write"],
      ["files.download", "read"],
      ["files.info", "read"],
      ["files.list", "read"],
      ["files.delete", "write"],
    ]);
  });
});

describe("what a call costs in memory", () => {
  it("is several times the file on legacy, and the same for every size on the candidate", () => {
    expect(uploadCost(100 * MiB, "none")).toEqual({ legacy: 400 * MiB, candidate: 2 * MiB });
    expect(uploadCost(100 * MiB, "kimi")).toEqual({ legacy: 600 * MiB, candidate: 2 * MiB });
    expect(uploadCost(0, "none").legacy).toBe(MiB);
  });

  it("is known for the download of a file that was seen before", async () => {
    const { download, info } = fileOperations(new Answers(), new Answers());
    const ask = { owner: "me", id: file.id };
    expect(download.cost?.(ask)).toEqual(downloadCost(null));
    await info.legacy(ask, {} as never);
    expect(download.cost?.(ask)).toEqual({ legacy: 80 * MiB, candidate: 2 * MiB });
  });
});
