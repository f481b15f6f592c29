import { randomUUID } from "node:crypto";
import { createClient } from "@supabase/supabase-js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { VerifiedContent } from "../../src/files/catalog/catalog.ts";
import { SupabaseCatalog } from "../../src/files/catalog/supabase-catalog.ts";
import type { FileManager, ProviderName } from "../../src/files/file-manager.ts";
import { createProvider } from "../../src/files/providers/create-provider.ts";
import { kimiProfile } from "../../src/files/providers/profiles.ts";
import { bytesSource } from "../../src/files/source.ts";
import { objectKey } from "../../src/files/storage/object-key.ts";
import type { ListedObject } from "../../src/files/storage/object-storage.ts";
import { StreamingStorage } from "../../src/files/storage/streaming-storage.ts";
import { SupabaseConnection } from "../../src/files/storage/supabase-connection.ts";
import {
  compareInventory,
  type Finding,
  type FindingKind,
  findingTable,
  type Inventory,
} from "../../src/files/verify/comparison.ts";
import { removeLeftOver } from "../../src/files/verify/repair.ts";
import type { VerifyOptions, VerifyReport } from "../../src/files/verify/verification.ts";
import { verifyOnSupabase } from "../../src/files/verify/verify-on-supabase.ts";
import {
  callOf,
  FileWorld,
  readAll,
  seededBytes,
  sha256Of,
} from "../contract/file-manager-world.ts";

const NOW = Date.parse("2026-11-21T12:00:00.000Z");
const HOUR = 3_600_000;
const rules = { nowMs: NOW, graceMs: 24 * HOUR };
const ago = (hours: number): string => new Date(NOW - hours * HOUR).toISOString();

function content(n: number, more: Partial<VerifiedContent> = {}): VerifiedContent {
  const id = `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
  const key = {
    sha256: n.toString(16).padStart(64, "0"),
    provider: "kimi" as ProviderName,
    purpose: "file-extract",
  };
  const sizeBytes = 100 + n;
  return {
    ...key,
    id,
    storageKey: objectKey(key, id),
    providerFileId: `file-${n}`,
    sizeBytes,
    createdAt: ago(48),
    isUsed: true,
    ...more,
  };
}

/** An inventory in which everything agrees. */
function whole(contents: readonly VerifiedContent[]): Inventory {
  return {
    contents,
    objects: contents.map(({ storageKey, sizeBytes, createdAt }) => ({
      key: storageKey,
      sizeBytes,
      storedAt: createdAt,
    })),
    listings: [
      {
        provider: "kimi",
        purpose: "file-extract",
        files: contents.flatMap(({ providerFileId, sizeBytes, createdAt }) =>
          providerFileId === null
            ? []
            : [
                {
                  id: providerFileId,
                  name: "a.pdf",
                  purpose: "file-extract",
                  sizeBytes,
                  createdAt,
                },
              ],
        ),
      },
    ],
  };
}

const kindsOf = (inventory: Inventory): FindingKind[] =>
  compareInventory(inventory, rules).findings.map(({ kind }) => kind);
const [listing] = whole([]).listings;
const orphan = (storedAt: string, more: Partial<ListedObject> = {}): ListedObject => ({
  key: content(9).storageKey,
  sizeBytes: 5,
  storedAt,
  ...more,
});

describe("comparing an inventory", () => {
  const one = content(1);
  const all = whole([one]);
  const [object] = all.objects;
  const files = all.listings[0]?.files ?? [];
  const withFiles = (list: typeof files): Inventory => ({
    ...all,
    listings: listing === undefined ? [] : [{ ...listing, files: list }],
  });

  it.each<[string, Inventory, FindingKind[]]>([
    ["nothing", whole([]), []],
    ["what agrees", all, []],
    ["a content without its object", { ...all, objects: [] }, ["missing-object"]],
    [
      "an object of another size",
      { ...all, objects: object === undefined ? [] : [{ ...object, sizeBytes: 1 }] },
      ["differing-object"],
    ],
    ["a provider that lost a file", withFiles([]), ["missing-provider-file"]],
    [
      "a provider's file of another size",
      withFiles(files.map((file) => ({ ...file, sizeBytes: 1 }))),
      ["differing-provider-file"],
    ],
    ["a provider that was not asked", { ...all, listings: [] }, []],
    ["an old content without files", whole([content(1, { isUsed: false })]), ["unused-content"]],
    [
      "a young content without files",
      whole([content(1, { isUsed: false, createdAt: ago(1) })]),
      [],
    ],
    [
      "an old object without a row",
      { ...all, objects: [...all.objects, orphan(ago(24))] },
      ["orphaned-object"],
    ],
    ["a young object without a row", { ...all, objects: [...all.objects, orphan(ago(23))] }, []],
    ["an object of unknown age", { ...all, objects: [...all.objects, orphan("")] }, []],
    [
      "an object of somebody else",
      { ...all, objects: [...all.objects, orphan(ago(99), { key: "avatars/me.png" })] },
      [],
    ],
    [
      "an object whose key nearly is ours",
      {
        ...all,
        objects: [...all.objects, orphan(ago(99), { key: `ff${content(9).storageKey}` })],
      },
      [],
    ],
    [
      "an old provider file without a row",
      withFiles([...files, ...(whole([content(2)]).listings[0]?.files ?? [])]),
      ["orphaned-provider-file"],
    ],
    [
      "a content for a provider that has no file there",
      whole([content(1, { providerFileId: null })]),
      ["missing-provider-file"],
    ],
    [
      "several at once, what costs data first",
      {
        ...whole([content(1, { isUsed: false }), content(2)]),
        objects: [orphan(ago(99)), ...whole([content(1)]).objects],
      },
      ["missing-object", "unused-content", "orphaned-object"],
    ],
  ])("finds in %s: %#", (_what, inventory, kinds) => {
    expect(kindsOf(inventory)).toEqual(kinds);
  });

  it("counts what is young and what is foreign", () => {
    const objects = [orphan(ago(1)), orphan(ago(99), { key: "x" })];
    expect(compareInventory({ ...all, objects: [...all.objects, ...objects] }, rules)).toEqual({
      findings: [],
      young: 1,
      foreign: 1,
    });
  });

  it("lets two rows name one object, as backfills under two purposes leave it", () => {
    const one = content(1, { purpose: "user_data", provider: "none", providerFileId: null });
    const other = { ...one, id: content(2).id, purpose: "batch" };
    const inventory = { ...whole([one]), contents: [one, other] };
    expect(compareInventory(inventory, rules)).toEqual({ findings: [], young: 0, foreign: 0 });
  });

  it("calls nothing a left-over that a row names, whatever is taken away", () => {
    const subsets = fc.tuple(
      fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 12 }),
      fc.array(fc.boolean(), { minLength: 41, maxLength: 41 }),
      fc.array(fc.boolean(), { minLength: 41, maxLength: 41 }),
    );
    fc.assert(
      fc.property(subsets, ([numbers, hasRow, hasObject]) => {
        const full = whole(numbers.map((n) => content(n)));
        const rows = full.contents.filter((_, index) => hasRow[index]);
        const objects = full.objects.filter((_, index) => hasObject[index]);
        const { findings } = compareInventory({ ...full, contents: rows, objects }, rules);
        const named = new Set(
          rows.flatMap(({ storageKey, providerFileId }) => [storageKey, providerFileId]),
        );
        const isLeftOver = new Map(findingTable.map((row) => [row.kind, row.isLeftOver]));
        for (const { kind, subject } of findings) {
          expect(isLeftOver.get(kind)).toBe(!named.has(subject));
        }
        const wrong = numbers.filter((_, index) => hasRow[index] !== hasObject[index]).length;
        const about = findings.filter(({ kind }) => kind.endsWith("-object"));
        expect(about).toHaveLength(wrong);
      }),
    );
  });
});

describe("verifying real backends", () => {
  let world: FileWorld;
  let manager: FileManager;
  beforeAll(async () => {
    world = await FileWorld.open();
    manager = world.streaming();
  });
  afterAll(() => world?.close());

  const kimi = () =>
    createProvider({ name: "kimi", ...world.sandbox.addresses.kimi, transport: "streaming" });
  const verify = (options: VerifyOptions = {}): Promise<VerifyReport> =>
    verifyOnSupabase(
      {
        supabase: world.sandbox.addresses.supabase,
        providers: [kimi()],
        profiles: [kimiProfile],
        clock: systemClock,
      },
      { graceMs: 0, ...options },
    );
  const upload = (seed: string, provider: ProviderName = "none") =>
    manager.upload(
      {
        owner: "owner",
        name: "a.pdf",
        purpose: provider === "none" ? "user-data" : "file-extract",
        provider,
        mimeType: "application/pdf",
        source: bytesSource(seededBytes(seed, 5000)),
        metadata: {},
      },
      callOf(),
    );
  const keyOf = async (seed: string): Promise<string> =>
    (await world.objects(sha256Of(seededBytes(seed, 5000))))[0] ?? "";

  it("finds each kind of damage, removes the left-overs and nothing else", async () => {
    const { supabase } = world.sandbox.addresses;
    const client = createClient(supabase.url, supabase.secretKey, {
      auth: { persistSession: false },
    });
    const bucket = client.storage.from(supabase.bucket);
    const sound = await upload("sound", "kimi");
    for (const seed of ["gone", "longer", "other bytes"]) await upload(seed);
    const lost = await upload("lost at the provider", "kimi");
    expect(await verify({ hash: true })).toMatchObject({ ok: true, findings: [], contents: 5 });

    await bucket.remove([await keyOf("gone")]);
    await bucket.update(await keyOf("longer"), Buffer.alloc(6000));
    await bucket.update(await keyOf("other bytes"), Buffer.alloc(5000));
    await bucket.upload("avatars/me.png", Buffer.from("not ours"));
    const provider = kimi();
    const { signal } = new AbortController();
    await provider.remove(lost.providerFileId ?? "", signal);
    const extra = { source: bytesSource(Buffer.from("extra")), name: "b.pdf" };
    const stray = await provider.upload(
      { ...extra, mimeType: "application/pdf", purpose: "file-extract" },
      signal,
    );
    await provider.close();
    const id = randomUUID();
    const unused = content(7, { id, provider: "none", purpose: "user-data", providerFileId: null });
    const key = objectKey(unused, id);
    await client.from("contents").insert({
      id,
      sha256: unused.sha256,
      provider: "none",
      purpose: "user-data",
      storage_key: key,
      size_bytes: 3,
      created_at: ago(48),
    });
    await bucket.upload(key, Buffer.from("abc"));
    const orphaned = objectKey(unused, randomUUID());
    await bucket.upload(orphaned, Buffer.from("abc"));

    const bySize = await verify();
    expect(bySize.counts).toEqual({
      "missing-object": 1,
      "differing-object": 1,
      "unreadable-object": 0,
      "missing-provider-file": 1,
      "differing-provider-file": 0,
      "unused-content": 1,
      "orphaned-object": 1,
      "orphaned-provider-file": 1,
    });
    expect(bySize).toMatchObject({ ok: false, foreign: 1, unchecked: [] });
    const fixed = await verify({ hash: true, fix: true });
    expect(fixed.counts["differing-object"]).toBe(2);
    const removed = fixed.findings.filter(({ result }) => result === "removed");
    expect(removed.map(({ subject }) => subject).toSorted()).toEqual(
      [key, orphaned, stray.id].toSorted(),
    );
    const after = await verify({ hash: true });
    expect(after.findings.map(({ kind }) => kind)).toEqual([
      "missing-object",
      "differing-object",
      "differing-object",
      "missing-provider-file",
    ]);
    expect((await bucket.download("avatars/me.png")).error).toBeNull();
    const { body } = await manager.download({ owner: "owner", id: sound.id }, callOf());
    expect(sha256Of(await readAll(body))).toBe(sound.sha256);
  });

  it("looks again before it removes anything: what has a row by then stays", async () => {
    const { supabase } = world.sandbox.addresses;
    const connection = { clock: systemClock, connections: 2, timeoutMs: 10_000 };
    const places = {
      catalog: new SupabaseCatalog(new SupabaseConnection(supabase, connection)),
      storage: new StreamingStorage(supabase, { clock: systemClock }),
      providers: [kimi()],
    };
    const { signal } = new AbortController();
    const file = await upload("has a row", "kimi");
    const key = await keyOf("has a row");
    const id = key.split("/").at(-1) ?? "";
    const about = { contentId: id, purpose: "file-extract", detail: "", sizeBytes: 5000 };
    const findings: Finding[] = [
      { ...about, kind: "orphaned-object", subject: key, provider: null },
      {
        ...about,
        kind: "orphaned-provider-file",
        subject: file.providerFileId ?? "",
        provider: "kimi",
      },
      { ...about, kind: "unused-content", subject: key, provider: "kimi" },
      { ...about, kind: "missing-object", subject: key, provider: "kimi" },
    ];
    for (const finding of findings) {
      expect(await removeLeftOver(places, finding, signal)).toBe(false);
    }
    const { body } = await manager.download({ owner: "owner", id: file.id }, callOf());
    expect(sha256Of(await readAll(body))).toBe(file.sha256);
    expect(await world.arrived("kimi", file.sha256)).toHaveLength(1);
    await Promise.all([places.catalog.close(), places.storage.close()]);
    await places.providers[0]?.close();
  });

  it("says what it could not look at, and has a limit", async () => {
    const { supabase } = world.sandbox.addresses;
    const setup = { supabase, providers: [], profiles: [], clock: systemClock };
    const report = await verifyOnSupabase(setup, { graceMs: 0 });
    expect(report.ok).toBe(false);
    expect(report.unchecked).toEqual([
      { provider: "kimi", purpose: "file-extract", reason: "it is not set up" },
    ]);
    const without = await verifyOnSupabase({ ...setup, withProviders: false }, { graceMs: 0 });
    expect(without.unchecked).toEqual([]);
    await expect(verify({ itemsMax: 3 })).rejects.toMatchObject({ code: "FILES_VERIFY_TOO_LARGE" });
  });
});
