import { randomBytes, randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ContentLock } from "../../../src/files/content-lock.ts";
import type { MigratedFiles } from "../../../src/files/file-service.ts";
import { kimiProfile } from "../../../src/files/providers/profiles.ts";
import { bytesSource } from "../../../src/files/source.ts";
import { readAll, seededBytes, sha256Of } from "../../contract/file-manager-world.ts";
import { signal } from "../fixtures/provider-server.ts";
import { SteadyWorld } from "../fixtures/steady-world.ts";
import { seen } from "./defects.ts";
import { MigratedWorld, requestOf } from "./migrated-world.ts";

const key = { key: "anna" };

describe.each(["legacy", "candidate"] as const)("with every call on %s", (path) => {
  let world: MigratedWorld;
  let processes: readonly MigratedFiles[];
  beforeAll(async () => {
    world = await MigratedWorld.open();
    // Locks of their own, as in three processes: what they share is the backend alone.
    const opened = await Promise.all(
      [new ContentLock(), new ContentLock(), new ContentLock()].map((lock) => {
        const { backends } = world;
        return world.migratedOf(path, backends.legacy(lock), backends.streaming(lock));
      }),
    );
    processes = opened.map(({ files }) => files);
  });
  afterAll(() => world?.close());

  it(`${seen(18)}: references to the same bytes`, async () => {
    const bytes = seededBytes(`counted ${path}`, 30_000);
    const sha256 = sha256Of(bytes);
    const owner = randomUUID();
    const add = (files: MigratedFiles) =>
      files.upload(requestOf(bytesSource(bytes), { owner, provider: "kimi" }), key);
    const before = await Promise.all(processes.map(add));
    // Three more references come while the first three go.
    const [after] = await Promise.all([
      Promise.all(processes.map(add)),
      Promise.all(
        processes.map((files, at) => files.delete({ owner, id: before[at]?.id ?? "" }, key)),
      ),
    ]);
    for (const [at, files] of processes.entries()) {
      const { body } = await files.download({ owner, id: after[at]?.id ?? "" }, key);
      expect(sha256Of(await readAll(body))).toBe(sha256);
    }
    expect(await world.backends.arrived("kimi", sha256)).toHaveLength(1);
    await Promise.all(
      processes.map((files, at) => files.delete({ owner, id: after[at]?.id ?? "" }, key)),
    );
    expect(await world.backends.arrived("kimi", sha256)).toEqual([]);
    expect(await world.backends.objects(sha256)).toEqual([]);
    expect(await world.backends.contents(sha256)).toEqual([]);
  });

  it.each(["a'; DELETE FROM files; --.pdf", 'a"); DROP TABLE contents; --.pdf', "a),or(id.neq.x"])(
    `${seen(18)}: %s`,
    async (text) => {
      const [files] = processes;
      if (files === undefined) throw new Error("There are no processes.");
      const bystander = await files.upload(
        requestOf(bytesSource(seededBytes(`bystander ${path} ${text}`, 100))),
        key,
      );
      const owner = `${text} ${path}`;
      const typed = { owner, name: text, metadata: { note: text } };
      const source = bytesSource(seededBytes(`typed ${path} ${text}`, 100));
      const { id } = await files.upload(requestOf(source, typed), key);
      expect(await files.info({ owner, id }, key)).toMatchObject(typed);
      const listed = await files.list({ owner, limit: 10, purpose: "user-data" }, key);
      expect(listed.files.map((file) => file.id)).toEqual([id]);
      expect((await files.list({ owner, limit: 10, purpose: text }, key)).files).toEqual([]);
      await files.delete({ owner, id }, key);
      const there = { owner: bystander.owner, id: bystander.id };
      expect(await files.info(there, key)).toMatchObject({ sha256: bystander.sha256 });
    },
  );
});

describe("a provider's quota", () => {
  let world: SteadyWorld;
  beforeAll(async () => {
    world = await SteadyWorld.open();
  });
  afterEach(() => world.reset());
  afterAll(() => world?.close());

  it(`${seen(18)}: the room that is left`, async () => {
    const provider = world.provider("kimi", { profile: kimiProfile, quota: { maxFiles: 2 } });
    const uploads = await Promise.all([1, 2, 3, 4, 5].map(() => world.upload(randomBytes(100))));
    const results = await Promise.allSettled(uploads.map((each) => provider.upload(each, signal)));
    const codes = results.map((each) => (each.status === "rejected" ? each.reason.code : "stored"));
    const refused = "FILES_PROVIDER_QUOTA";
    expect(codes.toSorted()).toEqual([refused, refused, refused, "stored", "stored"]);
    expect((await world.report()).files).toHaveLength(2);
  });
});
