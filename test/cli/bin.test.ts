import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { isAlive } from "../support/processes.ts";
import { TestFolder } from "../support/test-folder.ts";
import { bin, changeover, ended, startChangeover, until } from "./command-line.ts";

vi.setConfig({ testTimeout: 90_000 });

const folder = new TestFolder();
/** Makes a Node say that it is an older one. */
let asNode20: string[];
beforeAll(() => {
  const preload = folder.in("older.cjs");
  writeFileSync(
    preload,
    'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });',
  );
  asNode20 = [process.execPath, "--require", preload];
});
afterAll(() => folder.remove());

describe("the program on a Node that is too old", () => {
  it("runs on the node package's own Node, with its exit code", async () => {
    const [version, wrong] = await Promise.all([
      changeover(["--version"], { node: asNode20 }),
      changeover(["upstart"], { node: asNode20 }),
    ]);
    expect(version).toMatchObject({ code: 0, stderr: "" });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(wrong.code).toBe(2);
  });

  it("passes signals on, once each", async () => {
    const { child, pid, end } = await startChangeover(folder.in("data"), { node: asNode20 });
    expect(pid).not.toBe(child.pid);
    child.kill("SIGINT");
    expect((await end).code).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });

  it("leaves nothing running when it is killed itself", async () => {
    const { child, pid, end } = await startChangeover(folder.in("data2"), { node: asNode20 });
    child.kill("SIGKILL");
    await end;
    await until(() => !isAlive(pid));
  });

  it("says what it needs where there is no newer Node", async () => {
    mkdirSync(folder.in("alone", "src", "cli"), { recursive: true });
    copyFileSync(bin, folder.in("alone", "src", "cli", "bin.js"));
    writeFileSync(folder.in("alone", "package.json"), '{"type":"module"}');
    const [node = "", ...words] = asNode20;
    const ran = await ended(spawn(node, [...words, folder.in("alone", "src", "cli", "bin.js")]));
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/^changeover needs Node 22\.19 or newer; this is 20\.20\.2\./);
    expect(ran.stderr.trim().split("\n")).toHaveLength(1);
  });
});
