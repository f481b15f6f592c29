import { afterEach } from "vitest";
import { ByteBudget } from "../../src/base/byte-budget.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { Call } from "../../src/migration/call.ts";
import { Facade } from "../../src/migration/facade.ts";
import type { FlagSource } from "../../src/migration/flags.ts";
import type { OperationDefinition } from "../../src/migration/operation.ts";
import type { ShadowBudget } from "../../src/shadow/budget.ts";
import type { NoiseLimits } from "../../src/shadow/noise.ts";
import { Shadow, type ShadowResult } from "../../src/shadow/shadow.ts";

/** What a test may choose; by default legacy serves, and every call is shadowed. */
interface SetUp {
  readonly budget?: Partial<ShadowBudget>;
  readonly noise?: Partial<NoiseLimits>;
  readonly pressure?: () => boolean;
  readonly candidate?: boolean;
  readonly shadow?: boolean;
}

/** What a test works with. */
interface ShadowedFacade {
  readonly clock: ManualClock;
  readonly facade: Facade;
  readonly shadow: Shadow;
  readonly results: readonly ShadowResult[];
}

const leftOver: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of leftOver.splice(0)) await each.close();
});

/** A real facade with a real shadow behind it. */
export function setUp(settings: SetUp = {}): ShadowedFacade {
  const { candidate = false, shadow: shadowed = true, ...options } = settings;
  const clock = new ManualClock();
  const flags: FlagSource = {
    kind: "test",
    control: null,
    revision: () => 1,
    freshness: () => ({ state: "fresh", lastRefreshMs: 0 }),
    answer: () => ({ candidate, shadow: shadowed }),
    state: () => null,
    problems: () => [],
    ready: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const room = (name: string) =>
    new ByteBudget({ name, limitBytes: 1e12, queueMax: 1, waitMs: 1 }, clock);
  const facade = new Facade({
    ...{ flags, clock, logger: silentLogger, latches: [] },
    budgets: { legacy: room("legacy"), candidate: room("candidate") },
  });
  const shadow = new Shadow({
    ...{ clock, logger: silentLogger, report: facade.report, random: seededRandom(1) },
    ...options,
  });
  leftOver.push(shadow);
  facade.observations.subscribe((observation) => shadow.observe(observation));
  const results: ShadowResult[] = [];
  shadow.compared.subscribe((result) => results.push(result));
  return { clock, facade, shadow, results };
}

/** Lets everything happen that does not wait for the clock. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A path that answers when the test says so. */
export function held<T>(): {
  path: (input: unknown, call: Call) => Promise<T>;
  release: (v: T) => void;
  calls: Call[];
} {
  const { promise, resolve } = Promise.withResolvers<T>();
  const calls: Call[] = [];
  return {
    path: (_, call) => {
      calls.push(call);
      return promise;
    },
    release: resolve,
    calls,
  };
}

/** A read with these two paths. */
export const read = <O>(
  legacy: OperationDefinition<number, O>["legacy"],
  candidate: OperationDefinition<number, O>["candidate"],
  more: Partial<OperationDefinition<number, O>> = {},
): OperationDefinition<number, O> => ({
  name: "test.read",
  kind: "read",
  legacy,
  candidate,
  ...more,
});

/** What was skipped, by reason. */
export const countsOf = (shadow: Shadow): Record<string, number> =>
  Object.fromEntries(shadow.skipped);
/** The options of a call with a routing key. */
export const key: { readonly key: string } = { key: "k" };
