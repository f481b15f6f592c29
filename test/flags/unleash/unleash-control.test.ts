import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  switchMigrationOff,
  type UnleashControl,
  type UnleashControlOptions,
  unleashControl,
} from "../../../src/flags/unleash/unleash-control.ts";
import { FakeUnleash } from "./fake-unleash.ts";

const operation = "files.upload";
const ana = { by: "ana", reason: "wrong hashes" };
const features = "/api/admin/projects/default/features";
const at = (name: string): string => `${features}/${name}/environments/development`;

let fake: FakeUnleash;

beforeEach(async () => {
  fake = await FakeUnleash.start();
});
afterEach(() => fake.close());

const make = (more: Partial<UnleashControlOptions> = {}): UnleashControl =>
  unleashControl({ url: fake.url, token: "secret-token", tryMs: 2000, deadlineMs: 500, ...more });

describe("switching off", () => {
  it("writes off first, then 0 with the reason in the title, and reads back", async () => {
    fake.put(operation, true, [{ rollout: "50" }]);
    await make().switchOff(operation, ana);
    expect(fake.writes).toEqual([
      `POST ${at(operation)}/off`,
      expect.stringMatching(`PATCH ${at(operation)}/strategies/`),
    ]);
    expect(fake.requests.at(-1)).toMatch(/^GET/);
    const { parameters, title } = fake.strategy(operation);
    expect(parameters["rollout"]).toBe("0");
    expect(title).toBe("changeover: rolled back by ana: wrong hashes");
    expect(fake.features.get(operation)?.enabled).toBe(false);
  });

  it("is one request for all who ask at the same time", async () => {
    fake.put(operation, true, [{ rollout: "50" }]);
    const control = make();
    const states = await Promise.all(
      Array.from({ length: 20 }, () => control.switchOff(operation, ana)),
    );
    expect(fake.writes.filter((each) => each.endsWith("/off"))).toHaveLength(1);
    expect(new Set(states).size).toBe(1);
  });

  it("switches off again when somebody switches on in between", async () => {
    fake.put(operation, true, [{ rollout: "50" }]);
    let times = 0;
    fake.after = (request) => {
      if (!request.startsWith("PATCH")) return;
      times += 1;
      const feature = fake.features.get(operation);
      if (feature) feature.enabled = true;
    };
    expect(await make().switchOff(operation, ana)).toMatchObject({ enabled: false, percentage: 0 });
    expect(times).toBe(1);
  });

  it("counts as done when only the percentage could not be set", async () => {
    fake.put(operation, true, [{ rollout: "50" }]);
    fake.fault = (request) => (request.startsWith("PATCH") ? { status: 400 } : null);
    expect(await make().switchOff(operation, ana)).toMatchObject({
      enabled: false,
      percentage: 50,
    });
  });

  it("tries again after errors, cut connections and requests that hang", async () => {
    fake.put(operation, true, [{ rollout: "50" }]);
    const faults = [{ status: 500 }, "reset", "hang", { status: 503 }] as const;
    let n = 0;
    fake.fault = () => faults[n++] ?? null;
    const state = await make({ tryMs: 100, deadlineMs: 10_000 }).switchOff(operation, ana);
    expect(state).toMatchObject({ enabled: false, percentage: 0 });
  });

  it("gives up at its deadline when the server hangs, and says so", async () => {
    fake.fault = () => "hang";
    await expect(
      make({ tryMs: 50, deadlineMs: 200 }).switchOff(operation, ana),
    ).rejects.toMatchObject({ code: "FLAGS_UNLEASH_UNAVAILABLE", retryable: true });
  });

  it("beats a percentage that is being set at the same time", async () => {
    fake.put(operation, true, [{ rollout: "1" }]);
    const control = make();
    const raising = control.setPercentage(operation, 50, ana).catch((error: unknown) => error);
    const off = control.switchOff(operation, ana);
    await Promise.all([raising, off]);
    expect(await control.read(operation)).toMatchObject({ enabled: false });
    const later = control.setPercentage(operation, 50, ana);
    await expect(later).rejects.toMatchObject({ code: "FLAGS_HELD" });
  });

  it("takes a whole migration in one write", async () => {
    fake.put("files", true, [{ rollout: "100" }]);
    await switchMigrationOff({ url: fake.url, token: "t", migration: "files" });
    expect(fake.writes).toEqual([`POST ${at("files")}/off`]);
    expect(fake.features.get("files")?.enabled).toBe(false);
  });
});

describe("setting a percentage", () => {
  it("makes a sound strategy before it switches on a flag that has none", async () => {
    fake.put(operation, false, []);
    expect(await make().setPercentage(operation, 10, ana)).toMatchObject({
      enabled: true,
      percentage: 10,
    });
    expect(fake.features.get(operation)?.strategies).toHaveLength(1);
    expect(fake.strategy(operation).parameters).toEqual({
      rollout: "10",
      stickiness: "routingKey",
      groupId: "files",
    });
    expect(fake.writes.map((each) => each.split("/").at(-1))).toEqual(["strategies", "on"]);
  });

  it("enables its strategy before it switches on a flag whose only one is disabled", async () => {
    fake.put(operation, false, [{ rollout: "100", disabled: true }]);
    await make().setPercentage(operation, 1, ana);
    expect(fake.features.get(operation)?.strategies).toHaveLength(1);
    expect(fake.strategy(operation)).toMatchObject({ disabled: false });
    expect(fake.strategy(operation).parameters["rollout"]).toBe("1");
  });

  it("asks for nothing but a patch where the flag is on", async () => {
    fake.put(operation, true);
    await make().setPercentage(operation, 10, ana, { mayEnable: false });
    expect(fake.writes).toHaveLength(1);
    expect(fake.writes[0]).toMatch(/^PATCH/);
  });

  it("says a share below one percent by variants, and takes them away above", async () => {
    fake.put(operation, true);
    const control = make();
    expect(await control.setPercentage(operation, 0.1, ana)).toMatchObject({ percentage: 0.1 });
    expect(fake.strategy(operation).parameters["rollout"]).toBe("1");
    expect(fake.strategy(operation).variants).toMatchObject([
      { name: "candidate", weight: 100 },
      { name: "legacy", weight: 900 },
    ]);
    expect(await control.setPercentage(operation, 1, ana)).toMatchObject({ percentage: 1 });
    expect(fake.strategy(operation).variants).toEqual([]);
  });

  it("leaves a flag alone that another strategy opens wider", async () => {
    fake.put(operation, true, [{}, { rollout: "80" }]);
    await expect(make().setPercentage(operation, 10, ana)).rejects.toMatchObject({
      code: "FLAGS_DRIFT",
    });
    expect(fake.writes).toEqual([]);
  });

  it("refuses a flag that is not sticky as it must be", async () => {
    const parameters = { rollout: "0", stickiness: "default", groupId: "files" };
    fake.put(operation, false, [{ parameters }]);
    await expect(make().setPercentage(operation, 10, ana)).rejects.toMatchObject({
      code: "FLAGS_UNSAFE_STRATEGY",
    });
    expect(fake.writes).toEqual([]);
  });

  it("writes nothing when the strategy was changed since it was read", async () => {
    fake.put(operation, true);
    let once = true;
    fake.after = (request) => {
      if (!once || !request.startsWith("GET")) return;
      once = false;
      fake.strategy(operation).parameters["rollout"] = "7";
    };
    await expect(make().setPercentage(operation, 10, ana)).rejects.toMatchObject({
      code: "FLAGS_DRIFT",
    });
    expect(fake.strategy(operation).parameters["rollout"]).toBe("7");
  });

  it("does not leave a flag on that somebody opened wider while it was switched on", async () => {
    fake.put(operation, false, [{ rollout: "1" }]);
    fake.after = (request) => {
      if (request.endsWith("/on")) fake.strategy(operation).parameters["rollout"] = "100";
    };
    await expect(make().setPercentage(operation, 10, ana)).rejects.toMatchObject({
      code: "FLAGS_DRIFT",
    });
    expect(fake.features.get(operation)?.enabled).toBe(false);
  });

  it("is done once, also when the answer to its write was lost", async () => {
    fake.put(operation, true);
    let lost = false;
    fake.after = (request) => {
      if (lost || !request.startsWith("PATCH")) return null;
      lost = true;
      return "reset";
    };
    const state = await make({ tryMs: 200, deadlineMs: 5000 }).setPercentage(operation, 10, ana);
    expect(state).toMatchObject({ percentage: 10 });
    expect(fake.writes).toHaveLength(1);
  });
});

describe("refusals of the server", () => {
  it.each<[number, unknown, string, RegExp]>([
    [401, {}, "FLAGS_UNLEASH_UNAUTHORISED", /CHANGEOVER_UNLEASH_ADMIN_TOKEN/],
    [403, { permissions: ["UPDATE_FEATURE"] }, "FLAGS_UNLEASH_FORBIDDEN", /UPDATE_FEATURE/],
    [403, { message: "Change requests are enabled" }, "FLAGS_UNLEASH_CHANGE_REQUEST", /skip/],
    [400, { message: "no such thing" }, "FLAGS_UNLEASH_REJECTED", /no such thing/],
    [500, { message: "Knex: Timeout" }, "FLAGS_UNLEASH_UNAVAILABLE", /500/],
    [404, {}, "FLAGS_UNKNOWN", /flags push/],
    [200, { enabled: "yes" }, "FLAGS_UNLEASH_REJECTED", /enabled/],
  ])("%i %j are %s", async (status, body, code, message) => {
    fake.fault = () => ({ status, body });
    const error = await make()
      .read(operation)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(String(error)).not.toContain("secret-token");
  });
});
