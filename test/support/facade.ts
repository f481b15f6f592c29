import { ByteBudget } from "../../src/base/byte-budget.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { type StaticFlag, staticFlags } from "../../src/flags/static-flags.ts";
import { Facade, type FacadeOptions } from "../../src/migration/facade.ts";
import type { Observation } from "../../src/migration/observation.ts";

/** A facade on static flags and a manual clock, together with everything it announced. */
export interface TestFacade {
  readonly facade: Facade;
  readonly clock: ManualClock;
  readonly seen: Observation[];
}

/** Limits of both admission budgets in a test, in bytes. */
export interface TestBudgets {
  readonly legacyBytes?: number;
  readonly candidateBytes?: number;
  readonly waitMs?: number;
  readonly queueMax?: number;
}

export function makeFacade(
  flags: Readonly<Record<string, StaticFlag>> = {},
  options: Partial<FacadeOptions> & { readonly limits?: TestBudgets } = {},
): TestFacade {
  const clock = new ManualClock();
  const {
    legacyBytes = 1e9,
    candidateBytes = 1e9,
    waitMs = 1000,
    queueMax = 100,
  } = options.limits ?? {};
  const budget = (name: string, limitBytes: number): ByteBudget =>
    new ByteBudget({ name, limitBytes, queueMax, waitMs }, clock);
  const facade = new Facade({
    flags: staticFlags(flags),
    clock,
    logger: silentLogger,
    budgets: {
      legacy: budget("legacy", legacyBytes),
      candidate: budget("candidate", candidateBytes),
    },
    latches: [],
    ...options,
  });
  const seen: Observation[] = [];
  facade.observations.subscribe((observation) => seen.push(observation));
  return { facade, clock, seen };
}

/** Lets everything run that waits for nothing but its turn. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
