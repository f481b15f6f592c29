import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type DirectRollbackOptions,
  type DirectRollbackReport,
  hasDirectRoutes,
  rollBackDirectly,
} from "../../../src/app/rollback/direct-rollback.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { FakeUnleash } from "../../flags/unleash/fake-unleash.ts";
import { FleetDatabase } from "../../postgres/database.ts";

const names = ["image.crop", "image.resize"];
const environment = "/api/admin/projects/default/features/";

describe("a rollback while no process of ours answers", () => {
  let folder: string;
  let unleash: FakeUnleash;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "changeover-direct-"));
    unleash = await FakeUnleash.start();
    unleash.put("image", true, [{ rollout: "100" }]);
    for (const name of names) {
      unleash.put(name, true, [{ rollout: "50" }], "image");
      unleash.put(`${name}.shadow`, true, [{ rollout: "5" }], "image");
    }
    // Flags of somebody else.
    unleash.put("checkout.pay", true, [{ rollout: "100" }]);
  });
  afterEach(async () => {
    await unleash.close();
    await rm(folder, { recursive: true });
  });

  async function writeFlags(): Promise<void> {
    for (const name of names) {
      const flag = {
        ...{ kind: "operation", name, purpose: "p", owner: "o", removeBy: "2027-06-30" },
        ...{ enabled: true, percentage: 0, shadowPercentage: 0 },
        ...{ groupId: "image", stickiness: "routingKey" },
      };
      await writeFile(join(folder, `${name}.json`), JSON.stringify(flag));
    }
  }

  function rollBack(
    options: Partial<DirectRollbackOptions["config"]> & { operation?: string | null },
  ): Promise<DirectRollbackReport> {
    const { operation = null, ...config } = options;
    return rollBackDirectly({
      config: {
        ...{ dataDir: join(folder, "data"), flagsDir: folder, postgresUrl: null, unleashUrl: null },
        ...{ unleashAdminToken: "user:secret-of-mine", unleashProject: "default" },
        unleashEnvironment: "development",
        ...config,
      },
      ...{ clock: systemClock, operation, tryMs: 150, deadlineMs: 300 },
      change: { by: "ana", reason: "wrong hashes" },
    });
  }

  const journalled = (): Promise<string> =>
    readFile(join(folder, "data", "journal.ndjson"), "utf8");

  describe("with Unleash", () => {
    it("switches the kill switch off first, then each flag, and keeps what it did", async () => {
      await writeFlags();
      const { reached, routes, reports } = await rollBack({ unleashUrl: unleash.url });
      expect(reached).toBe("all");
      expect(unleash.writes[0]).toBe(`POST ${environment}image/environments/development/off`);
      expect(["image", ...names].map((name) => unleash.features.get(name)?.enabled)).toEqual([
        false,
        false,
        false,
      ]);
      expect(unleash.features.get("checkout.pay")?.enabled).toBe(true);
      expect(unleash.strategy("image.crop").title).toContain("rolled back by ana: wrong hashes");
      expect(routes).toMatchObject([
        { route: "unleash", state: "worked", detail: expect.stringContaining("2 of 2 flags off") },
        { route: "postgres", state: "not-set-up" },
      ]);
      expect(reports.map(({ operation, complete }) => [operation, complete])).toEqual([
        ["image", true],
        ["image.crop", true],
        ["image.resize", true],
      ]);
      expect(reports[1]?.flag).toMatchObject({ enabled: false, percentage: 0 });
      expect(await journalled()).toContain('"why":"wrong hashes"');
    });

    it("rolls back one operation by its short name and leaves the others alone", async () => {
      await writeFlags();
      const { reached } = await rollBack({ unleashUrl: unleash.url, operation: "crop" });
      expect(reached).toBe("all");
      expect(unleash.features.get("image")?.enabled).toBe(true);
      expect(unleash.features.get("image.crop")?.enabled).toBe(false);
      expect(unleash.features.get("image.resize")?.enabled).toBe(true);
    });

    it("learns the operations from Unleash where there are no flag files", async () => {
      const features = [...unleash.features.keys()].map((name) => ({ name }));
      unleash.fault = (line) =>
        line.endsWith("/default/features") ? { status: 200, body: { features } } : null;
      const { reports } = await rollBack({ unleashUrl: unleash.url });
      expect(reports.map(({ operation }) => operation)).toEqual(["image", ...names]);
      expect(unleash.features.get("checkout.pay")?.enabled).toBe(true);
    });

    it("has reached some callers when only one flag can be switched off, and says which", async () => {
      await writeFlags();
      unleash.fault = (line) =>
        /^POST .*(image\.resize|\/image)\//.test(line) ? { status: 500 } : null;
      const { reached, routes, reports } = await rollBack({ unleashUrl: unleash.url });
      expect([reached, routes[0]?.state]).toEqual(["some", "partly"]);
      expect(reports.map(({ complete }) => complete)).toEqual([false, true, false]);
    });

    it.each<[string, () => ReturnType<FakeUnleash["fault"]>, string]>([
      ["refuses the token", () => ({ status: 401 }), "FLAGS_UNLEASH_UNAUTHORISED"],
      ["hangs", () => "hang", "FLAGS_UNLEASH_UNAVAILABLE"],
    ])("has reached nobody when it %s, and never tells the token", async (_what, fault, code) => {
      await writeFlags();
      unleash.fault = fault;
      const report = await rollBack({ unleashUrl: unleash.url });
      expect(report).toMatchObject({
        reached: "none",
        routes: [{ state: "failed", detail: expect.stringContaining(code) }, {}],
      });
      expect(JSON.stringify(report)).not.toContain("secret-of-mine");
      expect(await journalled()).toContain(code);
    });

    it("says which setting is missing", async () => {
      await writeFlags();
      const { routes } = await rollBack({ unleashUrl: unleash.url, unleashAdminToken: null });
      expect(routes[0]).toMatchObject({
        state: "failed",
        detail: expect.stringContaining("CHANGEOVER_UNLEASH_ADMIN_TOKEN"),
      });
      expect(unleash.requests).toEqual([]);
    });

    it("changes nothing for an operation that does not exist", async () => {
      await writeFlags();
      await expect(
        rollBack({ unleashUrl: unleash.url, operation: "image.rotate" }),
      ).rejects.toMatchObject({
        code: "MIGRATION_UNKNOWN_OPERATION",
        message: expect.stringContaining("image.crop, image.resize"),
      });
      expect(unleash.writes).toEqual([]);
    });
  });

  describe("with Postgres", () => {
    let database: FleetDatabase;
    beforeAll(async () => {
      database = await FleetDatabase.open();
    });
    beforeEach(() => database.reset());
    afterAll(() => database.close());

    it("latches every instance while Unleash hangs, and writes the fleet's journal", async () => {
      await writeFlags();
      unleash.fault = () => "hang";
      const { reached, routes, reports } = await rollBack({
        unleashUrl: unleash.url,
        postgresUrl: database.url,
      });
      expect(reached).toBe("all");
      expect(routes.map(({ state }) => state)).toEqual(["failed", "worked"]);
      expect(reports.find(({ operation }) => operation === "image.crop")?.complete).toBe(false);
      const { fleet, journal } = await database.ports("other");
      const latches = await fleet.load();
      expect(latches.map(({ operation, tripped, by }) => [operation, tripped, by.name])).toEqual([
        ["image.crop", true, "ana"],
        ["image.resize", true, "ana"],
      ]);
      expect(await fleet.instances()).toEqual([]);
      const entries = await journal.read();
      expect(entries.map(({ operation, kind, why }) => [operation, kind, why])).toEqual([
        ["image.crop", "rollback", "wrong hashes"],
        ["image.resize", "rollback", "wrong hashes"],
      ]);
    });

    it("works by both routes at once, and may be said twice", async () => {
      await writeFlags();
      const both = { unleashUrl: unleash.url, postgresUrl: database.url };
      for (let time = 0; time < 2; time += 1) {
        const { reached, routes, reports } = await rollBack(both);
        expect([reached, ...routes.map(({ state }) => state)]).toEqual(["all", "worked", "worked"]);
        expect(reports.every(({ complete }) => complete)).toBe(true);
      }
      const { fleet } = await database.ports("other");
      expect((await fleet.load()).map(({ epoch }) => epoch)).toEqual([1, 1]);
    });
  });

  it("uses Unleash while Postgres takes connections and never answers", async () => {
    await writeFlags();
    const silent: Server = createServer(() => undefined);
    await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
    const { port } = silent.address() as AddressInfo;
    const postgresUrl = `postgres://u:secret-of-mine@127.0.0.1:${port}/d`;
    const report = await rollBack({ unleashUrl: unleash.url, postgresUrl });
    silent.close();
    expect(report.reached).toBe("all");
    expect(report.routes.map(({ state }) => state)).toEqual(["worked", "failed"]);
    expect(JSON.stringify(report)).not.toContain("secret-of-mine");
  });

  it("knows no operation without flag files and servers, and says what to do", async () => {
    expect(hasDirectRoutes({ unleashUrl: null, postgresUrl: null })).toBe(false);
    await expect(rollBack({ unleashUrl: "http://127.0.0.1:9" })).rejects.toMatchObject({
      code: "MIGRATION_UNKNOWN_OPERATION",
      message: expect.stringContaining("CHANGEOVER_FLAGS_DIR"),
    });
  });
});
