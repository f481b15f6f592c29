import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { inCohort } from "../../src/flags/bucket.ts";
import { fileFlags } from "../../src/flags/file-flags.ts";
import type { FlagSource } from "../../src/migration/flags.ts";

const operation = "files.upload";
const person = { by: "ana", reason: "test" };

let root: string;
let folder: string;
let flags: FlagSource;

interface FileFields {
  readonly percentage?: unknown;
  readonly shadowPercentage?: number;
  readonly enabled?: boolean;
  readonly stickiness?: string;
}

const flagText = (fields: FileFields = {}): string =>
  JSON.stringify({
    kind: "operation",
    name: operation,
    purpose: "test",
    owner: "test",
    removeBy: "2027-06-30",
    enabled: true,
    percentage: 0,
    shadowPercentage: 0,
    groupId: "files",
    stickiness: "routingKey",
    ...fields,
  });

const write = (fields?: FileFields): Promise<void> =>
  writeFile(join(folder, `${operation}.json`), flagText(fields));

const open = async (): Promise<FlagSource> => {
  const source = fileFlags({ folder, stateFolder: root, pollMs: 5 });
  await source.ready();
  return source;
};

const percentage = (): number | undefined => flags.state(operation)?.percentage;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "changeover-flags-"));
  folder = await mkdtemp(join(root, "flags-"));
});

afterEach(async () => {
  await flags.close();
  await rm(root, { recursive: true, force: true });
});

describe("flags from files", () => {
  it("answer as the Unleash SDK does, for every key", async () => {
    await write({ percentage: 30, shadowPercentage: 20 });
    flags = await open();
    for (let index = 0; index < 500; index += 1) {
      const key = `user-${index}`;
      expect(flags.answer(operation, key)).toEqual({
        candidate: inCohort("files", key, 30),
        shadow: inCohort("files.shadow", key, 20),
      });
    }
  });

  it("follow an edit without a restart, and change their revision", async () => {
    await write();
    flags = await open();
    const before = flags.revision();
    expect(flags.answer(operation, "a").candidate).toBe(false);
    await write({ percentage: 100 });
    await vi.waitFor(() => expect(flags.answer(operation, "a").candidate).toBe(true));
    expect(flags.revision()).toBeGreaterThan(before);
  });

  it.each<[string, string, RegExp]>([
    ["broken JSON", "{", /not JSON/],
    ["150 percent", flagText({ percentage: 150 }), /percentage/],
    ["a percentage in words", flagText({ percentage: "abc" }), /percentage/],
    ["half a percent", flagText({ percentage: 0.5 }), /percentage/],
    [
      "a stickiness that changes from call to call",
      flagText({ stickiness: "default" }),
      /routingKey/,
    ],
    ["another flag's name", flagText().replace(operation, "files.other"), /files\.other\.json/],
  ])(
    "keep the last good content when a file turns into %s, and say so",
    async (_what, bad, why) => {
      await write({ percentage: 40 });
      flags = await open();
      await writeFile(join(folder, `${operation}.json`), bad);
      await vi.waitFor(() => expect(flags.problems()).toHaveLength(1));
      expect(flags.problems()[0]?.message).toMatch(why);
      expect(percentage()).toBe(40);
      await write({ percentage: 50 });
      await vi.waitFor(() => expect(percentage()).toBe(50));
      expect(flags.problems()).toEqual([]);
    },
  );

  it("serve legacy for a file that never was valid", async () => {
    await writeFile(join(folder, `${operation}.json`), "{");
    flags = await open();
    expect(flags.answer(operation, "a")).toEqual({ candidate: false, shadow: false });
    expect(flags.problems()).toHaveLength(1);
  });

  it("switch every operation off with the migration's flag", async () => {
    await write({ percentage: 100 });
    const parent = { kind: "migration", name: "files", purpose: "p", owner: "o" };
    const parentText = (enabled: boolean): string =>
      JSON.stringify({ ...parent, removeBy: "2027-06-30", enabled });
    await writeFile(join(folder, "files.json"), parentText(true));
    flags = await open();
    expect(flags.answer(operation, "a").candidate).toBe(true);
    await writeFile(join(folder, "files.json"), parentText(false));
    await vi.waitFor(() => expect(flags.answer(operation, "a").candidate).toBe(false));
    expect(flags.state(operation)?.enabled).toBe(false);
  });

  it("say that they were never loaded before the first look, and refuse a folder that is not there", async () => {
    flags = fileFlags({ folder: join(root, "missing"), pollMs: 5 });
    expect(flags.freshness().state).toBe("never");
    await expect(flags.ready()).rejects.toMatchObject({ code: "FLAGS_FOLDER_UNREADABLE" });
  });

  it("turn stale when the folder can no longer be read, and keep their last answers", async () => {
    await write({ percentage: 100 });
    flags = fileFlags({ folder, pollMs: 5, staleMs: 30 });
    await flags.ready();
    // At once: a look in the middle of a removal would find a folder without its files.
    await rename(folder, `${folder}-gone`);
    await vi.waitFor(() => expect(flags.freshness().state).toBe("stale"));
    expect(flags.answer(operation, "a").candidate).toBe(true);
  });
});

describe("what is set at run time", () => {
  it("beats the file, survives a restart, and gives way to a later edit of the file", async () => {
    await write({ percentage: 5 });
    flags = await open();
    await flags.control?.setPercentage(operation, 50, person);
    expect(percentage()).toBe(50);
    await flags.close();
    flags = await open();
    expect(flags.state(operation)).toMatchObject({ percentage: 50, enabled: true });
    expect(flags.state(operation)?.origin).toContain("ana");
    await write({ percentage: 10 });
    await vi.waitFor(() => expect(percentage()).toBe(10));
  });

  it("is seen by another process on the same folder", async () => {
    await write();
    flags = await open();
    const other = await open();
    await other.control?.setPercentage(operation, 100, person);
    await other.close();
    await vi.waitFor(() => expect(percentage()).toBe(100));
  });

  it("keeps a rollback at 0 % against edits and commands until it is re-armed, and then at 0 % too", async () => {
    await write({ percentage: 50 });
    flags = await open();
    const { control } = flags;
    expect(await control?.switchOff(operation, person)).toMatchObject({
      enabled: false,
      percentage: 0,
    });
    await write({ percentage: 60 });
    await expect(control?.setPercentage(operation, 10, person)).rejects.toMatchObject({
      code: "FLAGS_HELD",
    });
    expect(percentage()).toBe(0);
    await flags.close();
    flags = await open();
    expect(percentage()).toBe(0);
    await flags.control?.releaseHold(operation, person);
    expect(percentage()).toBe(0);
    expect(flags.answer(operation, "a").candidate).toBe(false);
    await flags.control?.setPercentage(operation, 10, person);
    expect(flags.state(operation)).toMatchObject({ percentage: 10, enabled: true });
  });

  it("treats every flag as off when the state cannot be read, because guessing could undo a rollback", async () => {
    await write({ percentage: 100 });
    flags = await open();
    await writeFile(join(root, "flags-state.json"), "{ torn");
    await vi.waitFor(() => expect(flags.answer(operation, "a").candidate).toBe(false));
    expect(flags.problems()[0]?.message).toMatch(/treated as off/);
  });

  it.each(["150", "abc", "", "0.5", -1, 101, Number.NaN])(
    "refuses %j as a percentage",
    async (bad) => {
      await write();
      flags = await open();
      await expect(
        flags.control?.setPercentage(operation, bad as number, person),
      ).rejects.toMatchObject({ code: "FLAGS_INVALID_PERCENTAGE" });
      await expect(readFile(join(root, "flags-state.json"))).rejects.toThrow();
    },
  );

  it("names the known flags when asked for one that does not exist", async () => {
    await write();
    flags = await open();
    await expect(flags.control?.setPercentage("files.nope", 1, person)).rejects.toThrow(
      /Known: files\.upload/,
    );
  });

  it("loses nothing when two processes set different flags at once", async () => {
    await write();
    await writeFile(
      join(folder, "files.info.json"),
      flagText().replaceAll(operation, "files.info"),
    );
    flags = await open();
    const other = await open();
    await Promise.all([
      flags.control?.setPercentage(operation, 11, person),
      other.control?.setPercentage("files.info", 22, person),
    ]);
    await vi.waitFor(() => expect(flags.state("files.info")?.percentage).toBe(22));
    expect(percentage()).toBe(11);
    await other.close();
  });
});
