import type { Clock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import { defaultPolicy } from "../../src/guard/policy.ts";
import type { Verdict, VerdictKind } from "../../src/guard/verdict.ts";
import type { FlagControl, FlagSource } from "../../src/migration/flags.ts";
import { MemoryJournal } from "../../src/migration/journal.ts";
import { Latch } from "../../src/migration/latch.ts";
import { RolloutController } from "../../src/rollout/controller/controller.ts";
import type {
  RolloutControllerOptions,
  RolloutProduct,
} from "../../src/rollout/controller/product.ts";
import { MemoryLease, MemoryRolloutStore } from "../../src/rollout/memory-store.ts";
import { parsePlan, type RolloutPlan } from "../../src/rollout/plan/plan.ts";
import { exposureOf } from "../../src/rollout/world.ts";

export const operation = "shop.resize";

/** Five stages, each held for two seconds, ten calls each. */
export const quickPlan: RolloutPlan = parsePlan({
  profile: "quick",
  profiles: {
    quick: [0, 1, 10, 50, 100].map((percentage) => ({
      percentage,
      holdSeconds: 2,
      samples: percentage === 0 ? 0 : 10,
    })),
  },
});

/** A fleet of controllers over one store, one lease and one flag system; time is moved by hand. */
export class RolloutWorld {
  readonly clock: ManualClock = new ManualClock();
  readonly lease: MemoryLease = new MemoryLease(this.clock);
  readonly store: MemoryRolloutStore = new MemoryRolloutStore(this.lease);
  readonly flags: FlagSource = staticFlags({ [operation]: 0 });
  readonly control: FlagControl = controlOf(this.flags);
  readonly journal: MemoryJournal = new MemoryJournal();
  readonly latch: Latch = new Latch(operation, () => undefined);
  /** What every controller's guard says. */
  verdict: VerdictKind = "healthy";
  /** Calls on each path for each second. */
  callsPerSecond = 20;
  /** Every exposure the flag ever had. */
  readonly exposures: number[] = [];
  #calls = 0;

  /** What a flag read now would give. */
  get exposure(): number {
    const state = this.flags.state(operation);
    return state === null ? 0 : exposureOf(state);
  }

  controller(
    holder: string,
    change: Partial<RolloutControllerOptions> & { clock?: Clock } = {},
  ): RolloutController {
    return new RolloutController({
      product: this.product(),
      plan: quickPlan,
      policy: defaultPolicy,
      store: this.store,
      lease: this.lease,
      holder,
      control: this.control,
      journal: this.journal,
      clock: this.clock,
      logger: silentLogger,
      fleet: null,
      ...change,
    });
  }

  /** Lets a second pass, with its calls, and each of these controllers look once. */
  async second(...controllers: readonly RolloutController[]): Promise<void> {
    this.pass();
    for (const controller of controllers) await controller.tick();
    this.exposures.push(this.exposure);
  }

  /** A second with its calls, in which nobody looks. */
  pass(): void {
    this.clock.advance(1000);
    this.#calls += this.callsPerSecond;
  }

  async seconds(count: number, ...controllers: readonly RolloutController[]): Promise<void> {
    for (let second = 0; second < count; second += 1) await this.second(...controllers);
  }

  /** Seconds until the flag gives so much; fails after a minute. */
  async until(percentage: number, ...controllers: readonly RolloutController[]): Promise<void> {
    for (let second = 0; second < 60; second += 1) {
      if (this.exposure === percentage) return;
      await this.second(...controllers);
    }
    throw new Error(`The flag gives ${this.exposure} % after a minute and not ${percentage} %.`);
  }

  trip(reason = "errors"): void {
    const at = new Date(this.clock.now()).toISOString();
    this.latch.trip({ by: { type: "rule", name: "error-rate" }, reason, at });
  }

  /** What a rollback does: latch and flag. */
  async rollBack(): Promise<void> {
    this.trip();
    await this.control.switchOff(operation, { by: "error-rate", reason: "errors" });
  }

  product(): RolloutProduct {
    return {
      operations: () => [
        {
          name: operation,
          kind: "read",
          shadowable: true,
          latch: {
            tripped: this.latch.tripped,
            epoch: this.latch.epoch,
            reason: this.latch.record?.reason ?? "",
          },
        },
      ],
      verdicts: () => [this.#verdictNow()],
      totals: () => {
        const path = { calls: this.#calls, failed: 0, timedOut: 0, durationMs: this.#calls };
        return { legacy: path, candidate: path, compared: this.#calls };
      },
      flag: () => this.flags.state(operation),
      beginPeriod: () => undefined,
      setComplete: () => undefined,
      rollBack: () => this.rollBack(),
    };
  }

  #verdictNow(): Verdict {
    return {
      operation,
      rule: "error-rate",
      kind: this.verdict,
      action: "none",
      page: false,
      applies: true,
      observed: null,
      limit: null,
      samples: 0,
      sinceMs: null,
      sentence: "As the test says.",
    };
  }
}

/** Flags of a test that can be written. */
export function controlOf(flags: FlagSource): FlagControl {
  if (flags.control === null) throw new Error("These flags cannot be written.");
  return flags.control;
}

export const ann = { by: "ann", reason: "a test" };
