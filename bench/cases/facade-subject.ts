import { ByteBudget } from "../../src/base/byte-budget.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import { Guard } from "../../src/guard/guard.ts";
import { MetricsRecorder } from "../../src/metrics/recorder.ts";
import { Facade } from "../../src/migration/facade.ts";
import type { MigratedFunction } from "../../src/migration/operation.ts";

/** What the facade is called with in one comparison against a direct call. */
export interface FacadeVariant {
  readonly name: string;
  /** Share of keys on the candidate. */
  readonly percentage: number;
  /** `same`: one key, so the flag's answer is cached. `fresh`: a new key for every call. */
  readonly key: "same" | "fresh";
  /** Who listens to the observations. */
  readonly listeners: readonly ("metrics" | "guard")[];
}

/** The variants, by what each one adds. */
export const facadeVariants: readonly FacadeVariant[] = [
  { name: "flag off", percentage: 0, key: "same", listeners: [] },
  { name: "flag on", percentage: 100, key: "same", listeners: [] },
  { name: "fresh keys", percentage: 50, key: "fresh", listeners: [] },
  { name: "flag on + metrics", percentage: 100, key: "same", listeners: ["metrics"] },
  { name: "flag on + guard", percentage: 100, key: "same", listeners: ["guard"] },
  {
    name: "flag on + metrics + guard",
    percentage: 100,
    key: "same",
    listeners: ["metrics", "guard"],
  },
];

/** One call, direct or through the facade. */
export type OneCall = (input: number) => Promise<number>;

/** A path that does nothing worth measuring; the direct call of every comparison. */
export const directCall: OneCall = async (input) => input + 1;

/** A facade as `variant` wants it, around two paths that do what {@link directCall} does. */
export function facadeCall(variant: FacadeVariant): OneCall {
  const name = "bench.call";
  const facade = new Facade({
    flags: staticFlags({ [name]: variant.percentage }),
    clock: systemClock,
    logger: silentLogger,
    budgets: { legacy: budget("legacy"), candidate: budget("candidate") },
    latches: [],
  });
  if (variant.listeners.includes("metrics")) connectMetrics(facade);
  if (variant.listeners.includes("guard")) connectGuard(facade);
  const migrated: MigratedFunction<number, number> = facade.migrate<number, number>({
    name,
    kind: "read",
    legacy: async (input) => input + 1,
    candidate: async (input) => input + 1,
  });
  if (variant.key === "same") {
    const options = { key: "user-4711" };
    return (input) => migrated(input, options);
  }
  let count = 0;
  return (input) => {
    count += 1;
    return migrated(input, { key: `user-${count}` });
  };
}

function connectMetrics(facade: Facade): void {
  const recorder = new MetricsRecorder();
  facade.operationAdded.subscribe((operation) => recorder.addOperation(operation));
  facade.observations.subscribe((observation) => recorder.observation(observation));
}

function connectGuard(facade: Facade): void {
  const { report } = facade;
  const guard = new Guard({ clock: systemClock, logger: silentLogger, report });
  facade.operationAdded.subscribe((operation) => guard.watch(operation));
  facade.observations.subscribe((observation) => guard.observe(observation));
}

function budget(name: string): ByteBudget {
  return new ByteBudget({ name, limitBytes: 1e9, queueMax: 1, waitMs: 1 }, systemClock);
}
