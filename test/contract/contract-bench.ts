import { randomUUID } from "node:crypto";
import { afterEach, beforeAll, expect } from "vitest";
import type { ContentLock } from "../../src/files/content-lock.ts";
import type {
  FileManager,
  FileSource,
  ProviderName,
  StoredFile,
  UploadRequest,
} from "../../src/files/file-manager.ts";
import { bytesSource } from "../../src/files/source.ts";
import { callOf, type FileWorld, readAll, seededBytes, sha256Of } from "./file-manager-world.ts";

/** What the suites work on; asked for once all backends run. */
export interface ContractSubject {
  readonly world: FileWorld;
  readonly manager: FileManager;
  /** The other implementation, on the same backends and with the same lock. */
  readonly other: FileManager;
  /** The same implementation as in another process: with a lock of its own. */
  readonly elsewhere: (lock: ContentLock) => FileManager;
}

const purposes: Readonly<Record<ProviderName, string>> = {
  none: "user-data",
  kimi: "file-extract",
  glm: "agent",
};

/** The subject of a suite, and short words for what its tests do all the time. */
export class ContractBench {
  readonly #name: string;
  #subject: ContractSubject | undefined;

  /** Call inside `describe`. After each test no fault is set, and nobody may have complained. */
  constructor(name: string, make: () => ContractSubject) {
    this.#name = name;
    beforeAll(() => {
      this.#subject = make();
    });
    afterEach(async () => {
      const { world } = this.subject;
      await Promise.all([world.fault("kimi", null), world.fault("glm", null)]);
      expect(world.complaints.splice(0)).toEqual([]);
    });
  }

  get subject(): ContractSubject {
    if (this.#subject === undefined) throw new Error("The backends do not run yet.");
    return this.#subject;
  }

  get manager(): FileManager {
    return this.subject.manager;
  }

  get world(): FileWorld {
    return this.subject.world;
  }

  /** Bytes that no other suite or seed has. */
  bytes(seed: string, sizeBytes: number): Buffer {
    return seededBytes(`${this.#name} ${seed}`, sizeBytes);
  }

  request(source: FileSource, more: Partial<UploadRequest> = {}): UploadRequest {
    return {
      owner: randomUUID(),
      name: "a.pdf",
      purpose: purposes[more.provider ?? "none"],
      provider: "none",
      mimeType: "application/pdf",
      source,
      metadata: {},
      ...more,
    };
  }

  upload(bytes: Buffer, more: Partial<UploadRequest> = {}): Promise<StoredFile> {
    return this.manager.upload(this.request(bytesSource(bytes), more), callOf());
  }

  async download(file: StoredFile, by: FileManager = this.manager): Promise<Buffer> {
    const { body } = await by.download({ owner: file.owner, id: file.id }, callOf());
    return readAll(body);
  }
}

/** Compares by hash: a difference of megabytes is nothing to print. */
export function expectSame(actual: Buffer, expected: Buffer): void {
  expect({ bytes: actual.length, sha256: sha256Of(actual) }).toEqual({
    bytes: expected.length,
    sha256: sha256Of(expected),
  });
}
