import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type Changeover, createChangeover } from "../../src/changeover.ts";
import type { MigratedFiles } from "../../src/files/file-service.ts";
import { migrateFiles } from "../../src/files/operations.ts";
import type { UploadRehearsal } from "../../src/files/rehearsal/upload-rehearsal.ts";
import { Spool, type StagedFile } from "../../src/files/spool.ts";
import { type ManualFlags, manualFlags } from "../../src/testing.ts";
import { seededBytes } from "./file-manager-world.ts";
import { RehearsalWorld } from "./rehearsal-world.ts";

const names = ["upload", "download", "info", "list", "delete"].map((name) => `files.${name}`);
const key = { key: "anna" };

let world: RehearsalWorld;
let rehearsal: UploadRehearsal;
let folder: string;
let spool: Spool;
let flags: ManualFlags;
let changeover: Changeover;
let files: MigratedFiles;

beforeAll(async () => {
  world = await RehearsalWorld.open();
  rehearsal = world.rehearsal();
});
afterAll(() => world?.close());

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "changeover-rehearsal-"));
  spool = new Spool({ dir: folder, limitBytes: 64 * 2 ** 20 });
  flags = manualFlags(...names);
  changeover = await createChangeover({ flags });
  files = migrateFiles({
    migrate: (definition) => changeover.migrate(definition),
    ...{ legacy: world.files.legacy(), candidate: world.files.streaming(), rehearsal },
  });
  for (const name of names) await flags.shadow(name, true);
});

afterEach(async () => {
  await changeover.close();
  await spool.close();
  await rm(folder, { recursive: true, force: true });
});

const stage = (seed: string): Promise<StagedFile> => {
  const bytes = seededBytes(`shadow ${seed}`, 600_000);
  return spool.stage(Readable.from([bytes]), { maxBytes: bytes.length });
};

/** What the gateway does: stage, upload, answer, release. */
async function upload(seed: string): Promise<string> {
  const source = await stage(seed);
  try {
    const file = await files.upload(
      {
        ...{ owner: "anna", name: "a.pdf", purpose: "file-extract", provider: "kimi" },
        ...{ mimeType: "application/pdf", metadata: {}, source },
      },
      key,
    );
    return file.id;
  } finally {
    await source.release();
  }
}

const series = async (metric: string): Promise<number> => {
  const line = (await changeover.metrics.text())
    .split("\n")
    .find((each) => each.startsWith(metric));
  return Number(line?.split(" ").at(-1));
};
const runs = (operation: string, result: string): Promise<number> =>
  series(`changeover_shadow_runs_total{operation="${operation}",result="${result}"}`);

describe.each(["legacy", "candidate"] as const)("an upload that %s served", (path) => {
  it("is rehearsed on the other path after its answer, from a file that its owner has released", async () => {
    await flags.force("files.upload", path);
    const requests = await world.files.uploadRequests("kimi");
    const id = await upload(path);
    // The caller has gone on; the staged file waits for the rehearsal.
    expect(spool.files).toBe(1);
    await vi.waitFor(async () => expect(await runs("files.upload", "same")).toBe(1), 10_000);
    await vi.waitFor(() => expect(spool.files).toBe(0), 10_000);
    expect(spool.usedBytes).toBe(0);
    expect(changeover.mismatches()).toEqual([]);
    expect(await world.files.uploadRequests("kimi")).toBe(requests + 1);
    const page = await files.list({ owner: "anna", limit: 100 }, key);
    expect(page.files.filter((file) => file.id === id)).toHaveLength(1);
    expect((await world.inventory()).keys.filter((each) => /^rehearsal/.test(each))).toEqual([]);
    const left = await readdir(folder, { recursive: true });
    expect(left.filter((name) => /[0-9a-f-]{36}$/.test(name))).toEqual([]);
  });
});

describe("a delete", () => {
  it("is never shadowed: it says nothing by which it could be rehearsed", async () => {
    const id = await upload("to delete");
    await vi.waitFor(() => expect(spool.files).toBe(0), 10_000);
    const seen: string[] = [];
    changeover.observations.subscribe(({ operation, decision }) => {
      seen.push(`${operation.name} ${decision.shadow}`);
    });
    expect(await files.delete({ owner: "anna", id }, key)).toEqual({ id, deleted: true });
    expect(seen).toEqual(["files.delete false"]);
  });
});

describe("a mismatch of a read", () => {
  it("is kept with its request, and can be run again on the real paths", async () => {
    const id = await upload("replayed");
    // As if an earlier version had answered wrongly.
    const broken = await createChangeover({ flags });
    const wrong = world.files.streaming();
    const real = wrong.info.bind(wrong);
    let isBroken = true;
    wrong.info = async (...call) => {
      const file = await real(...call);
      return isBroken ? { ...file, name: "b.pdf" } : file;
    };
    const again = migrateFiles({
      migrate: (definition) => broken.migrate(definition),
      ...{ legacy: world.files.legacy(), candidate: wrong },
    });
    await again.info({ owner: "anna", id }, key);
    await vi.waitFor(() => expect(broken.mismatches()).toHaveLength(1), 10_000);
    const [seen] = broken.cases.list();
    expect(seen).toMatchObject({ input: { owner: "anna", id }, inputNote: null });
    const caseId = seen?.id ?? "";
    expect(await broken.cases.replay(caseId)).toMatchObject({
      result: "different",
      differences: [{ path: "name", legacy: '"a.pdf"', candidate: '"b.pdf"' }],
    });
    isBroken = false;
    expect(await broken.cases.replay(caseId.slice(0, 4))).toMatchObject({
      result: "same",
      differences: [],
    });
    await broken.close();
  });
});
