import { spawn } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { identify, isRunning } from "../../src/cli/process/process-identity.ts";
import { RunFile, runningOn } from "../../src/cli/run-file.ts";
import { eachTestFolder } from "../support/test-folder.ts";

const folder = eachTestFolder();

const backend = {
  supabase: { url: "http://127.0.0.1:1", secretKey: "secret", bucket: "b" },
  kimi: { baseUrl: "http://127.0.0.1:2", apiKey: "key" },
  glm: null,
};

/** The number of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((resolve) => child.once("exit", resolve));
  return child.pid ?? -1;
}

function leaveBehind(pid: number, startedAs: string | null, children: unknown[] = []): void {
  const record = { version: 1, pid, startedAs, dataDir: folder.path, since: "", gateway: null };
  writeFileSync(folder.in("run.json"), JSON.stringify({ ...record, backend: null, children }));
}

describe("the claim of a process on a data folder", () => {
  it("tells other commands where things are, readable by this user only", async () => {
    const run = await RunFile.claim(folder.path, systemClock);
    expect(run.cleared).toBeNull();
    expect(await runningOn(folder.path)).toMatchObject({ pid: process.pid, gateway: null });
    await run.announce({ gateway: "http://127.0.0.1:8787", backend, pids: [process.pid] });
    const found = await runningOn(folder.path);
    expect(found).toMatchObject({ gateway: "http://127.0.0.1:8787", backend });
    expect(found?.children).toEqual([await identify(process.pid)]);
    expect(statSync(folder.in("run.json")).mode & 0o777).toBe(0o600);
    await run.release();
    expect(await runningOn(folder.path)).toBeNull();
  });

  it("is refused while a process holds it, naming that process", async () => {
    const run = await RunFile.claim(folder.path, systemClock);
    await run.announce({ gateway: "http://127.0.0.1:8787" });
    await expect(RunFile.claim(folder.path, systemClock)).rejects.toMatchObject({
      code: "CLI_ALREADY_RUNNING",
      message: expect.stringMatching(new RegExp(`process ${process.pid} at http://127.0.0.1:8787`)),
    });
  });

  it("goes to one of two that want it at the same time", async () => {
    leaveBehind(await deadPid(), "long ago");
    const claims = await Promise.allSettled(
      Array.from({ length: 4 }, () => RunFile.claim(folder.path, systemClock)),
    );
    expect(claims.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("is cleared when its process is gone", async () => {
    const pid = await deadPid();
    leaveBehind(pid, "long ago");
    expect(await runningOn(folder.path)).toBeNull();
    const run = await RunFile.claim(folder.path, systemClock);
    expect(run.cleared).toEqual({ pid, children: 0 });
  });

  it("is cleared when its number belongs to another process by now", async () => {
    leaveBehind(process.pid, "another boot/1");
    expect(await runningOn(folder.path)).toBeNull();
    const run = await RunFile.claim(folder.path, systemClock);
    expect(run.cleared).toEqual({ pid: process.pid, children: 0 });
  });

  it("is cleared when the file is damaged", async () => {
    writeFileSync(folder.in("run.json"), '{"version": 1, "pid"');
    expect((await RunFile.claim(folder.path, systemClock)).cleared?.pid).toBeNull();
  });

  it("ends processes of the backend that outlived their own", async () => {
    const left = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    const gone = new Promise((resolve) => left.once("exit", resolve));
    leaveBehind(await deadPid(), "long ago", [await identify(left.pid ?? -1)]);
    const run = await RunFile.claim(folder.path, systemClock);
    expect(run.cleared?.children).toBe(1);
    await gone;
  });

  it("never ends a process that only has the number of an old one", async () => {
    const left = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    const children = [{ pid: left.pid, startedAs: "another boot/1" }];
    leaveBehind(await deadPid(), "long ago", children);
    const run = await RunFile.claim(folder.path, systemClock);
    expect(run.cleared?.children).toBe(0);
    expect(await isRunning({ pid: left.pid ?? -1, startedAs: null })).toBe(true);
    left.kill("SIGKILL");
  });

  it("does not remove a claim that another process has taken over", async () => {
    const run = await RunFile.claim(folder.path, systemClock);
    leaveBehind(1, "somebody else");
    await run.release();
    run.releaseNow();
    expect(readFileSync(folder.in("run.json"), "utf8")).toContain("somebody else");
  });
});
