import type { ChildProcess } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { rememberedFleet } from "../../src/sandbox/fleet-addresses.ts";
import { type FleetBackend, startFleetBackend } from "../../src/sandbox/fleet-backend.ts";
import { FLEET_PACKAGES, missingPackages } from "../../src/sandbox/required-packages.ts";
import type { UnleashAccess } from "../../src/sandbox/unleash/unleash.ts";
import { spawnChangeover } from "../cli/command-line.ts";
import { isAlive } from "../support/processes.ts";
import { TestFolder } from "../support/test-folder.ts";

// Slow: a boot of Unleash takes 10 to 15 s of processor time.
const missing = missingPackages(import.meta.url, FLEET_PACKAGES);
const asked = process.env["CHANGEOVER_SYSTEM"] === "1";
const why = missing.length > 0 ? `${missing.join(", ")} missing` : "needs CHANGEOVER_SYSTEM=1";

async function until(done: () => Promise<boolean>): Promise<void> {
  while (!(await done().catch(() => false))) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function announcedBy({ stdout }: ChildProcess): Promise<{ gateway: string }> {
  let text = "";
  for await (const chunk of stdout ?? []) {
    text += String(chunk);
    if (text.trimEnd().endsWith("}")) break;
  }
  return JSON.parse(text);
}

describe.skipIf(!asked || missing.length > 0)(`the embedded Unleash (${why})`, () => {
  let folder: TestFolder;
  let fleet: FleetBackend;
  let unleash: UnleashAccess;
  /** What was answered to a client before Unleash was up. */
  let early: { readonly status: number; readonly page: string };

  const start = async (): Promise<void> => {
    // A disk that others are writing to may need seconds for the last checkpoint, and a stop has none.
    fleet = await startFleetBackend({ dataDir: folder.path, fsync: false });
  };
  const admin = async (path: string, method = "GET", body?: unknown): Promise<unknown> => {
    const response = await fetch(`${unleash.url}/api/admin${path}`, {
      method,
      headers: { authorization: unleash.adminToken, "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  };
  const flagsOf = async (): Promise<unknown> => {
    const headers = { authorization: unleash.clientToken };
    return (await fetch(`${unleash.apiUrl}/client/features`, { headers })).json();
  };
  const features = "/projects/default/features";

  beforeAll(async () => {
    folder = new TestFolder();
    await start();
    const { url } = fleet.addresses.unleash;
    const [reply, page] = await Promise.all([
      fetch(`${url}/api/client/features`),
      fetch(url, { headers: { accept: "text/html" } }),
    ]);
    early = { status: reply.status, page: await page.text() };
    unleash = await fleet.unleash;
  }, 150_000);
  afterAll(async () => {
    await fleet?.close();
    await folder.remove();
  });

  it("has its address before it is up, and says meanwhile that it is starting", () => {
    expect(early.status).toBe(503);
    expect(early.page).toContain("Unleash is starting");
    expect(unleash).toMatchObject(fleet.addresses.unleash);
    expect(unleash.apiUrl).toBe(`${unleash.url}/api`);
  });

  it("serves its admin pages, and lets in the login that was made for it, and no other", async () => {
    const page = await fetch(unleash.url);
    expect(page.headers.get("content-type")).toContain("text/html");
    expect(await page.text()).toContain("<title>Unleash");
    const logIn = async (username: string, password: string): Promise<number> => {
      const response = await fetch(`${unleash.url}/auth/simple/login`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ username, password }),
      });
      return response.status;
    };
    const { username, password } = unleash.login;
    expect(await logIn(username, password)).toBe(200);
    expect(await logIn(username, "unleash4all")).toBe(401);
  });

  it("exposes nobody when a flag without a strategy is switched on", async () => {
    await admin(features, "POST", { name: "bare", type: "release" });
    await admin(`${features}/bare/environments/development/on`, "POST");
    const flag = await admin(`${features}/bare/environments/development`);
    expect(flag).toMatchObject({
      enabled: true,
      strategies: [{ parameters: { rollout: "0", stickiness: "routingKey" } }],
    });
    expect(await admin("/context/routingKey")).toMatchObject({ stickiness: true });
  });

  it("lets our token write flags in a name of its own, and not make users", async () => {
    await admin(features, "POST", { name: "mine", type: "release" });
    const { events } = (await admin("/events/mine")) as { events: { createdBy: string }[] };
    expect(new Set(events.map(({ createdBy }) => createdBy))).toEqual(new Set(["changeover"]));
    const user = { username: "other", rootRole: 1, password: "Aa1-aaaaaaaaaaaaaaaa" };
    await expect(admin("/user-admin", "POST", user)).rejects.toThrow(/403/);
  });

  it("keeps its secrets to itself", async () => {
    for (const name of ["keys.json", "editor-token"]) {
      expect((await stat(join(folder.path, "unleash", name))).mode & 0o777).toBe(0o600);
    }
    const logs = await Promise.all(
      ["unleash.log", "postgres.log"].map((name) =>
        readFile(join(folder.path, "logs", name), "utf8"),
      ),
    );
    for (const secret of [unleash.login.password, unleash.adminToken, unleash.clientToken]) {
      expect(logs.join("")).not.toContain(secret);
    }
  });

  it("outlives a killed parent with nothing: the next start finds flags, tokens and addresses, and stops in order", async () => {
    const before = unleash;
    await admin(`${features}/bare/environments/development/off`, "POST");
    await fleet.close();
    expect(fleet.pids.some(isAlive)).toBe(false);
    // Unleash goes before its database: nothing was cut off.
    expect(await readFile(join(folder.path, "logs/postgres.log"), "utf8")).not.toMatch(
      /terminating connection/,
    );

    const parent = spawnChangeover([
      "start",
      "--flags",
      "unleash",
      "--json",
      "--data-dir",
      folder.path,
    ]);
    onTestFinished(() => void parent.kill("SIGKILL"));
    const announced = await announcedBy(parent);
    expect(announced).toMatchObject({ unleash: before.login });
    // Calls are served while Unleash is still starting.
    expect((await fetch(`${announced.gateway}/v1/files`)).status).toBe(200);
    await until(async () => (await fetch(`${before.url}/health`)).status === 200);
    const run = JSON.parse(await readFile(join(folder.path, "run.json"), "utf8"));
    const pids: number[] = run.children.map(({ pid }: { pid: number }) => pid);
    expect(pids).toHaveLength(5);
    expect(await flagsOf()).toMatchObject({ features: [{ name: "bare" }, { name: "mine" }] });
    expect(await admin(`${features}/bare/environments/development`)).toMatchObject({
      enabled: false,
      strategies: [{ parameters: { rollout: "0" } }],
    });
    parent.kill("SIGKILL");
    await until(() => Promise.resolve(!pids.some(isAlive)));

    await start();
    expect(fleet.addresses.unleash).toEqual({
      url: before.url,
      apiUrl: before.apiUrl,
      clientToken: before.clientToken,
      environment: "development",
      project: "default",
      login: before.login,
    });
    await fleet.postgresReady;
    expect(rememberedFleet(folder.path)).toEqual({
      postgresUrl: fleet.addresses.postgres.url,
      unleash: {
        url: before.url,
        adminToken: before.adminToken,
        environment: "development",
        project: "default",
      },
    });
    // Closing does not wait for a boot that is under way.
    await fleet.close();
    await expect(fleet.unleash).rejects.toMatchObject({ code: "SANDBOX_CLOSED" });
  });
});
