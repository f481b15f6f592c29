import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChildExit } from "../../src/sandbox/child/child-process.ts";
import { requirePackages } from "../../src/sandbox/required-packages.ts";
import { type Sandbox, type SandboxAddresses, startSandbox } from "../../src/sandbox/sandbox.ts";
import { gone, isAlive } from "../support/processes.ts";
import { TestFolder } from "../support/test-folder.ts";

const PARENT = fileURLToPath(new URL("./fixtures/sandbox-parent.ts", import.meta.url));

interface Announced {
  readonly pids: readonly number[];
  readonly addresses: SandboxAddresses;
}

async function processGroup(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2];
}

async function runParent(
  dataDir: string,
  environment: Record<string, string>,
): Promise<{ parent: ChildProcess; announced: Announced }> {
  const parent = spawn(process.execPath, [PARENT, dataDir], {
    stdio: ["ignore", "pipe", "inherit"],
    env: environment,
  });
  if (parent.stdout === null) throw new TypeError("The parent has a pipe.");
  const [line] = await once(createInterface(parent.stdout), "line");
  return { parent, announced: JSON.parse(String(line)) };
}

function connect(addresses: SandboxAddresses, key = addresses.supabase.secretKey) {
  return createClient(addresses.supabase.url, key, { auth: { persistSession: false } });
}

describe("the sandbox", () => {
  let folder: TestFolder;
  let sandbox: Sandbox;

  beforeAll(async () => {
    folder = new TestFolder();
    sandbox = await startSandbox({ dataDir: folder.path });
  });
  afterAll(async () => {
    await sandbox.close();
    await folder.remove();
  });

  it("listens on loopback only, each server on a port of its own", () => {
    const { supabase, kimi, glm } = sandbox.addresses;
    const hosts = [supabase.url, kimi.baseUrl, glm.baseUrl].map((url) => new URL(url));
    expect(hosts.map((url) => url.hostname)).toEqual(["127.0.0.1", "127.0.0.1", "127.0.0.1"]);
    expect(new Set(hosts.map((url) => url.port)).size).toBe(3);
    expect(kimi.baseUrl).toMatch(/\/v1$/);
    expect(glm.baseUrl).toMatch(/\/api\/paas\/v4$/);
  });

  it("refuses requests that name another host, as a rebinding web page would", async () => {
    const { url } = sandbox.addresses.supabase;
    const { request } = await import("node:http");
    const status = await new Promise((resolve, reject) => {
      request(url, { headers: { host: "evil.example" } }, (reply) => {
        reply.resume();
        resolve(reply.statusCode);
      })
        .once("error", reject)
        .end();
    });
    expect(status).toBe(421);
  });

  it("keeps its keys in files that only their owner can read", async () => {
    for (const file of ["supabase/keys.json", "providers/keys.json"]) {
      expect((await stat(join(folder.path, file))).mode & 0o777).toBe(0o600);
    }
    const log = await readFile(join(folder.path, "logs/supabase.log"), "utf8");
    expect(log).not.toContain(sandbox.addresses.supabase.secretKey);
  });

  it("runs beside another sandbox in another folder", async () => {
    await using second = new TestFolder();
    const other = await startSandbox({ dataDir: second.path });
    try {
      expect(other.addresses.supabase.secretKey).not.toBe(sandbox.addresses.supabase.secretKey);
      const wrongKey = connect(other.addresses, sandbox.addresses.supabase.secretKey);
      expect((await wrongKey.from("files").select()).status).toBe(401);
      expect((await connect(other.addresses).from("files").select()).status).toBe(200);
    } finally {
      await other.close();
    }
    expect(other.pids.some(isAlive)).toBe(false);
    expect(sandbox.pids.every(isAlive)).toBe(true);
  });

  it("refuses a data folder that a running sandbox uses", async () => {
    await expect(startSandbox({ dataDir: folder.path })).rejects.toMatchObject({
      code: "SANDBOX_FOLDER_IN_USE",
      message: expect.stringContaining(folder.path),
    });
    expect((await connect(sandbox.addresses).from("files").select()).status).toBe(200);
  });
});

describe("starting a sandbox", () => {
  it("names a port that cannot be had, and leaves nothing running", async () => {
    await using folder = new TestFolder();
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    await expect(
      startSandbox({ dataDir: folder.path, ports: { glm: port } }),
    ).rejects.toMatchObject({
      code: "SANDBOX_PORT_UNAVAILABLE",
      message: expect.stringContaining(String(port)),
    });
    taken.close();
    const again = await startSandbox({ dataDir: folder.path });
    await again.close();
  });

  it("fails with the child's last lines when the database cannot be read", async () => {
    await using folder = new TestFolder();
    await mkdir(join(folder.path, "supabase"));
    await writeFile(join(folder.path, "supabase/database.sqlite"), "x".repeat(8192));
    await expect(startSandbox({ dataDir: folder.path })).rejects.toMatchObject({
      code: "SANDBOX_START_FAILED",
      message: expect.stringMatching(/supabase process[\s\S]*not a database[\s\S]*last lines/),
    });
  });

  it("gives up when the children are not ready in time", async () => {
    await using folder = new TestFolder();
    await expect(startSandbox({ dataDir: folder.path, startTimeoutMs: 1 })).rejects.toMatchObject({
      code: "SANDBOX_START_FAILED",
      message: expect.stringContaining("not ready after 1 ms"),
    });
  });

  it("names missing packages and the command that installs them", async () => {
    await using folder = new TestFolder();
    const from = join(folder.path, "program.js");
    expect(() => requirePackages(from, ["no-such-package-a", "no-such-package-b"])).toThrow(
      expect.objectContaining({
        code: "SANDBOX_PACKAGE_MISSING",
        message: expect.stringContaining(
          "npm install --save-dev no-such-package-a no-such-package-b",
        ),
      }),
    );
    expect(() => requirePackages()).not.toThrow();
  });

  it.each([{}, { NODE_ENV: "test" }])(
    "works from a plain process with the environment %o, and dies with a killed parent",
    async (environment) => {
      await using folder = new TestFolder();
      const { parent, announced } = await runParent(folder.path, environment);
      const storage = connect(announced.addresses).storage;
      const buckets = await storage.listBuckets();
      expect(buckets.data?.map((each) => each.name)).toEqual(["changeover-files"]);
      // A terminal's Ctrl-C goes to a whole process group: each child has one of its own.
      const pids = [parent.pid ?? 0, ...announced.pids];
      const groups = await Promise.all(pids.map(processGroup));
      expect(new Set(groups).size).toBe(3);
      parent.kill("SIGKILL");
      await once(parent, "exit");
      await gone(...announced.pids);
    },
  );
});

describe("a sandbox that is started again", () => {
  it("has the same keys, rows, objects and provider files, and applies no migration twice", async () => {
    await using folder = new TestFolder();
    const first = await startSandbox({ dataDir: folder.path });
    const { bucket } = first.addresses.supabase;
    const client = connect(first.addresses);
    const now = new Date().toISOString();
    await client.from("contents").insert({
      sha256: "a".repeat(64),
      provider: "none",
      purpose: "none",
      storage_key: "k",
      size_bytes: 5,
      created_at: now,
    });
    await client.storage.from(bucket).upload("kept.txt", Buffer.from("hello"));
    const form = new FormData();
    form.set("file", new File(["text"], "a.txt"));
    form.set("purpose", "file-extract");
    const { baseUrl, apiKey } = first.addresses.kimi;
    const headers = { authorization: `Bearer ${apiKey}` };
    await fetch(`${baseUrl}/files`, { method: "POST", body: form, headers });
    await first.close();
    const unfinished = join(folder.path, "supabase/blobs/ab");
    await mkdir(unfinished, { recursive: true });
    const orphan = "abababab-0000-4000-8000-000000000000";
    for (const name of [orphan, `${orphan}.part`]) await writeFile(join(unfinished, name), "x");

    const second = await startSandbox({ dataDir: folder.path });
    try {
      expect(second.addresses.supabase.secretKey).toBe(first.addresses.supabase.secretKey);
      expect(second.addresses.kimi.apiKey).toBe(apiKey);
      const again = connect(second.addresses);
      const rows = await again.from("contents").select("sha256, created_at");
      expect(rows.data).toEqual([{ sha256: "a".repeat(64), created_at: now }]);
      const object = await again.storage.from(bucket).download("kept.txt");
      expect(await object.data?.text()).toBe("hello");
      const listed = await fetch(`${second.addresses.kimi.baseUrl}/files`, { headers });
      expect(await listed.json()).toMatchObject({ data: [{ filename: "a.txt", bytes: 4 }] });
      // What a crash left behind is swept at the start.
      expect(await readdir(unfinished)).toEqual([]);
    } finally {
      await second.close();
    }
  });
});

describe("a child that dies by itself", () => {
  it("is announced with its exit, also to those who ask later", async () => {
    await using folder = new TestFolder();
    const sandbox = await startSandbox({ dataDir: folder.path });
    const exits: ChildExit[] = [];
    const [pid = 0] = sandbox.pids;
    const announced = new Promise<void>((resolve) => {
      sandbox.onExit((exit) => {
        exits.push(exit);
        resolve();
      });
    });
    process.kill(pid, "SIGKILL");
    await announced;
    sandbox.onExit((exit) => exits.push(exit));
    expect(exits).toHaveLength(2);
    expect(exits[1]).toMatchObject({ name: "supabase", pid, signal: "SIGKILL" });
    await sandbox.close();
    expect(sandbox.pids.some(isAlive)).toBe(false);
  });
});
