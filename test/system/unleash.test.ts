import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { FlagsAsCode } from "../../src/flags/as-code/flags-as-code.ts";
import {
  switchMigrationOff,
  type UnleashControl,
  unleashControl,
} from "../../src/flags/unleash/unleash-control.ts";
import { unleashFlags } from "../../src/flags/unleash/unleash-flags.ts";
import type { FlagSource } from "../../src/migration/flags.ts";
import { changeover, type Ran } from "../cli/command-line.ts";
import { flagContract } from "../contract/flag-control.ts";
import { startTestUnleash, type TestUnleash } from "../support/unleash.ts";

const wait = { timeout: 20_000, interval: 20 };
const ana = { by: "ana", reason: "a test" };
const enabled = process.env["CHANGEOVER_SYSTEM"] === "1";

describe.skipIf(!enabled)("with a real Unleash (CHANGEOVER_SYSTEM=1)", () => {
  let unleash: TestUnleash;
  let folder: string;
  let migration: string;
  const opened: FlagSource[] = [];

  beforeAll(async () => {
    unleash = await startTestUnleash();
  }, 120_000);
  afterAll(() => unleash?.close());

  beforeEach(async () => {
    await makeFiles();
  });
  afterEach(async () => {
    for (const flags of opened.splice(0)) await flags.close();
    await rm(folder, { recursive: true, force: true });
  });

  const makeFiles = async (): Promise<void> => {
    folder = await mkdtemp(join(tmpdir(), "changeover-as-code-"));
    migration = `t${randomBytes(5).toString("hex")}`;
    const about = { purpose: "A test.", owner: "files", removeBy: "2027-06-30", enabled: true };
    await writeFlag({ kind: "migration", name: migration, ...about });
    const shares = { percentage: 0, shadowPercentage: 0 };
    for (const name of [`${migration}.upload`, `${migration}.info`]) {
      const sticky = { groupId: migration, stickiness: "routingKey" };
      const links = [{ url: "https://example.com/runbook", title: "Runbook" }];
      await writeFlag({ kind: "operation", name, ...about, ...shares, ...sticky, links });
    }
  };

  const writeFlag = (flag: { name: string; [field: string]: unknown }): Promise<void> =>
    writeFile(join(folder, `${flag.name}.json`), JSON.stringify(flag));

  const edit = async (name: string, change: Record<string, unknown>): Promise<void> => {
    const text = await readFile(join(folder, `${name}.json`), "utf8");
    await writeFlag({ ...JSON.parse(text), ...change });
  };

  const access = (): { url: string; token: string; project: string; environment: string } => ({
    url: unleash.url,
    token: unleash.adminToken,
    project: unleash.project,
    environment: unleash.environment,
  });

  const asCode = (): FlagsAsCode => new FlagsAsCode({ folder, ...access() });
  const control = (): UnleashControl => unleashControl(access());

  const open = async (refreshMs = 250): Promise<FlagSource> => {
    const flags = unleashFlags({
      url: unleash.apiUrl,
      token: unleash.clientToken,
      appName: "changeover-test",
      refreshMs,
      environment: unleash.environment,
      admin: { token: unleash.adminToken, project: unleash.project },
    });
    opened.push(flags);
    await flags.ready();
    return flags;
  };

  /** The flags of the folder, pushed and seen. */
  const pushed = async (): Promise<FlagSource> => {
    await asCode().push();
    const flags = await open();
    await vi.waitFor(() => expect(flags.state(`${migration}.upload`)?.enabled).toBe(true), wait);
    await vi.waitFor(() => expect(flags.state(`${migration}.info`)?.enabled).toBe(true), wait);
    return flags;
  };

  flagContract("from Unleash", async () => {
    const flags = await pushed();
    return { flags, migration, close: () => flags.close() };
  });

  it("pushes flags that are safe from the first moment, and has nothing to push after that", async () => {
    const flags = await pushed();
    const operation = `${migration}.upload`;
    expect(flags.problems()).toEqual([]);
    expect(flags.state(operation)).toMatchObject({ percentage: 0, shadowPercentage: 0 });
    expect(await asCode().diff()).toEqual([]);
    expect((await asCode().push()).calls).toEqual([]);
    expect((await asCode().pull()).files).toEqual([]);
  });

  it("pushes settings, but not what is live unless it is told", async () => {
    await pushed();
    const operation = `${migration}.upload`;
    await control().setPercentage(operation, 50, ana);
    await edit(operation, { purpose: "Another one.", owner: "storage", percentage: 20 });
    const differences = await asCode().diff();
    expect(differences.map(({ field, kind }) => `${kind} ${field}`)).toEqual([
      "settings purpose",
      "settings owner",
      "live percentage",
      // The shadow's flag has the same owner.
      "settings owner",
    ]);
    await asCode().push();
    expect((await asCode().diff()).map(({ field }) => field)).toEqual(["percentage"]);
    expect(await control().read(operation)).toMatchObject({ percentage: 50 });
    await asCode().push({ percentages: true });
    expect(await asCode().diff()).toEqual([]);
    expect(await control().read(operation)).toMatchObject({ percentage: 20 });
  });

  it("does not move keys between the paths by a push, nor undo a rollback", async () => {
    await pushed();
    const operation = `${migration}.upload`;
    await control().setPercentage(operation, 50, ana);
    await edit(operation, { groupId: "other", percentage: 60 });
    const { left } = await asCode().push();
    expect(left.map(({ field }) => field)).toEqual(["groupId", "percentage"]);
    await control().switchOff(operation, ana);
    await asCode().push({ percentages: true });
    expect(await control().read(operation)).toMatchObject({ enabled: false, percentage: 0 });
  });

  it("pulls what was changed in Unleash", async () => {
    await pushed();
    const operation = `${migration}.upload`;
    await control().setPercentage(operation, 30, ana);
    await control().setShadow(operation, 40, ana);
    expect((await asCode().pull()).files).toEqual([]);
    const { files } = await asCode().pull({ percentages: true });
    expect(files.map(({ fileName }) => fileName)).toEqual([`${operation}.json`]);
    const text = await readFile(join(folder, `${operation}.json`), "utf8");
    expect(JSON.parse(text)).toMatchObject({ percentage: 30, shadowPercentage: 40 });
    expect(await asCode().diff()).toEqual([]);
  });

  it("gives the same nested cohorts of 20,000 keys before and after a restart", async () => {
    const flags = await pushed();
    const operation = `${migration}.upload`;
    const keys = Array.from({ length: 20_000 }, (_, n) => `customer-${n}`);
    const cohort = (from: FlagSource): Set<string> =>
      new Set(keys.filter((key) => from.answer(operation, key).candidate));
    let before = new Set<string>();
    for (const percentage of [0, 0.1, 0.5, 1, 10, 50, 95, 100]) {
      await control().setPercentage(operation, percentage, ana);
      const seen = (): number | undefined => flags.state(operation)?.percentage;
      await vi.waitFor(() => expect(seen()).toBe(percentage), wait);
      const now = cohort(flags);
      expect([...before].every((key) => now.has(key))).toBe(true);
      const spread = 4 * Math.sqrt(percentage * (100 - percentage) * 2);
      expect(Math.abs(now.size - percentage * 200)).toBeLessThanOrEqual(spread);
      const restarted = await open();
      expect(cohort(restarted)).toEqual(now);
      await restarted.close();
      before = now;
    }
  });

  it("switches a whole migration off in one write, seen by the SDK", async () => {
    const flags = await pushed();
    const operations = [`${migration}.upload`, `${migration}.info`];
    for (const operation of operations) await control().setPercentage(operation, 100, ana);
    for (const operation of operations) {
      await vi.waitFor(() => expect(flags.answer(operation, "a").candidate).toBe(true), wait);
    }
    await switchMigrationOff({ ...access(), migration });
    for (const operation of operations) {
      await vi.waitFor(() => expect(flags.answer(operation, "a").candidate).toBe(false), wait);
      expect(await control().read(operation)).toMatchObject({ enabled: false });
    }
  });

  it("never opens a flag to everyone by switching it on, whatever became of its strategy", async () => {
    await pushed();
    const operation = `${migration}.upload`;
    const base = `${unleash.url}/api/admin/projects/${unleash.project}/features/${operation}/environments/${unleash.environment}`;
    const headers = { authorization: unleash.adminToken, "content-type": "application/json" };
    const present = (await (await fetch(base, { headers })).json()) as {
      strategies: { id: string }[];
    };
    for (const { id } of present.strategies) {
      await fetch(`${base}/strategies/${id}`, { method: "DELETE", headers });
    }
    expect(await control().read(operation)).toMatchObject({ enabled: false, percentage: 0 });
    expect(await control().setPercentage(operation, 1, ana)).toMatchObject({
      enabled: true,
      percentage: 1,
    });
    const after = (await (await fetch(base, { headers })).json()) as { strategies: unknown[] };
    expect(after.strategies).toHaveLength(1);
  });

  it("is diffed, pushed and checked on the command line", async () => {
    const environment = {
      CHANGEOVER_FLAGS_DIR: folder,
      CHANGEOVER_UNLEASH_URL: unleash.url,
      CHANGEOVER_UNLEASH_ADMIN_TOKEN: unleash.adminToken,
      CHANGEOVER_UNLEASH_PROJECT: unleash.project,
      CHANGEOVER_UNLEASH_ENVIRONMENT: unleash.environment,
    };
    const flags = (...words: string[]): Promise<Ran> =>
      changeover(["flags", ...words], { environment });
    const before = await flags("check");
    expect([before.code, before.stderr]).toEqual([1, ""]);
    expect(before.stdout).toContain(`${migration}.upload`);
    expect((await flags("push", "--dry-run")).stdout).toContain(`create ${migration}.upload`);
    expect((await flags("check")).code).toBe(1);
    const push = await flags("push", "--json");
    expect([push.code, push.stderr]).toEqual([0, ""]);
    expect(JSON.parse(push.stdout)).toMatchObject({ dryRun: false, left: [] });
    expect((await flags("check")).code).toBe(0);
    await control().setPercentage(`${migration}.upload`, 5, ana);
    expect((await flags("check")).code).toBe(0);
    expect((await flags("check", "--percentages")).code).toBe(1);
    expect((await flags("diff")).stdout).toMatch(/percentage +0 % +5 %/);
    expect((await flags("pull", "--percentages")).stdout).toContain("written");
    expect((await flags("check", "--percentages")).code).toBe(0);
  });

  it("says which token is wrong", async () => {
    const operation = `${migration}.upload`;
    const unknown = unleashControl({ ...access(), token: "user:nobody" });
    await expect(unknown.read(operation)).rejects.toMatchObject({
      code: "FLAGS_UNLEASH_UNAUTHORISED",
    });
    const reader = unleashControl({ ...access(), token: unleash.clientToken });
    await expect(reader.switchOff(operation, ana)).rejects.toMatchObject({
      code: "FLAGS_UNLEASH_FORBIDDEN",
    });
    await expect(control().read("nobody.knows")).rejects.toMatchObject({ code: "FLAGS_UNKNOWN" });
  });
});
