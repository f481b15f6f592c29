import { execFile } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { writeNewFiles } from "../../src/cli/commands/init/new-files.ts";
import { eachTestFolder } from "../support/test-folder.ts";
import { changeover, errorOf, type Ran, repository } from "./command-line.ts";

vi.setConfig({ testTimeout: 60_000 });
const run = promisify(execFile);

describe("changeover init", () => {
  const folder = eachTestFolder();

  const init = (...words: string[]): Promise<Ran> => changeover(["init", ...words]);
  const files = (...parts: string[]): string[] => readdirSync(folder.in(...parts)).sort();

  /** What `npm install` would have put there: a package that is this checkout. */
  function install(): void {
    const at = folder.in("node_modules", "changeover");
    mkdirSync(at, { recursive: true });
    const entry = pathToFileURL(join(repository, "src/changeover.ts")).href;
    writeFileSync(join(at, "index.js"), `export * from ${JSON.stringify(entry)};\n`);
    const manifest = { name: "changeover", type: "module", exports: "./index.js" };
    writeFileSync(join(at, "package.json"), JSON.stringify(manifest));
  }

  it.each([["ts"], ["js"]])(
    "writes a project whose example runs, as changeover.%s",
    async (kind) => {
      install();
      if (kind === "ts") writeFileSync(folder.in("tsconfig.json"), "{}");
      const names = ["--migration", "image", "--operation", "resize", "--kind", "write"];
      const ran = await init(folder.path, ...names);
      expect(ran).toMatchObject({ code: 0, stderr: "" });
      expect(ran.stdout).toContain(`node changeover.${kind}`);
      expect(ran.stdout).toContain("flags/image.resize.json");
      expect(files("flags")).toEqual(["image.json", "image.resize.json", "rollout.json"]);
      const example = folder.in(`changeover.${kind}`);
      const options = { cwd: "/" };
      const legacy = await run(process.execPath, [example], options);
      expect(legacy).toEqual({ stdout: "answered by the old code\n", stderr: "" });
      const flag = folder.in("flags", "image.resize.json");
      const text = readFileSync(flag, "utf8");
      writeFileSync(flag, text.replace('"percentage": 0', '"percentage": 100'));
      const candidate = await run(process.execPath, [example], options);
      expect(candidate.stdout).toBe("answered by the new code\n");
    },
  );

  it("asks nothing without a terminal, and goes by the folder's name", async () => {
    const ran = await init(folder.in("My Images!"), "--json");
    expect(JSON.parse(ran.stdout)).toEqual({
      ...{ folder: folder.in("My Images!"), migration: "my-images", operation: "lookup" },
      files: [
        "flags/my-images.json",
        "flags/my-images.lookup.json",
        "flags/rollout.json",
        "guard.json",
        "changeover.js",
      ],
    });
    expect(statSync(folder.in("My Images!", "guard.json")).mode & 0o777).toBe(0o644);
    expect(statSync(folder.in("My Images!", "flags")).mode & 0o777).toBe(0o755);
  });

  it("writes nothing at all when one of the files is there, or a dangling link to it", async () => {
    writeFileSync(folder.in("guard.json"), "mine");
    symlinkSync("/nowhere", folder.in("changeover.js"));
    const ran = await init(folder.path, "--json");
    expect([ran.code, errorOf(ran).code]).toEqual([1, "CLI_FILE_EXISTS"]);
    expect(errorOf(ran).message).toContain("guard.json, changeover.js");
    expect(files()).toEqual(["changeover.js", "guard.json"]);
    expect(readFileSync(folder.in("guard.json"), "utf8")).toBe("mine");
  });

  it("removes what it wrote when it cannot go on", async () => {
    const two = [
      { path: "deep/a", text: "a" },
      { path: "deep/a/b", text: "b" },
    ];
    await expect(writeNewFiles(folder.in("new"), two)).rejects.toMatchObject({
      code: "CLI_CANNOT_WRITE",
      message: expect.stringContaining("ENOTDIR"),
    });
    expect(files()).toEqual([]);
  });

  it("says so when the folder is a file", async () => {
    writeFileSync(folder.in("project"), "");
    const ran = await init(folder.in("project"), "--json");
    expect([ran.code, errorOf(ran).code]).toEqual([2, "CLI_CANNOT_WRITE"]);
    expect(readFileSync(folder.in("project"), "utf8")).toBe("");
  });

  it("refuses names that cannot be flags", async () => {
    const ran = await init(folder.in("new"), "--operation", "Re size", "--json");
    expect([ran.code, errorOf(ran).code]).toEqual([2, "MIGRATION_INVALID_NAME"]);
    expect(files()).toEqual([]);
  });
});
