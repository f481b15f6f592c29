import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type App, createApp } from "../../src/app/app.ts";
import { type Config, readConfig } from "../../src/app/config.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { root } from "../rules/sources.ts";

const person = { by: "ana", reason: "test" };

let dataDir: string;
let app: App | undefined;

const open = async (settings: Partial<Config> = {}): Promise<App> => {
  const config = readConfig({
    CHANGEOVER_DATA_DIR: dataDir,
    CHANGEOVER_FLAGS_DIR: join(root, "flags"),
  });
  app = await createApp({ ...config, ...settings }, { logger: silentLogger, backend: null });
  return app;
};

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "changeover-app-"));
});

afterEach(async () => {
  await app?.close();
  app = undefined;
  await rm(dataDir, { recursive: true, force: true });
});

describe("the operator token", () => {
  it("is made up once, kept for the next start, and readable by its owner only", async () => {
    const first = (await open()).operatorToken;
    await app?.close();
    expect((await open()).operatorToken).toBe(first);
    expect(first.length).toBeGreaterThanOrEqual(32);
    expect((await stat(join(dataDir, "operator-token"))).mode & 0o777).toBe(0o600);
  });

  it("is refused when the file holds none, and the file is left as it is", async () => {
    await writeFile(join(dataDir, "operator-token"), "short\n");
    await expect(open()).rejects.toMatchObject({ code: "CONFIG_INVALID_TOKEN_FILE" });
    expect(await readFile(join(dataDir, "operator-token"), "utf8")).toBe("short\n");
  });
});

describe("the keys file", () => {
  it.each([
    ["not JSON", "{"],
    ["an owner with a slash", JSON.stringify({ "sk-alice-123": "a/b" })],
    ["a key of three characters", JSON.stringify({ abc: "alice" })],
  ])("is refused when it holds %s, without printing a key", async (_what, text) => {
    const keysFile = join(dataDir, "keys.json");
    await writeFile(keysFile, text);
    const failed = await open({ keysFile }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "CONFIG_INVALID_KEYS_FILE" });
    expect(String(failed)).not.toContain("sk-alice");
  });
});

describe("an operator", () => {
  it("names operations in short, and is told the known ones otherwise", async () => {
    const { control } = await open();
    expect(await control.setFlag("upload", { percentage: 50 }, person)).toMatchObject({
      operation: "files.upload",
      percentage: 50,
    });
    await expect(control.setFlag("uplod", { percentage: 1 }, person)).rejects.toThrow(
      /Known: files\.upload/,
    );
  });

  it("finds every change in the journal, with who, from, to and why", async () => {
    const { control } = await open();
    await control.setFlag("upload", { percentage: 50 }, person);
    await control.rollBack("upload", { by: "ben", reason: "looks wrong" });
    await control.rearm("upload", { by: "ben", reason: "fixed" });
    const entries = await control.journal({ operation: "upload" });
    expect(entries.map(({ kind, actor, why }) => [kind, actor.name, why])).toEqual([
      ["flag", "ana", "test"],
      ["rollback", "ben", "looks wrong"],
      ["rearm", "ben", "fixed"],
    ]);
    expect(entries[0]).toMatchObject({ from: "on 0 %, shadow 0 %", to: "on 50 %, shadow 0 %" });
  });

  it("rolls everything back with one command, and says of each step what it came to", async () => {
    const { control } = await open();
    await control.setFlag("info", { percentage: 100 }, person);
    const reports = await control.rollBackAll(person);
    expect(reports).toHaveLength(5);
    expect(reports.every((report) => report.complete)).toBe(true);
    const info = reports.find((report) => report.operation === "files.info");
    expect(info?.steps.map(({ name, result }) => `${name} ${result}`)).toEqual([
      "latch done",
      "flag done",
      "read-back done",
      "journal done",
    ]);
    expect(control.explain("info", "ana")).toMatchObject({ path: "legacy", reason: "latched" });
  });

  it("finds the rollback still in force after a restart, re-arms it at 0 %, and brings it back by hand", async () => {
    let { control } = await open();
    await control.setFlag("info", { percentage: 100 }, person);
    await control.rollBack("info", person);
    await app?.close();
    ({ control } = await open());
    expect(control.explain("info", "ana").reason).toBe("latched");
    await expect(control.setFlag("info", { percentage: 100 }, person)).rejects.toMatchObject({
      code: "FLAGS_HELD",
    });
    await control.rearm("info", person);
    expect(control.explain("info", "ana")).toMatchObject({ path: "legacy", reason: "flag-off" });
    await control.setFlag("info", { percentage: 100 }, person);
    expect(control.explain("info", "ana")).toMatchObject({ path: "candidate", reason: "flag-on" });
  });
});

describe("a data folder that two processes share", () => {
  it("carries one process's rollback to the other", async () => {
    const here = await open();
    await here.control.setFlag("info", { percentage: 100 }, person);
    const there = await createApp(here.config, { logger: silentLogger, backend: null });
    try {
      await there.control.rollBack("info", person);
      const deadline = Date.now() + 10_000;
      while (here.control.explain("info", "ana").reason !== "latched") {
        expect(Date.now()).toBeLessThan(deadline);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } finally {
      await there.close();
    }
  });
});

describe("latches that cannot be read", () => {
  it("count as tripped: everything runs on legacy, and the status says why", async () => {
    await open();
    await app?.close();
    await writeFile(join(dataDir, "latches.json"), "{ torn");
    const { control, snapshot } = await open();
    expect(control.explain("info", "ana").reason).toBe("latched");
    expect(snapshot().operations[0]?.latch).toMatchObject({ tripped: true });
  });
});

describe("a process without a backend", () => {
  it("is not ready, and refuses file calls with a coded error", async () => {
    const { files, readiness } = await open();
    expect(readiness()).toEqual({ ready: false, reasons: ["no backend is set up"] });
    await expect(files.list({ owner: "local", limit: 10 }, { key: "a" })).rejects.toMatchObject({
      code: "FILES_BACKEND_UNAVAILABLE",
    });
  });
});

describe("a snapshot", () => {
  it("is plain JSON with every operation, its flag, its verdict and its load", async () => {
    const { snapshot } = await open();
    const now = snapshot();
    expect(JSON.parse(JSON.stringify(now))).toEqual(now);
    expect(now.operations.map(({ name }) => name)).toEqual([
      "files.upload",
      "files.download",
      "files.info",
      "files.list",
      "files.delete",
    ]);
    // Nothing has been called: whoever cannot tell must not say healthy.
    expect(now.operations.map(({ verdict }) => verdict.verdict)).not.toContain("healthy");
  });
});
