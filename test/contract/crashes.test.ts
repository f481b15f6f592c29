import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { FileManager } from "../../src/files/file-manager.ts";
import { createProvider } from "../../src/files/providers/create-provider.ts";
import { bytesSource } from "../../src/files/source.ts";
import type { VerifyOptions, VerifyReport } from "../../src/files/verify/verification.ts";
import { verifyOnSupabase } from "../../src/files/verify/verify-on-supabase.ts";
import { callOf, FileWorld, readAll, seededBytes, sha256Of } from "./file-manager-world.ts";
import type { DyingOrder } from "./programs/dying-process.ts";

const program = fileURLToPath(new URL("./programs/dying-process.ts", import.meta.url));
let world: FileWorld;
let manager: FileManager;
let folder: string;

beforeAll(async () => {
  world = await FileWorld.open();
  manager = world.streaming();
  folder = await mkdtemp(join(tmpdir(), "changeover-crashes-"));
});
afterAll(async () => {
  await world?.close();
  await rm(folder, { recursive: true });
});

interface Death {
  readonly killedBy: NodeJS.Signals | null;
  /** What the process was told is stored, before it died. */
  readonly acknowledged: readonly { readonly seed: string; readonly id: string }[];
}

function run(order: Omit<DyingOrder, "addresses">, killAfter: number | null = null) {
  const { addresses } = world.sandbox;
  const child = fork(program, [JSON.stringify({ ...order, addresses })], { stdio: "inherit" });
  const acknowledged: { seed: string; id: string }[] = [];
  child.on("message", (message) => {
    acknowledged.push(message as { seed: string; id: string });
    if (acknowledged.length === killAfter) child.kill("SIGKILL");
  });
  return new Promise<Death>((resolve) => {
    child.once("exit", (_code, killedBy) => resolve({ killedBy, acknowledged }));
  });
}

function verify(options: VerifyOptions): Promise<VerifyReport> {
  const { supabase, kimi } = world.sandbox.addresses;
  return verifyOnSupabase(
    {
      supabase,
      providers: [createProvider({ name: "kimi", ...kimi, transport: "streaming" })],
      profiles: [],
      clock: systemClock,
    },
    { graceMs: 0, ...options },
  );
}

async function expectWhole(by: FileManager, owner: string, id: string, bytes: Buffer) {
  const { body } = await by.download({ owner, id }, callOf());
  expect(sha256Of(await readAll(body))).toBe(sha256Of(bytes));
}

async function left(bytes: Buffer): Promise<readonly number[]> {
  const sha256 = sha256Of(bytes);
  const contents = await world.contents(sha256);
  const objects = await world.objects(sha256);
  const arrived = await world.arrived("kimi", sha256);
  return [contents.length, objects.length, arrived.length];
}

const upload = (owner: string, seed: string, bytes: Buffer) =>
  manager.upload(
    {
      owner,
      name: `${seed}.pdf`,
      purpose: "file-extract",
      provider: "kimi",
      mimeType: "application/pdf",
      source: bytesSource(bytes),
      metadata: {},
    },
    callOf(),
  );

const SIZE = 700_000;
const moments = ["before", "after"] as const;
const uploadSteps = [
  "storage.put",
  "resumable.put",
  "provider.upload",
  "catalog.addContent",
  "catalog.addFile",
];
const deleteSteps = [
  "catalog.removeFile",
  "catalog.removeContent",
  "provider.remove",
  "storage.remove",
];
const both = (steps: readonly string[]) =>
  steps.flatMap((step) => moments.map((moment) => [moment, step] as const));

describe("a process that is killed while it uploads", () => {
  it.each(both(uploadSteps))("%s %s loses and doubles nothing", async (moment, diesAt) => {
    const seed = `crash ${moment} ${diesAt}`;
    const [owner, bystander] = [randomUUID(), randomUUID()];
    const [bytes, others] = [seededBytes(seed, SIZE), seededBytes(`other ${seed}`, 10_000)];
    const kept = await upload(bystander, "kept", others);
    const partials = diesAt === "resumable.put" ? join(folder, randomUUID()) : null;
    const work = { kind: "upload", seeds: [seed], sizeBytes: SIZE } as const;
    const death = await run({ owner, work, diesAt, moment, partials });
    expect(death).toEqual({ killedBy: "SIGKILL", acknowledged: [] });

    // What is there is whole, or is not there at all.
    const { files } = await manager.list({ owner, limit: 10 }, callOf());
    for (const file of files) await expectWhole(manager, owner, file.id, bytes);
    const isWritten = diesAt === "catalog.addFile" && moment === "after";
    // The file's row may follow its content's before that one is answered.
    const mayBe = diesAt === "catalog.addContent" && moment === "after" ? [0, 1] : [];
    expect(isWritten ? [1] : [0, ...mayBe]).toContain(files.length);
    const found = await verify({});
    expect(found.findings.every(({ isLeftOver }) => isLeftOver)).toBe(true);

    expect(await verify({ fix: true })).toMatchObject({ ok: true });
    expect(await verify({ hash: true })).toMatchObject({ ok: true, findings: [] });
    expect(await left(bytes)).toEqual(files.length === 1 ? [1, 1, 1] : [0, 0, 0]);
    await expectWhole(manager, bystander, kept.id, others);

    const again = await upload(owner, seed, bytes);
    await expectWhole(manager, owner, again.id, bytes);
    expect(await left(bytes)).toEqual([1, 1, 1]);
  });
});

describe("a process that is killed while it deletes", () => {
  it.each(both(deleteSteps))("%s %s leaves the file whole or gone", async (moment, diesAt) => {
    const seed = `delete ${moment} ${diesAt}`;
    const owner = randomUUID();
    const bytes = seededBytes(seed, SIZE);
    const { id } = await upload(owner, seed, bytes);
    const work = { kind: "delete", id } as const;
    const death = await run({ owner, work, diesAt, moment, partials: null });
    expect(death.killedBy).toBe("SIGKILL");

    const isThere = diesAt === "catalog.removeFile" && moment === "before";
    const { files } = await manager.list({ owner, limit: 10 }, callOf());
    expect(files.map((file) => file.id)).toEqual(isThere ? [id] : []);
    if (isThere) await expectWhole(manager, owner, id, bytes);
    expect(await verify({ fix: true })).toMatchObject({ ok: true });
    expect(await left(bytes)).toEqual(isThere ? [1, 1, 1] : [0, 0, 0]);
    expect(await verify({})).toMatchObject({ ok: true, findings: [] });
  });
});

describe("a process that is killed at any moment of many uploads", () => {
  it.each([2, 9])("(after %i answers) has kept every file it answered for", async (after) => {
    const owner = randomUUID();
    const seeds = Array.from({ length: 20 }, (_, index) => `many ${after} ${index}`);
    const partials = join(folder, randomUUID());
    const order = { owner, diesAt: null, moment: "before", partials } as const;
    const work = { kind: "upload", seeds, sizeBytes: SIZE } as const;
    const { killedBy, acknowledged } = await run({ ...order, work }, after);
    expect(killedBy).toBe("SIGKILL");
    expect(acknowledged.length).toBeGreaterThanOrEqual(after);
    const found = await verify({ hash: true });
    expect(found.findings.filter(({ isLeftOver }) => !isLeftOver)).toEqual([]);
    expect(await verify({ fix: true })).toMatchObject({ ok: true });
    for (const { seed, id } of acknowledged) {
      await expectWhole(manager, owner, id, seededBytes(seed, SIZE));
    }
    const rest = seeds.filter((seed) => !acknowledged.some((each) => each.seed === seed));
    const next = await run({ ...order, work: { ...work, seeds: rest } });
    expect(next.acknowledged).toHaveLength(rest.length);
    for (const seed of seeds) expect(await left(seededBytes(seed, SIZE))).toEqual([1, 1, 1]);
    expect(await verify({ hash: true })).toMatchObject({ ok: true, findings: [] });
  });
});
