import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../src/base/manual-clock.ts";
import {
  type UnleashFlagsOptions,
  unleashFlags,
} from "../../../src/flags/unleash/unleash-flags.ts";
import type { FlagSource } from "../../../src/migration/flags.ts";
import { type FakeStrategy, FakeUnleash } from "./fake-unleash.ts";

const operation = "files.upload";
const wait = { timeout: 15_000, interval: 10 };

let fake: FakeUnleash;
let opened: FlagSource[];

beforeEach(async () => {
  fake = await FakeUnleash.start();
  opened = [];
});

afterEach(async () => {
  for (const flags of opened) await flags.close();
  await fake.close();
});

const make = (more: Partial<UnleashFlagsOptions> = {}): FlagSource => {
  const options = { url: fake.url, token: "t", appName: "test", refreshMs: 100, ...more };
  const flags = unleashFlags(options);
  opened.push(flags);
  return flags;
};

const open = async (more: Partial<UnleashFlagsOptions> = {}): Promise<FlagSource> => {
  const flags = make(more);
  await flags.ready();
  return flags;
};

const isOn = (flags: FlagSource, key = "a"): boolean => flags.answer(operation, key).candidate;
const messages = (flags: FlagSource): string =>
  flags
    .problems()
    .map(({ subject, message }) => `${subject}: ${message}`)
    .join("\n");

describe("cohorts of Unleash flags", () => {
  it("nest from 0.1 to 100 % over 20,000 keys, and are the same after a restart", async () => {
    const keys = Array.from({ length: 20_000 }, (_, n) => `customer-${n}`);
    const stages = [0, 0.1, 0.5, 1, 10, 50, 95, 100];
    const cohort = (flags: FlagSource): Set<string> =>
      new Set(keys.filter((key) => isOn(flags, key)));
    fake.put(operation, true);
    const flags = await open({ admin: { token: "admin" } });
    let before = new Set<string>();
    for (const percentage of stages) {
      await flags.control?.setPercentage(operation, percentage, { by: "a", reason: "b" });
      const seen = (): number | undefined => flags.state(operation)?.percentage;
      await vi.waitFor(() => expect(seen()).toBe(percentage), wait);
      const now = cohort(flags);
      expect([...before].every((key) => now.has(key))).toBe(true);
      // Four standard deviations of a fair draw.
      const spread = 4 * Math.sqrt(percentage * (100 - percentage) * 2);
      expect(Math.abs(now.size - percentage * 200)).toBeLessThanOrEqual(spread);
      if (percentage > 0) expect(now.size).toBeGreaterThan(before.size);
      const restarted = await open();
      expect(cohort(restarted)).toEqual(now);
      await restarted.close();
      before = now;
    }
  });
});

describe("what is refused, so that every key stays on legacy", () => {
  const sound = { rollout: "100", stickiness: "routingKey", groupId: "files" };
  const variants = (...names: string[]): unknown[] =>
    names.map((name) => ({ name, weight: 500, stickiness: "routingKey" }));
  it.each<[string, readonly Partial<FakeStrategy>[], RegExp]>([
    ["default stickiness", [{ parameters: { ...sound, stickiness: "default" } }], /default/],
    ["random stickiness", [{ parameters: { ...sound, stickiness: "random" } }], /random/],
    ["no stickiness", [{ parameters: { rollout: "100", groupId: "files" } }], /missing/],
    [
      "a stickiness that calls do not have",
      [{ parameters: { ...sound, stickiness: "userId" } }],
      /userId/,
    ],
    ["no group", [{ parameters: { ...sound, groupId: "" } }], /groupId/],
    ["150 percent", [{ parameters: { ...sound, rollout: "150" } }], /150/],
    ["a rollout in words", [{ parameters: { ...sound, rollout: "abc" } }], /abc/],
    ["half a percent", [{ parameters: { ...sound, rollout: "0.5" } }], /0\.5/],
    ["a negative rollout", [{ parameters: { ...sound, rollout: "-1" } }], /-1/],
    ["a strategy of another kind", [{ name: "default" }], /default/],
    ["no strategy at all", [], /without a strategy/],
    [
      "a bad strategy beside a good one",
      [{ parameters: sound }, { name: "remoteAddress" }],
      /remoteAddress/,
    ],
    [
      "variants in another order",
      [{ parameters: sound, variants: variants("a", "candidate") }],
      /first/,
    ],
    [
      "variants that change from call to call",
      [{ parameters: sound, variants: [{ name: "candidate", weight: 1, stickiness: "random" }] }],
      /random/,
    ],
  ])("%s", async (_what, strategies, why) => {
    fake.put(operation, true, strategies);
    const flags = await open();
    for (const key of ["a", "b", "c"]) expect(isOn(flags, key)).toBe(false);
    expect(messages(flags)).toMatch(why);
    expect(flags.state(operation)).toMatchObject({ percentage: 0 });
  });

  it("but not flags that nobody asks for", async () => {
    fake.put("other.team", true, [{ name: "default" }]);
    expect((await open()).problems()).toEqual([]);
  });
});

describe("the kill switch of a migration", () => {
  it.each(["declared as the parent", "known by its name only"])(
    "%s, stops its operations",
    async (how) => {
      const parent = how.startsWith("declared") ? "files" : undefined;
      fake.put("files", true, [{ rollout: "100" }]);
      fake.put(operation, true, [{ rollout: "100" }], parent);
      fake.put(`${operation}.shadow`, true, [{ rollout: "100" }], parent);
      const flags = await open();
      expect(flags.answer(operation, "a")).toEqual({ candidate: true, shadow: true });
      fake.put("files", false, [{ rollout: "100" }]);
      await vi.waitFor(() => expect(isOn(flags)).toBe(false), wait);
      expect(flags.answer(operation, "a").shadow).toBe(false);
      expect(flags.state(operation)).toMatchObject({ enabled: false, shadowPercentage: 0 });
    },
  );

  it("that does not exist, though declared, counts as off", async () => {
    fake.put(operation, true, [{ rollout: "100" }], "gone");
    const flags = await open();
    expect(isOn(flags)).toBe(false);
    expect(flags.state(operation)?.enabled).toBe(false);
  });
});

describe("a server in trouble", () => {
  it("that is down at the start leaves everyone on legacy, and is joined later", async () => {
    const { url } = fake;
    await fake.close();
    const flags = make({ url, readyMs: 50 });
    await flags.ready();
    expect(flags.freshness()).toEqual({ state: "never", lastRefreshMs: null });
    expect(isOn(flags)).toBe(false);
    expect(flags.state(operation)).toBeNull();
    fake = await FakeUnleash.start(Number(new URL(url).port));
    fake.put(operation, true, [{ rollout: "100" }]);
    await vi.waitFor(() => expect(isOn(flags)).toBe(true), wait);
    expect(flags.freshness().state).toBe("fresh");
    expect(flags.problems()).toEqual([]);
  });

  it("that never answers does not keep anyone waiting", async () => {
    fake.fault = () => "hang";
    const flags = await open({ readyMs: 50 });
    expect(flags.freshness().state).toBe("never");
    expect(isOn(flags)).toBe(false);
  });

  it.each([401, 403])(
    "that answers %i in the middle is asked again until it answers",
    async (status) => {
      fake.put(operation, true, [{ rollout: "100" }]);
      const clock = new ManualClock();
      const flags = await open({ clock, staleMs: 30_000 });
      expect(isOn(flags)).toBe(true);
      fake.fault = () => ({ status });
      await vi.waitFor(() => expect(messages(flags)).toContain(`(${status})`), wait);
      expect(isOn(flags)).toBe(true);
      const asked = fake.requests.length;
      // The SDK has stopped for good: only our clock brings the next requests.
      await new Promise((done) => setTimeout(done, 400));
      expect(fake.requests.length).toBe(asked);
      clock.advance(31_000);
      expect(flags.freshness().state).toBe("stale");
      await vi.waitFor(() => expect(fake.requests.length).toBeGreaterThan(asked), wait);
      fake.fault = () => null;
      fake.put(operation, false);
      await vi.waitFor(() => {
        clock.advance(1000);
        expect(isOn(flags)).toBe(false);
      }, wait);
      expect(flags.freshness().state).toBe("fresh");
      expect(flags.problems()).toEqual([]);
    },
  );

  it.each([{ status: 500 }, "reset"] as const)(
    "that fails with %j keeps its last answers until it is back",
    async (fault) => {
      fake.put(operation, true, [{ rollout: "100" }]);
      const clock = new ManualClock();
      const flags = await open({ clock });
      fake.fault = () => fault;
      await vi.waitFor(() => expect(messages(flags)).toContain("cannot be read"), wait);
      expect(isOn(flags)).toBe(true);
      clock.advance(30_001);
      expect(flags.freshness().state).toBe("stale");
      fake.fault = () => null;
      await vi.waitFor(() => expect(flags.freshness().state).toBe("fresh"), wait);
    },
  );

  it("that answers with something else than flags is no contact", async () => {
    fake.fault = () => ({ status: 200, body: { hello: "you" } });
    const flags = await open();
    await vi.waitFor(() => expect(messages(flags)).not.toBe(""), wait);
    expect(flags.freshness().state).toBe("never");
  });

  it("may be left in the middle of a failing request without harm", async () => {
    const unhandled = vi.fn();
    process.on("uncaughtException", unhandled);
    process.on("unhandledRejection", unhandled);
    const flags = await open();
    const { promise: after, resolve: answer } = Promise.withResolvers<void>();
    fake.fault = () => ({ status: 401, after });
    const asked = fake.requests.length;
    await vi.waitFor(() => expect(fake.requests.length).toBeGreaterThan(asked), wait);
    await flags.close();
    await flags.close();
    expect(isOn(flags)).toBe(false);
    answer();
    // The SDK hears of it a few turns after the server has sent it.
    await new Promise((done) => setTimeout(done, 300));
    process.off("uncaughtException", unhandled);
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe("options of Unleash flags", () => {
  it.each<[string, Partial<UnleashFlagsOptions>]>([
    ["no address", { url: "unleash" }],
    ["a password in the address", { url: "http://a:b@127.0.0.1" }],
    ["no token", { token: "" }],
    ["a request time that the SDK cannot do", { timeoutMs: 500 }],
    ["no pause", { refreshMs: 0 }],
  ])("are refused with %s", (_what, more) => {
    const options = { url: fake.url, token: "t", appName: "test", ...more };
    expect(() => unleashFlags(options)).toThrow(
      expect.objectContaining({ code: "FLAGS_INVALID_OPTIONS" }),
    );
  });

  it("take an address with or without /api", async () => {
    fake.put(operation, true, [{ rollout: "100" }]);
    for (const tail of ["", "/", "/api", "/api/"]) {
      expect(isOn(await open({ url: `${fake.url}${tail}` }))).toBe(true);
    }
  });
});
