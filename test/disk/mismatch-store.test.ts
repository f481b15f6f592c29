import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { FileMismatchStore, type FileMismatchStoreOptions } from "../../src/disk/mismatch-store.ts";

let folder: string;
let reported: unknown[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "changeover-mismatches-"));
  reported = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (more: Partial<FileMismatchStoreOptions> = {}): FileMismatchStore =>
  new FileMismatchStore({
    folder,
    clock: systemClock,
    report: (_, error) => reported.push(error),
    ...more,
  });

const idOf = (n: number): string => n.toString(16).padStart(12, "0");
const add = (store: FileMismatchStore, id: string): Promise<void> =>
  store.update(id, (kept) => ({ id, count: ((kept as { count?: number })?.count ?? 0) + 1 }));

describe("mismatches on disk", () => {
  it("are there again after a restart, one file for each, readable by their owner only", async () => {
    expect(await open().load()).toEqual([]);
    await add(open(), idOf(1));
    await add(open(), idOf(2));
    expect(await open().load()).toEqual([
      { id: idOf(1), count: 1 },
      { id: idOf(2), count: 1 },
    ]);
    const path = join(folder, "mismatches", `${idOf(1)}.json`);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await open().remove(idOf(1));
    await open().remove(idOf(1));
    expect(await open().load()).toHaveLength(1);
  });

  it("lose no count when several processes write the same one", async () => {
    const stores = [open(), open(), open()];
    await Promise.all(Array.from({ length: 30 }, (_, n) => add(stores[n % 3] ?? open(), idOf(1))));
    expect(await open().load()).toEqual([{ id: idOf(1), count: 30 }]);
  });

  it("that cannot be read are reported and do not hide the others", async () => {
    await add(open(), idOf(1));
    await writeFile(join(folder, "mismatches", `${idOf(2)}.json`), "{ torn");
    await writeFile(join(folder, "mismatches", "note.txt"), "mine");
    expect(await open().load()).toEqual([{ id: idOf(1), count: 1 }]);
    expect(reported).toHaveLength(1);
    // Seen again, it is written anew.
    await add(open(), idOf(2));
    expect(await open().load()).toHaveLength(2);
  });

  it("never take more than so many bytes each and so many files", async () => {
    const store = open({ caseBytesMax: 1000, casesMax: 3 });
    await add(store, idOf(9));
    const large = store.update(idOf(9), () => ({ text: "x".repeat(1000) }));
    await expect(large).rejects.toMatchObject({ code: "DISK_CASE_TOO_LARGE" });
    expect(await store.load()).toEqual([{ id: idOf(9), count: 1 }]);
    for (let n = 1; n <= 5; n += 1) {
      const path = join(folder, "mismatches", `${idOf(n)}.json`);
      await add(store, idOf(n));
      await utimes(path, n, n);
    }
    await utimes(join(folder, "mismatches", `${idOf(5)}.json`), 5000, 5000);
    await add(store, idOf(6));
    const names = (await readdir(join(folder, "mismatches"))).filter((each) => /json$/.test(each));
    expect(names).toHaveLength(3);
    expect(names).toContain(`${idOf(6)}.json`);
    expect(names).toContain(`${idOf(5)}.json`);
  });

  it("are cleaned of what a crash left half written", async () => {
    await mkdir(join(folder, "mismatches"));
    const torn = join(folder, "mismatches", `${idOf(1)}.json.0000.tmp`);
    await writeFile(torn, "{");
    await add(open(), idOf(2));
    await expect(readFile(torn)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("have ids that cannot lead out of the folder", async () => {
    await expect(add(open(), "../../etc/x")).rejects.toThrow(TypeError);
    await expect(open().remove("../x")).rejects.toThrow(TypeError);
  });
});
