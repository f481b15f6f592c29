import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { request } from "undici";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { isAlive } from "../support/processes.ts";
import { TestFolder } from "../support/test-folder.ts";
import {
  changeover,
  ended,
  errorOf,
  repository,
  type Started,
  spawnChangeover,
  startChangeover,
  until,
} from "./command-line.ts";

vi.setConfig({ testTimeout: 90_000 });

let folder: TestFolder;
let running: Started[] = [];
beforeEach(() => {
  folder = new TestFolder();
  running = [];
});
afterEach(async () => {
  for (const { child, end } of running) {
    child.kill("SIGKILL");
    await end;
  }
  await folder.remove();
});

async function start(...parameters: Parameters<typeof startChangeover>): Promise<Started> {
  const started = await startChangeover(...parameters);
  running.push(started);
  return started;
}

/** The embedded backend's processes. */
function childrenOf(dataDir: string): number[] {
  const text = readFileSync(`${dataDir}/run.json`, "utf8");
  return (JSON.parse(text) as { children: { pid: number }[] }).children.map(({ pid }) => pid);
}

/** Folders in the spool: one for each process that stages bodies. */
function spoolFolders(dataDir: string): string[] {
  const entries = readdirSync(`${dataDir}/spool`, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** A body that is sent half, and the rest when `finish` is called. */
function slowUpload(gateway: string): { finish: () => void; status: Promise<number> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* body(): AsyncGenerator<Buffer> {
    yield Buffer.from("first half, ");
    await promise;
    yield Buffer.from("second half");
  }
  const answer = request(`${gateway}/v1/files/slow.txt`, {
    method: "PUT",
    body: Readable.from(body(), { objectMode: false }),
  });
  const status = answer.then(
    (response) => response.statusCode,
    () => 0,
  );
  return { finish: resolve, status };
}

describe("changeover start", () => {
  it("serves this user only, and lets calls finish on SIGTERM before it leaves nothing", async () => {
    const { child, end, gateway, pid, dataDir } = await start(folder.in("data"));
    expect((await fetch(`${gateway}/readyz`)).status).toBe(200);
    expect(gateway).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    for (const name of ["run.json", "operator-token", "logs/changeover.log"]) {
      expect([name, statSync(`${dataDir}/${name}`).mode & 0o777]).toEqual([name, 0o600]);
    }
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);

    const second = await changeover(["start", "--json", "--data-dir", dataDir]);
    expect(second.code).toBe(7);
    expect(errorOf(second)).toMatchObject({ code: "CLI_ALREADY_RUNNING" });
    expect(errorOf(second).message).toContain(`process ${pid} at ${gateway}`);

    const children = childrenOf(dataDir);
    expect(children).toHaveLength(2);
    const upload = slowUpload(gateway);
    await until(() => spoolFolders(dataDir).length === 1);
    child.kill("SIGTERM");
    await until(async () => (await fetch(`${gateway}/readyz`)).status === 503);
    upload.finish();
    expect(await upload.status).toBe(201);
    const { code, stderr } = await end;
    expect(code).toBe(0);
    expect(stderr).toBe("");
    expect(children.filter(isAlive)).toEqual([]);
    expect(existsSync(`${dataDir}/run.json`)).toBe(false);
    expect(spoolFolders(dataDir)).toEqual([]);
  });

  it("cuts calls that do not finish in time after Ctrl-C, and leaves nothing either", async () => {
    const environment = { CHANGEOVER_DRAIN_MS: "200" };
    const { child, end, gateway, dataDir } = await start(folder.in("data"), { environment });
    const children = childrenOf(dataDir);
    const upload = slowUpload(gateway);
    await until(() => spoolFolders(dataDir).length === 1);
    child.kill("SIGINT");
    expect((await end).code).toBe(0);
    expect([0, 503]).toContain(await upload.status);
    upload.finish();
    expect(children.filter(isAlive)).toEqual([]);
    expect(existsSync(`${dataDir}/run.json`)).toBe(false);
    expect(spoolFolders(dataDir)).toEqual([]);
  });

  it("ends at once on a second Ctrl-C, and the backend with it", async () => {
    const environment = { CHANGEOVER_DRAIN_MS: "60000" };
    const { child, end, gateway, dataDir } = await start(folder.in("data"), { environment });
    const children = childrenOf(dataDir);
    const upload = slowUpload(gateway);
    await until(() => spoolFolders(dataDir).length === 1);
    child.kill("SIGINT");
    await until(async () => (await fetch(`${gateway}/readyz`)).status === 503);
    await new Promise((resolve) => setTimeout(resolve, 350));
    child.kill("SIGINT");
    expect((await end).code).toBe(130);
    await until(() => !children.some(isAlive));
    expect(existsSync(`${dataDir}/run.json`)).toBe(false);
    upload.finish();
    expect(await upload.status).toBe(0);
  });

  it("starts again after kill -9, saying what it cleared", async () => {
    const first = await start(folder.in("data"));
    const children = childrenOf(first.dataDir);
    const upload = slowUpload(first.gateway);
    await until(() => spoolFolders(first.dataDir).length === 1);
    first.child.kill("SIGKILL");
    await first.end;
    upload.finish();
    await until(() => !children.some(isAlive));
    const again = spawnChangeover(["start", "--data-dir", first.dataDir]);
    const end = ended(again);
    let said = "";
    again.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString("utf8");
    });
    await until(() => said.includes("Try next"));
    expect(spoolFolders(first.dataDir)).toEqual([]);
    again.kill("SIGTERM");
    const { code, stdout, stderr } = await end;
    expect(code).toBe(0);
    expect(stderr).toContain(`Process ${first.pid} ended without cleaning up`);
    expect(stderr).toMatch(/stopping: 0 calls in flight/);
    expect(stdout).toMatch(/stand-in for Kimi, not the real service/);
    expect(stdout).not.toMatch(/secret|sb_|Bearer/i);
  });

  it("stops with exit code 5 when its backend dies, and says which process it was", async () => {
    const { end, dataDir } = await start(folder.in("data"));
    const [supabase = -1, providers = -1] = childrenOf(dataDir);
    process.kill(supabase, "SIGKILL");
    const ran = await end;
    expect(ran.code).toBe(5);
    expect(errorOf(ran)).toMatchObject({
      code: "CLI_BACKEND_DIED",
      message: expect.stringMatching(/process supabase \(\d+\) ended by SIGKILL/),
    });
    expect(isAlive(providers)).toBe(false);
    expect(existsSync(`${dataDir}/run.json`)).toBe(false);
  });
});

describe("changeover start that cannot", () => {
  let busy: Server;
  let port = "";
  beforeEach(async () => {
    busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
    port = String((busy.address() as AddressInfo).port);
  });
  afterEach(() => {
    busy.close();
  });

  it("names the setting when its port is taken, and leaves nothing behind", async () => {
    const ran = await changeover(["start", "--json", "--data-dir", folder.in("data")], {
      environment: { CHANGEOVER_PORT: port },
    });
    expect(ran.code).toBe(7);
    expect(errorOf(ran)).toMatchObject({
      code: "GATEWAY_PORT_BUSY",
      message: expect.stringMatching(new RegExp(`${port}.*CHANGEOVER_PORT`)),
    });
    expect(existsSync(folder.in("data", "run.json"))).toBe(false);
  });

  it("names the folder when there is a file in its place", async () => {
    const ran = await changeover(["start", "--json", "--data-dir", `${repository}/package.json`]);
    expect(ran.code).toBe(2);
    expect(errorOf(ran)).toMatchObject({
      code: "CLI_DATA_FOLDER",
      message: expect.stringContaining("package.json is not a folder"),
    });
  });

  it("ends when it is interrupted while it starts", async () => {
    const child = spawnChangeover(["start", "--data-dir", folder.in("data")]);
    const end = ended(child);
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString("utf8");
    });
    await until(() => said.includes("Starting the backend"));
    child.kill("SIGINT");
    const { code, stderr } = await end;
    expect(code).toBe(130);
    expect(stderr).not.toContain("kept running");
    await until(() => !existsSync(folder.in("data", "run.json")));
  });
});
