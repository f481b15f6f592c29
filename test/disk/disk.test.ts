import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFile,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { FileJournal, type FileJournalOptions } from "../../src/disk/file-journal.ts";
import { FileLatchStore } from "../../src/disk/file-latch-store.ts";
import type { LatchRecord } from "../../src/migration/latch.ts";
import { journalContract } from "../contract/journal.ts";
import { aRecord, latchStoreContract } from "../contract/latch-store.ts";
import { anEntryOf } from "./entries.ts";

const folders: string[] = [];
const stores: FileLatchStore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "disk-"));
  folders.push(folder);
  return folder;
}

const journalIn = (folder: string, options: Partial<FileJournalOptions> = {}): FileJournal =>
  new FileJournal({ folder, clock: new ManualClock(), ...options });

const reported: unknown[] = [];
function storeIn(folder: string, clock = systemClock): FileLatchStore {
  reported.length = 0;
  const store = new FileLatchStore({
    folder,
    clock,
    report: (_part, error) => reported.push(error),
  });
  stores.push(store);
  return store;
}

journalContract("in a file", async () => journalIn(join(await aFolder(), "data")));
journalContract("in a file that rotates", async () =>
  journalIn(await aFolder(), { rotateBytes: 2000 }),
);
latchStoreContract("in a file", async () => storeIn(join(await aFolder(), "data")));

describe("the file journal", () => {
  it("skips a line that a crash tore, and begins the next entry on a line of its own", async () => {
    const folder = await aFolder();
    await journalIn(folder).append(anEntryOf("first"));
    await journalIn(folder).append(anEntryOf("torn"));
    const path = join(folder, "journal.ndjson");
    await truncate(path, (await stat(path)).size - 20);
    const journal = journalIn(folder);
    await journal.append(anEntryOf("after"));
    expect((await journal.read()).map((entry) => entry.why)).toEqual(["first", "after"]);
    expect(journal.tornLines).toBe(1);
  });

  it("puts a full file aside, keeps it, and reads across both", async () => {
    const folder = await aFolder();
    const journal = journalIn(folder, { rotateBytes: 1500 });
    for (let n = 0; n < 30; n += 1) await journal.append(anEntryOf(`${n}`));
    const files = (await readdir(folder)).filter((name) => name.endsWith(".ndjson"));
    expect(files.length).toBeGreaterThan(3);
    expect((await journal.read()).map((entry) => entry.why)).toEqual(
      Array.from({ length: 30 }, (_, n) => `${n}`),
    );
  });

  it("reads no more than its limit of bytes, from the newest back", async () => {
    const folder = await aFolder();
    for (let n = 0; n < 50; n += 1) await journalIn(folder).append(anEntryOf(`${n}`));
    const few = await journalIn(folder, { readBytesMax: 1000 }).read();
    expect(few.length).toBeGreaterThan(0);
    expect(few.length).toBeLessThan(5);
    expect(few.at(-1)?.why).toBe("49");
  });

  it("refuses an entry that is too large", async () => {
    const journal = journalIn(await aFolder(), { entryBytesMax: 300 });
    await expect(journal.append(anEntryOf("x".repeat(400)))).rejects.toMatchObject({
      code: "DISK_JOURNAL_ENTRY_TOO_LARGE",
    });
  });

  it("is readable by its user alone", async () => {
    const folder = join(await aFolder(), "data");
    await journalIn(folder).append(anEntryOf("x"));
    expect((await stat(join(folder, "journal.ndjson"))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });
});

describe("several processes on one data folder", () => {
  it("lose no journal entry and no latch", async () => {
    const folder = await aFolder();
    const names = ["a", "b", "c"];
    const exits = names.map(async (name) => {
      const script = join(import.meta.dirname, "appender.ts");
      const child = spawn(process.execPath, [script, folder, name, "40"], { stdio: "inherit" });
      const [code] = await once(child, "exit");
      return code;
    });
    expect(await Promise.all(exits)).toEqual([0, 0, 0]);
    const expected = names.flatMap((name) => Array.from({ length: 40 }, (_, n) => `${name} ${n}`));
    const journal = journalIn(folder);
    const entries = await journal.read({ limit: 1000 });
    expect(entries.map((entry) => entry.why).toSorted()).toEqual(expected.toSorted());
    expect(journal.tornLines).toBe(0);
    expect(await storeIn(folder).load()).toHaveLength(120);
  });
});

describe("the file latch store", () => {
  it("keeps the highest epoch, then the later change, whoever saves last", async () => {
    const folder = await aFolder();
    const [one, other] = [storeIn(folder), storeIn(folder)];
    await one.save(aRecord({ epoch: 3, at: "2026-01-01T00:03:00Z" }));
    await other.save(aRecord({ epoch: 2, at: "2026-01-01T00:02:00Z" }));
    expect(await one.load()).toMatchObject([{ epoch: 3 }]);
    await other.save(aRecord({ epoch: 3, tripped: false, at: "2026-01-01T00:04:00Z" }));
    await one.save(aRecord({ epoch: 3, at: "2026-01-01T00:03:30Z" }));
    expect(await one.load()).toMatchObject([{ epoch: 3, tripped: false }]);
  });

  it("never loses a trip of a process that missed an epoch", async () => {
    const folder = await aFolder();
    const [one, other] = [storeIn(folder), storeIn(folder)];
    await one.save(aRecord({ epoch: 5, tripped: false, at: "2026-01-01T00:05:00Z" }));
    const told: LatchRecord[] = [];
    other.changes.subscribe((record) => told.push(record));
    await other.save(aRecord({ epoch: 1, tripped: true, at: "2026-01-01T00:06:00Z" }));
    expect(await one.load()).toMatchObject([{ epoch: 6, tripped: true }]);
    expect(told).toMatchObject([{ epoch: 6, tripped: true }]);
  });

  it("tells of another process's trip and re-arming, once each, and not of its own", async () => {
    const folder = await aFolder();
    const clock = new ManualClock();
    const [mine, theirs] = [storeIn(folder, clock), storeIn(folder)];
    await mine.load();
    const told: LatchRecord[] = [];
    mine.changes.subscribe((record) => told.push(record));
    mine.start();
    await mine.save(aRecord({ operation: "test.mine" }));
    await theirs.save(aRecord());
    clock.advance(1000);
    await mine.poll();
    await theirs.save(aRecord({ tripped: false, at: "2026-01-01T01:00:00Z" }));
    clock.advance(1000);
    await mine.poll();
    await mine.poll();
    expect(told.map((record) => [record.operation, record.tripped])).toEqual([
      ["test.read", true],
      ["test.read", false],
    ]);
    await mine.close();
    expect(clock.pending).toBe(0);
  });

  it.each([
    ["torn", '{"version":1,"records":[{"operation":"test.re'],
    ["empty", ""],
    ["of another shape", '{"version":1,"records":[{"operation":"test.read"}]}'],
  ])(
    "refuses a file that is %s, keeps it aside, and goes on refusing after a restart",
    async (_what, text) => {
      const folder = await aFolder();
      await writeFile(join(folder, "latches.json"), text);
      const refusal = { code: "DISK_LATCH_UNREADABLE" };
      await expect(storeIn(folder).load()).rejects.toMatchObject(refusal);
      await expect(storeIn(folder).load()).rejects.toMatchObject(refusal);
      const names = (await readdir(folder)).filter((name) =>
        name.startsWith("latches.unreadable-"),
      );
      expect(names).toHaveLength(1);
      expect(await readFile(join(folder, names[0] ?? ""), "utf8")).toBe(text);
      const store = storeIn(folder);
      await store.save(aRecord());
      await expect(store.load()).rejects.toMatchObject(refusal);
      await rm(join(folder, names[0] ?? ""));
      expect(await store.load()).toMatchObject([{ operation: "test.read", tripped: true }]);
    },
  );

  it("reports a file that becomes unreadable while it is watched, once", async () => {
    const folder = await aFolder();
    const store = storeIn(folder, new ManualClock());
    await store.save(aRecord());
    await appendFile(join(folder, "latches.json"), "torn");
    for (let n = 0; n < 3; n += 1) await store.poll();
    const codes = reported.map((error) => (error as { code?: string }).code);
    expect(new Set(codes)).toEqual(new Set(["DISK_LATCH_UNREADABLE"]));
    expect(codes.length).toBeLessThanOrEqual(2);
  });

  it("takes over the lock of a process that died, and leaves none behind", async () => {
    const folder = await aFolder();
    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    const { hostname } = await import("node:os");
    await writeFile(join(folder, "latches.lock"), `${hostname()} ${child.pid} 1`);
    await storeIn(folder).save(aRecord());
    expect((await readdir(folder)).toSorted()).toEqual(["latches.json"]);
  });

  it("says who holds the lock instead of waiting for ever", async () => {
    const folder = await aFolder();
    await writeFile(join(folder, "latches.lock"), "elsewhere 1 1");
    const clock = new ManualClock();
    const saving = storeIn(folder, clock).save(aRecord());
    let settled = false;
    const outcome = expect(saving)
      .rejects.toMatchObject({ code: "BASE_LOCKED" })
      .finally(() => {
        settled = true;
      });
    while (!settled) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(50);
    }
    await outcome;
  });

  it("is readable by its user alone", async () => {
    const folder = await aFolder();
    await storeIn(folder).save(aRecord());
    expect((await stat(join(folder, "latches.json"))).mode & 0o777).toBe(0o600);
  });
});
