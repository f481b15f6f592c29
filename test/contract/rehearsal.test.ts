import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StoredFile, UploadRequest } from "../../src/files/file-manager.ts";
import type { UploadRehearsal } from "../../src/files/rehearsal/upload-rehearsal.ts";
import type { FileManagerParts } from "../../src/files/saga/parts.ts";
import { bytesSource } from "../../src/files/source.ts";
import { StreamingFileManager } from "../../src/files/streaming/streaming-file-manager.ts";
import type { Path } from "../../src/migration/call.ts";
import { callOf, seededBytes } from "./file-manager-world.ts";
import { ahead, RehearsalWorld, visible } from "./rehearsal-world.ts";

let world: RehearsalWorld;
let rehearsal: UploadRehearsal;

beforeAll(async () => {
  world = await RehearsalWorld.open();
  rehearsal = world.rehearsal();
});
afterAll(() => world?.close());

const purposes = { none: "user_data", kimi: "file-extract", glm: "agent" } as const;
const paths: readonly Path[] = ["legacy", "candidate"];
const minutes = 60_000;

function request(seed: string, more: Partial<UploadRequest> = {}): UploadRequest {
  const { provider = "kimi" } = more;
  return {
    ...{ owner: "anna", name: "Bericht „2“ 📄.pdf", purpose: purposes[provider], provider },
    ...{ mimeType: "application/pdf", metadata: { project: "x" } },
    source: bytesSource(seededBytes(`rehearsal ${seed}`, 700_001)),
    ...more,
  };
}

const shadowOf = (path: Path, signal = new AbortController().signal) =>
  callOf({ path, source: "shadow", signal });

async function rehearse(upload: UploadRequest, path: Path, by = rehearsal): Promise<unknown> {
  const scope = by.open(upload, shadowOf(path));
  try {
    return await scope.run();
  } finally {
    await scope.close();
  }
}

describe("a rehearsed upload", () => {
  const cases = paths.flatMap((path) =>
    (["none", "kimi", "glm"] as const).map((provider) => [path, provider] as const),
  );

  it.each(cases)(
    "of %s to %s comes to what the caller was told, and leaves nothing anywhere",
    async (path, provider) => {
      const upload = request(`${path} ${provider}`, { provider });
      const served = path === "legacy" ? world.files.streaming() : world.files.legacy();
      const file = await served.upload(upload, callOf());
      const before = await world.inventory();
      expect(await rehearse(upload, path)).toEqual(rehearsal.expected(file));
      expect(await world.inventory()).toEqual(before);
    },
  );

  it.each(paths)(
    "of %s is found by no owner while it is there, and is listed below its prefix only",
    async (path) => {
      const upload = request(`hidden ${path}`, { owner: randomUUID() });
      const before = await world.inventory();
      const scope = rehearsal.open(upload, shadowOf(path));
      await scope.run();
      const during = await world.inventory();
      const isNew = (id: string): boolean => !before.ids.includes(id);
      expect(during.ids.filter(isNew)).toHaveLength(1);
      // It really is there: a row of each table and an object, all of them in the scope.
      expect(during.owners).toHaveLength(before.owners.length + 1);
      expect(during.purposes).toHaveLength(before.purposes.length + 1);
      expect(during.keys).toHaveLength(before.keys.length + 1);
      expect({ ...visible(during), ids: before.ids }).toEqual(before);
      const manager = world.files.streaming();
      const page = await manager.list({ owner: upload.owner, limit: 100 }, callOf());
      expect(page.files).toEqual([]);
      for (const owner of [upload.owner, "anna", "local"]) {
        const asked = manager.info({ owner, id: during.ids.find(isNew) ?? "" }, callOf());
        await expect(asked).rejects.toMatchObject({ code: "FILES_NOT_FOUND" });
      }
      // What the keys file accepts as an owner can never be the owner of a rehearsal.
      const hidden = during.owners.filter((owner) => !before.owners.includes(owner));
      for (const owner of hidden) expect(owner).not.toMatch(/^[A-Za-z0-9._@-]{1,100}$/);
      await scope.close();
      expect(await world.inventory()).toEqual(before);
    },
  );

  it.each(paths)("of %s is not taken for the content of a real upload", async (path) => {
    const upload = request(`apart ${path}`);
    const scope = rehearsal.open(upload, shadowOf(path));
    await scope.run();
    const manager = world.files.streaming();
    const file = await manager.upload(upload, callOf());
    await scope.close();
    const { body } = await manager.download({ owner: "anna", id: file.id }, callOf());
    let bytes = 0;
    for await (const chunk of body) bytes += (chunk as Buffer).length;
    expect(bytes).toBe(700_001);
    expect(file.providerFileId).not.toMatch(/rehearsal/);
  });

  it("does not tell the caller's progress bar", async () => {
    let told = 0;
    await rehearse(request("quiet", { progress: () => (told += 1) }), "candidate");
    expect(told).toBe(0);
  });

  it("that is aborted in the middle leaves nothing", async () => {
    const before = await world.inventory();
    const caller = new AbortController();
    const scope = rehearsal.open(request("aborted"), shadowOf("candidate", caller.signal));
    const run = scope.run() as Promise<unknown>;
    setImmediate(() => caller.abort(new Error("given up")));
    await expect(run).rejects.toThrow("given up");
    await scope.close();
    expect(await world.inventory()).toEqual(before);
  });

  it("of a file that the caller has changed since says nothing about the path", async () => {
    const source = bytesSource(seededBytes("changed", 1000));
    const gone = Object.assign(new Error("gone"), { code: "FILES_SOURCE_CHANGED" });
    source.open = () => {
      throw gone;
    };
    source.verifyUnchanged = () => Promise.reject(gone);
    await expect(rehearse(request("x", { source }), "candidate")).rejects.toMatchObject({
      code: "MIGRATION_REHEARSAL_VOID",
    });
  });
});

describe("a candidate that is wrong", () => {
  type Upload = (upload: UploadRequest, parts: FileManagerParts) => Partial<UploadRequest>;
  const wrongly = (change: Upload): UploadRehearsal =>
    world.rehearsal({
      candidate: (parts) => {
        const inner = new StreamingFileManager(parts);
        const wrong = Object.create(inner) as StreamingFileManager;
        wrong.upload = (upload, call) =>
          inner.upload({ ...upload, ...change(upload, parts) }, call);
        return wrong;
      },
    });

  it.each([
    ["sends other bytes", { source: bytesSource(seededBytes("other", 700_001)) }],
    ["sends fewer bytes", { source: bytesSource(seededBytes("fewer", 700_000)) }],
    ["forgets the metadata", { metadata: {} }],
    ["uses another type", { mimeType: "text/plain" }],
    ["leaves the provider out", { provider: "none" }],
    ["stores it for somebody else", { owner: "eve" }],
  ] as const)("and %s is seen to differ", async (_, change) => {
    const upload = request("wrong");
    const file = await world.files.legacy().upload(upload, callOf());
    const came = await rehearse(
      upload,
      "candidate",
      wrongly(() => change),
    );
    expect(came).not.toEqual(rehearsal.expected(file));
  });
});

describe("a process that is killed in the middle of a rehearsal", () => {
  it.each(["object", "rows"] as const)(
    "with its %s stored leaves what the sweep removes later, and only that",
    async (until) => {
      const before = await world.inventory();
      await world.killInTheMiddle(until);
      const left = await world.inventory();
      expect(left.keys.length).toBe(before.keys.length + 1);
      expect(left.owners.length).toBe(before.owners.length + (until === "rows" ? 1 : 0));
      // No user sees any of it, and no provider has heard of it.
      expect({ ...visible(left), ids: before.ids }).toEqual(before);

      // It may still be going on, for all that another process can know.
      const signal = new AbortController().signal;
      expect(await rehearsal.sweep(signal)).toBe(0);
      expect(await world.inventory()).toEqual(left);

      const later = world.rehearsal({ clock: ahead(6 * minutes) });
      expect(await later.sweep(signal)).toBe(1);
      expect(await world.inventory()).toEqual(before);
    },
  );

  it("does not hide rows whose object is gone from a process that starts", async () => {
    const before = await world.inventory();
    await world.killInTheMiddle("rows");
    const left = await world.inventory();
    await world.removeObjects(left.keys.filter((each) => !before.keys.includes(each)));
    const later = world.rehearsal({ clock: ahead(6 * minutes) });
    expect(await later.sweep(new AbortController().signal)).toBe(1);
    expect(await world.inventory()).toEqual(before);
  });

  it("does not make the sweep touch a rehearsal of its own process, however old", async () => {
    const slow = world.rehearsal({ staleMs: 0 });
    const scope = slow.open(request("slow"), shadowOf("candidate"));
    await scope.run();
    const during = await world.inventory();
    expect(await slow.sweep(new AbortController().signal)).toBe(0);
    expect(await world.inventory()).toEqual(during);
    await scope.close();
  });
});

describe("closing", () => {
  it("breaks off what is rehearsed, cleans up first, and takes nothing more", async () => {
    const before = await world.inventory();
    const closing = world.rehearsal();
    const scope = closing.open(request("closing"), shadowOf("legacy"));
    const run = (scope.run() as Promise<StoredFile>).then(
      () => "ran",
      (error: unknown) => (error as { code?: string }).code,
    );
    const closed = closing.close();
    await scope.close();
    await closed;
    expect(await run).toBe("MIGRATION_REHEARSAL_VOID");
    expect(closing.active).toBe(0);
    expect(await world.inventory()).toEqual(before);
    expect(() => closing.open(request("late"), shadowOf("legacy"))).toThrow("shutting down");
  });
});
