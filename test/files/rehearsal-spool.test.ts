import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Spool, type StagedFile } from "../../src/files/spool.ts";

let dir: string;
let spool: Spool;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "changeover-spool-"));
  spool = new Spool({ dir, limitBytes: 1000 });
});
afterEach(async () => {
  await spool.close();
  await rm(dir, { recursive: true, force: true });
});

const stage = (): Promise<StagedFile> =>
  spool.stage(Readable.from([Buffer.from("bytes")]), { maxBytes: 100 });
const isThere = (file: StagedFile): Promise<boolean> =>
  stat(file.path).then(
    () => true,
    () => false,
  );

describe("a staged file that is retained", () => {
  it("outlives its owner's release, with its room, until everybody has let it go", async () => {
    const file = await stage();
    const first = file.retain();
    const second = file.retain();
    await file.release();
    expect([await isThere(file), spool.files, spool.usedBytes]).toEqual([true, 1, 5]);
    expect(await file.open().toArray()).toEqual([Buffer.from("bytes")]);
    await file.verifyUnchanged();
    first();
    first();
    expect(await isThere(file)).toBe(true);
    second();
    await vi.waitFor(() => expect(spool.files).toBe(0));
    expect([await isThere(file), spool.usedBytes]).toEqual([false, 0]);
  });

  it("stays for its owner when everybody else has let it go", async () => {
    const file = await stage();
    file.retain()();
    expect([await isThere(file), spool.files]).toEqual([true, 1]);
    await file.release();
    expect([await isThere(file), spool.files]).toEqual([false, 0]);
  });

  it("cannot be retained once it is gone", async () => {
    const file = await stage();
    await file.release();
    expect(() => file.retain()).toThrow("changed while it was being read");
    expect(spool.files).toBe(0);
  });
});
