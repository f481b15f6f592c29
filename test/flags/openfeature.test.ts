import { type EvaluationContext, InMemoryProvider, OpenFeature } from "@openfeature/server-sdk";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { type OpenFeatureFlagsOptions, openFeatureFlags } from "../../src/flags/openfeature.ts";
import type { FlagSource } from "../../src/migration/flags.ts";

const operation = "files.upload";
const variants = { on: true, off: false };
type Configuration = NonNullable<ConstructorParameters<typeof InMemoryProvider>[0]>;

const opened: FlagSource[] = [];
let domains = 0;

const open = async (more: Partial<OpenFeatureFlagsOptions>): Promise<FlagSource> => {
  domains += 1;
  const flags = openFeatureFlags({ domain: `test-${domains}`, ...more });
  opened.push(flags);
  await flags.ready();
  return flags;
};

afterEach(async () => {
  for (const flags of opened.splice(0)) await flags.close();
});

const configuration = (on: (key: string) => boolean, shadow?: boolean): Configuration => ({
  [operation]: {
    variants,
    disabled: false,
    defaultVariant: "off",
    contextEvaluator: (context: EvaluationContext) =>
      on(String(context.targetingKey)) ? "on" : "off",
  },
  ...(shadow === undefined
    ? {}
    : {
        [`${operation}.shadow`]: {
          variants,
          disabled: false,
          defaultVariant: shadow ? "on" : "off",
        },
      }),
});

describe("flags of an OpenFeature provider", () => {
  it("serve a new key by legacy until the provider has answered, and grow their revision then", async () => {
    const flags = await open({
      provider: new InMemoryProvider(configuration((key) => key === "a", true)),
    });
    expect(flags.freshness().state).toBe("fresh");
    const before = flags.revision();
    expect(flags.answer(operation, "a")).toEqual({ candidate: false, shadow: false });
    await vi.waitFor(() => expect(flags.revision()).toBeGreaterThan(before));
    expect(flags.answer(operation, "a")).toEqual({ candidate: true, shadow: true });
    flags.answer(operation, "b");
    await vi.waitFor(() => expect(flags.answer(operation, "b").shadow).toBe(true));
    expect(flags.answer(operation, "b").candidate).toBe(false);
    expect(flags.state(operation)).toBeNull();
    expect(flags.control).toBeNull();
  });

  it("take a flag that does not exist as off, which is no problem", async () => {
    const flags = await open({ provider: new InMemoryProvider({}) });
    const before = flags.revision();
    flags.answer(operation, "a");
    await new Promise((done) => setTimeout(done, 100));
    expect(flags.answer(operation, "a")).toEqual({ candidate: false, shadow: false });
    expect(flags.problems()).toEqual([]);
    expect(flags.revision()).toBe(before);
  });

  it("follow a change of the provider's configuration", async () => {
    const provider = new InMemoryProvider(configuration(() => true));
    const flags = await open({ provider });
    const isOn = (): boolean => flags.answer(operation, "a").candidate;
    await vi.waitFor(() => expect(isOn()).toBe(true));
    await provider.putConfiguration(configuration(() => false));
    await vi.waitFor(() => expect(isOn()).toBe(false));
  });

  it("ask again by age, where the provider tells of no change", async () => {
    const clock = new ManualClock();
    let on = true;
    const provider = new InMemoryProvider(configuration(() => on));
    const flags = await open({ provider, clock, refreshMs: 1000 });
    const isOn = (): boolean => flags.answer(operation, "a").candidate;
    await vi.waitFor(() => expect(isOn()).toBe(true));
    on = false;
    const before = flags.revision();
    expect(isOn()).toBe(true);
    clock.advance(1001);
    expect(flags.revision()).toBeGreaterThan(before);
    await vi.waitFor(() => expect(isOn()).toBe(false));
  });

  it("are legacy again when the provider has been silent for too long", async () => {
    const clock = new ManualClock();
    let broken = false;
    const provider = new InMemoryProvider(
      configuration(() => {
        if (broken) throw new Error("no");
        return true;
      }),
    );
    const flags = await open({ provider, clock, refreshMs: 1000, staleMs: 5000 });
    const isOn = (): boolean => flags.answer(operation, "a").candidate;
    await vi.waitFor(() => expect(isOn()).toBe(true));
    broken = true;
    clock.advance(2000);
    expect(isOn()).toBe(true);
    await vi.waitFor(() => expect(flags.problems()[0]?.message).toContain("cannot judge"));
    clock.advance(4000);
    expect(isOn()).toBe(false);
  });

  it("do not wait for an evaluation that never ends, and start no more than allowed", async () => {
    const clock = new ManualClock();
    const provider = new InMemoryProvider({});
    let running = 0;
    provider.resolveBooleanEvaluation = () => {
      running += 1;
      return new Promise(() => undefined);
    };
    const flags = await open({ provider, clock, concurrency: 2, waitingMax: 3, evaluateMs: 1000 });
    for (let n = 0; n < 50; n += 1) {
      expect(flags.answer(operation, `k${n}`).candidate).toBe(false);
    }
    await vi.waitFor(() => expect(running).toBe(4));
    clock.advance(1000);
    await vi.waitFor(() => expect(running).toBe(8));
    expect(flags.problems()[0]?.message).toContain("in time");
  });

  it("were never loaded while the provider cannot start, and keep nobody waiting", async () => {
    const provider = Object.assign(new InMemoryProvider({}), {
      initialize: () => Promise.reject(new Error("no server")),
    });
    const flags = await open({ provider });
    expect(flags.freshness()).toEqual({ state: "never", lastRefreshMs: null });
    expect(flags.problems()).toHaveLength(1);
  });

  it("take a client whose provider stays its owner's", async () => {
    const provider = new InMemoryProvider(configuration(() => true));
    const closed = vi.fn();
    Object.assign(provider, { onClose: async () => closed() });
    await OpenFeature.setProviderAndWait("mine", provider);
    const flags = await open({ client: OpenFeature.getClient("mine") });
    await vi.waitFor(() => expect(flags.answer(operation, "a").candidate).toBe(true));
    await flags.close();
    expect(closed).not.toHaveBeenCalled();
    expect(flags.answer(operation, "a").candidate).toBe(false);
    await OpenFeature.clearProviders();
  });

  it("need a client or a provider, and not both", () => {
    const refused = expect.objectContaining({ code: "FLAGS_INVALID_OPTIONS" });
    expect(() => openFeatureFlags({})).toThrow(refused);
    const both = { client: OpenFeature.getClient("x"), provider: new InMemoryProvider({}) };
    expect(() => openFeatureFlags(both)).toThrow(refused);
  });
});
