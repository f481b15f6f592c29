import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Config, readConfig } from "../../src/app/config.ts";
import { checkDataFolder, checkDisk, checkSecrets } from "../../src/cli/doctor/folder-checks.ts";
import {
  checkClock,
  checkMemory,
  checkNode,
  checkPackages,
  optionalPackages,
} from "../../src/cli/doctor/machine-checks.ts";
import { checkBackend, checkGateway, checkProviders } from "../../src/cli/doctor/product-checks.ts";
import { eachTestFolder } from "../support/test-folder.ts";

const folder = eachTestFolder();
const config = (environment: Record<string, string> = {}): Config =>
  readConfig({ CHANGEOVER_DATA_DIR: folder.in("data"), CHANGEOVER_PORT: "0", ...environment });

describe("doctor", () => {
  it.each([
    ["20.20.2", "fail"],
    ["22.18.0", "fail"],
    ["22.19.0", "ok"],
    ["24.21.0", "ok"],
  ])("judges Node %s as %s", (version, result) => {
    expect(checkNode(version).result).toBe(result);
  });

  it("tells a data folder that will be made from one that cannot be used", async () => {
    expect((await checkDataFolder(folder.in("data"))).checks[0]?.result).toBe("ok");
    writeFileSync(folder.in("data"), "");
    expect((await checkDataFolder(folder.in("data"))).checks[0]).toMatchObject({ result: "fail" });
  });

  it("warns of a data folder that others can look into", async () => {
    mkdirSync(folder.in("data"));
    chmodSync(folder.in("data"), 0o755);
    const { checks, diskMs } = await checkDataFolder(folder.in("data"));
    expect(checks[0]).toMatchObject({ result: "warn", advice: `chmod 700 ${folder.in("data")}` });
    expect(diskMs).not.toBeNull();
  });

  it("fails for a token or a keys file that others can read", async () => {
    mkdirSync(folder.in("data"));
    writeFileSync(folder.in("data", "operator-token"), "x".repeat(32));
    writeFileSync(folder.in("keys.json"), "{}");
    chmodSync(folder.in("data", "operator-token"), 0o644);
    chmodSync(folder.in("keys.json"), 0o640);
    const checks = await checkSecrets(config({ CHANGEOVER_KEYS_FILE: folder.in("keys.json") }));
    expect(checks.map(({ name, result }) => [name, result])).toEqual([
      ["operator token", "fail"],
      ["keys file", "fail"],
    ]);
    expect(checks[0]?.advice).toMatch(/^chmod 600 /);
  });

  it("fails for a keys file that is none, without repeating what is in it", async () => {
    writeFileSync(folder.in("keys.json"), '{"secret": 1}', { mode: 0o600 });
    const checks = await checkSecrets(config({ CHANGEOVER_KEYS_FILE: folder.in("keys.json") }));
    const broken = checks.find(({ result }) => result === "fail");
    expect(broken).toMatchObject({ name: "keys file" });
    expect(broken?.detail).not.toContain('"secret"');
  });

  it("weighs free disk against the spool", async () => {
    const spool = { CHANGEOVER_SPOOL_BYTES: String(2 ** 20) };
    expect((await checkDisk(config(spool))).result).toBe("ok");
    const huge = { CHANGEOVER_SPOOL_BYTES: String(1024 * 2 ** 30) };
    expect((await checkDisk(config(huge))).result).toBe("warn");
  });

  it("weighs what calls may claim against the memory there is", () => {
    expect(checkMemory(config()).result).toBe("ok");
    const little = { CHANGEOVER_LEGACY_MEMORY_BYTES: String(2 ** 20) };
    expect(checkMemory(config(little)).result).toBe("warn");
    const much = { CHANGEOVER_LEGACY_MEMORY_BYTES: String(1024 * 2 ** 30) };
    expect(checkMemory(config(much)).result).toBe("fail");
  });

  it("doubts a clock from before the first release, or far from the disk's", () => {
    const now = Date.UTC(2026, 11, 1);
    expect(checkClock(now, now - 1000).result).toBe("ok");
    expect(checkClock(now, now - 60_000).result).toBe("warn");
    expect(checkClock(0, null).result).toBe("fail");
  });

  it("knows every optional package, and warns only of one that files or flags need", () => {
    const { peerDependencies } = JSON.parse(
      readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
    ) as { peerDependencies: Record<string, string> };
    const names = optionalPackages.map(({ name }) => name);
    expect(names.toSorted()).toEqual(Object.keys(peerDependencies).toSorted());
    expect(checkPackages()).toMatchObject({ result: "ok" });
    expect(checkPackages((name) => name !== "pg-boss")).toMatchObject({
      result: "ok",
      detail: expect.stringContaining("pg-boss (a backfill on several machines)"),
    });
    expect(checkPackages((name) => name !== "pg-boss" && name !== "undici")).toMatchObject({
      result: "warn",
      advice: "npm install undici pg-boss",
    });
  });

  it("names a port that is taken", async () => {
    const { createServer } = await import("node:net");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const check = await checkGateway(config({ CHANGEOVER_PORT: String(port) }), null);
    expect(check).toMatchObject({
      result: "fail",
      advice: expect.stringMatching(/CHANGEOVER_PORT/),
    });
    server.close();
    expect((await checkGateway(config(), null)).result).toBe("ok");
  });

  it("says that a configured backend does not answer", async () => {
    const settings = { SUPABASE_URL: "http://127.0.0.1:9", SUPABASE_SECRET_KEY: "secret-key" };
    const check = await checkBackend(config(settings), null);
    expect(check).toMatchObject({ result: "fail", detail: expect.stringContaining("no answer") });
    expect(JSON.stringify(check)).not.toContain("secret-key");
  });

  it("notices half of a provider's settings", () => {
    expect(checkProviders(config())).toEqual([]);
    expect(checkProviders(config({ KIMI_API_KEY: "k" }))).toMatchObject([
      { result: "warn", detail: expect.stringContaining("KIMI_BASE_URL is not") },
    ]);
  });
});
