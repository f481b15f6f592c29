import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { LogFields } from "../../src/base/logger.ts";
import { silentLogger } from "../../src/base/logger.ts";
import type { Catalog } from "../../src/files/catalog/catalog.ts";
import { SupabaseCatalog } from "../../src/files/catalog/supabase-catalog.ts";
import { ContentLock } from "../../src/files/content-lock.ts";
import { backendUnavailable } from "../../src/files/errors.ts";
import type { FileManager, UploadRequest } from "../../src/files/file-manager.ts";
import { createProvider } from "../../src/files/providers/create-provider.ts";
import { effectOf } from "../../src/files/saga/write-effect.ts";
import { bytesSource } from "../../src/files/source.ts";
import type { ObjectStorage } from "../../src/files/storage/object-storage.ts";
import { StreamingStorage } from "../../src/files/storage/streaming-storage.ts";
import { SupabaseConnection } from "../../src/files/storage/supabase-connection.ts";
import { StreamingFileManager } from "../../src/files/streaming/streaming-file-manager.ts";
import { callOf, FileWorld, readAll, seededBytes, sha256Of } from "./file-manager-world.ts";

/** A real catalog and a real storage of which a test replaces single methods. */
interface Subject {
  readonly manager: FileManager;
  readonly errors: LogFields[];
}

let world: FileWorld;

beforeAll(async () => {
  world = await FileWorld.open();
});
afterAll(() => world?.close());

function subject(
  replace: (real: { catalog: Catalog; storage: ObjectStorage }) => {
    readonly catalog?: Partial<Catalog>;
    readonly storage?: Partial<ObjectStorage>;
  },
): Subject {
  const { supabase, kimi } = world.sandbox.addresses;
  const options = { clock: systemClock, connections: 4, timeoutMs: 10_000 };
  const real = {
    catalog: new SupabaseCatalog(new SupabaseConnection(supabase, options)),
    storage: new StreamingStorage(supabase, { clock: systemClock }),
  };
  const replaced = replace(real);
  const errors: LogFields[] = [];
  const manager = new StreamingFileManager({
    catalog: over(real.catalog, replaced.catalog ?? {}),
    storage: over(real.storage, replaced.storage ?? {}),
    providers: [createProvider({ name: "kimi", ...kimi, transport: "streaming" })],
    lock: new ContentLock(),
    clock: systemClock,
    logger: { ...silentLogger, error: (fields) => void errors.push(fields) },
  });
  return { manager, errors };
}

function over<T extends object>(real: T, replaced: Partial<T>): T {
  return new Proxy(real, {
    get: (target, name) => {
      const own: unknown = Reflect.get(replaced, name);
      const value: unknown = own ?? Reflect.get(target, name);
      return typeof value === "function" && own === undefined ? value.bind(target) : value;
    },
  });
}

const request = (bytes: Buffer, owner: string = randomUUID()): UploadRequest => ({
  owner,
  name: "a.pdf",
  purpose: "file-extract",
  provider: "kimi",
  mimeType: "application/pdf",
  source: bytesSource(bytes),
  metadata: {},
});
const lostAnswer = () => backendUnavailable({ during: "a test", reason: "ECONNRESET" });
const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "it succeeded",
    (error: unknown) => error,
  );

async function left(bytes: Buffer): Promise<Readonly<Record<string, number>>> {
  const sha256 = sha256Of(bytes);
  return {
    contents: (await world.contents(sha256)).length,
    objects: (await world.objects(sha256)).length,
    provider: (await world.arrived("kimi", sha256)).length,
  };
}

const nothing = { contents: 0, objects: 0, provider: 0 };

describe("an upload", () => {
  it("starts over when another process removes the content it was about to point at", async () => {
    const bytes = seededBytes("removed in between", 100_000);
    const other = world.streaming(new ContentLock());
    const first = await other.upload(request(bytes), callOf());
    let isFirst = true;
    const { manager, errors } = subject(({ catalog }) => ({
      catalog: {
        addFile: async (entry, signal) => {
          if (isFirst) await other.delete({ owner: first.owner, id: first.id }, callOf());
          isFirst = false;
          return catalog.addFile(entry, signal);
        },
      },
    }));
    const file = await manager.upload(request(bytes), callOf());
    const { body } = await manager.download({ owner: file.owner, id: file.id }, callOf());
    expect(sha256Of(await readAll(body))).toBe(sha256Of(bytes));
    expect(await left(bytes)).toEqual({ contents: 1, objects: 1, provider: 1 });
    expect(errors).toEqual([]);
    await manager.close();
  });

  it.each(["addContent", "addFile"] as const)(
    "whose row was written (%s) but never acknowledged leaves nothing",
    async (method) => {
      const bytes = seededBytes(`unacknowledged ${method}`, 100_000);
      const upload = request(bytes);
      const lost = lostAnswer();
      const { manager, errors } = subject(({ catalog }) => ({
        catalog: {
          [method]: async (row: never, signal: AbortSignal) => {
            await catalog[method](row, signal);
            throw lost;
          },
        },
      }));
      const error = await failureOf(manager.upload(upload, callOf()));
      expect(error).toBe(lost);
      expect(effectOf(error)).toBe("absent");
      expect(await left(bytes)).toEqual(nothing);
      expect(await world.files(upload.owner)).toEqual([]);
      expect(errors).toEqual([]);
      await manager.close();
    },
  );

  it("adds its file's row while its content's is still being answered", async () => {
    const bytes = seededBytes("both rows", 100_000);
    const asked = Promise.withResolvers<void>();
    const { manager, errors } = subject(({ catalog }) => ({
      catalog: {
        addContent: async (content, signal) => {
          const row = await catalog.addContent(content, signal);
          await asked.promise;
          return row;
        },
        addFile: (entry, signal) => {
          asked.resolve();
          return catalog.addFile(entry, signal);
        },
      },
    }));
    const upload = request(bytes);
    const { id } = await manager.upload(upload, callOf());
    expect((await world.files(upload.owner)).map((each) => each["id"])).toEqual([id]);
    expect(await left(bytes)).toEqual({ contents: 1, objects: 1, provider: 1 });
    expect(errors).toEqual([]);
    await manager.close();
  });

  it.each([false, true])(
    "whose file's row is there before its content's adds it again (another was first: %s)",
    async (isOtherFirst) => {
      const bytes = seededBytes(`too early ${isOtherFirst}`, 100_000);
      const other = world.streaming(new ContentLock());
      const refused = Promise.withResolvers<void>();
      const answers: boolean[] = [];
      const { manager, errors } = subject(({ catalog }) => ({
        catalog: {
          addContent: async (content, signal) => {
            await refused.promise;
            if (isOtherFirst) await other.upload(request(bytes), callOf());
            return catalog.addContent(content, signal);
          },
          addFile: async (entry, signal) => {
            answers.push(await catalog.addFile(entry, signal));
            refused.resolve();
            return answers.at(-1) === true;
          },
        },
      }));
      const upload = request(bytes);
      const { id } = await manager.upload(upload, callOf());
      expect(answers).toEqual([false, true]);
      expect((await world.files(upload.owner)).map((each) => each["id"])).toEqual([id]);
      expect(await left(bytes)).toEqual({ contents: 1, objects: 1, provider: 1 });
      expect(errors).toEqual([]);
      await manager.close();
    },
  );

  it("keeps the bytes while a row that points at them may still appear, and says so", async () => {
    const bytes = seededBytes("may appear", 100_000);
    const { manager, errors } = subject(() => ({
      catalog: { addContent: () => Promise.reject(lostAnswer()) },
    }));
    const error = await failureOf(manager.upload(request(bytes), callOf()));
    expect(effectOf(error)).toBe("possible");
    expect(await left(bytes)).toEqual({ contents: 0, objects: 1, provider: 1 });
    const [{ left: named } = { left: [] }] = errors;
    const kinds = (named as readonly string[]).map((each) => each.split(" ")[0]);
    expect(kinds.toSorted()).toEqual(["content", "file", "object"]);
    await manager.close();
  });

  it("whose object cannot be stored removes its file from the provider", async () => {
    const bytes = seededBytes("no object", 100_000);
    const { manager, errors } = subject(() => ({
      storage: { put: () => Promise.reject(lostAnswer()) },
    }));
    const error = await failureOf(manager.upload(request(bytes), callOf()));
    expect(error).toMatchObject({ code: "FILES_BACKEND_UNAVAILABLE" });
    expect(effectOf(error)).toBe("absent");
    expect(await left(bytes)).toEqual(nothing);
    expect(errors).toEqual([]);
    await manager.close();
  });

  it.each([
    ["shorter", { sizeBytes: 99_999, md5: null }],
    ["different", { sizeBytes: 100_000, md5: "0".repeat(32) }],
    ["missing", null],
  ])("whose object turns out %s is taken back", async (title, facts) => {
    const bytes = seededBytes(`stored ${title}`, 100_000);
    const { manager, errors } = subject(() => ({ storage: { head: async () => facts } }));
    const error = await failureOf(manager.upload(request(bytes), callOf()));
    expect(error).toMatchObject({ code: "FILES_INTEGRITY" });
    expect(await left(bytes)).toEqual(nothing);
    expect(errors).toEqual([]);
    await manager.close();
  });

  it("is content with the size where a store's ETag is no MD5", async () => {
    const bytes = seededBytes("no md5", 100_000);
    const { manager } = subject(() => ({
      storage: { head: async () => ({ sizeBytes: 100_000, md5: null }) },
    }));
    await manager.upload(request(bytes), callOf());
    expect(await left(bytes)).toEqual({ contents: 1, objects: 1, provider: 1 });
    await manager.close();
  });
});

describe("a download", () => {
  it("of a file whose object is gone says so, unless the file is gone too", async () => {
    const bytes = seededBytes("object gone", 1000);
    const { manager } = subject(() => ({ storage: { get: async () => null } }));
    const { owner, id } = await manager.upload(request(bytes), callOf());
    await expect(manager.download({ owner, id }, callOf())).rejects.toMatchObject({
      code: "FILES_INTEGRITY",
    });
    const { manager: late } = subject(() => ({
      storage: {
        get: async () => {
          await manager.delete({ owner, id }, callOf());
          return null;
        },
      },
    }));
    await expect(late.download({ owner, id }, callOf())).rejects.toMatchObject({
      code: "FILES_NOT_FOUND",
    });
    await Promise.all([manager.close(), late.close()]);
  });
});

describe("two processes", () => {
  it("that upload and delete the same bytes at once never leave a file without its bytes", async () => {
    const bytes = seededBytes("tug of war", 20_000);
    const pairs = [world.streaming(new ContentLock()), world.legacy(new ContentLock())] as const;
    const owner = randomUUID();
    const kept: string[] = [];
    await Promise.all(
      pairs.map(async (manager) => {
        for (let round = 0; round < 10; round += 1) {
          const { id } = await manager.upload(request(bytes, owner), callOf());
          const { body } = await manager.download({ owner, id }, callOf());
          expect(sha256Of(await readAll(body))).toBe(sha256Of(bytes));
          if (round === 9) kept.push(id);
          else await manager.delete({ owner, id }, callOf());
        }
      }),
    );
    for (const id of kept) {
      const { body } = await pairs[0].download({ owner, id }, callOf());
      expect(sha256Of(await readAll(body))).toBe(sha256Of(bytes));
    }
    expect(await left(bytes)).toEqual({ contents: 1, objects: 1, provider: 1 });
    expect(world.complaints).toEqual([]);
  });
});
