import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Policy } from "../../guard/policy.ts";
import type { Verdict } from "../../guard/verdict.ts";
import type { FlagControl, FlagState } from "../../migration/flags.ts";
import type { Fleet } from "../../migration/fleet.ts";
import type { Actor, Journal } from "../../migration/journal.ts";
import type { EvidenceTotals } from "../evidence.ts";
import type { RolloutPlan } from "../plan/plan.ts";
import type { Lease, RolloutStore, TotalsSource } from "../ports.ts";

/** One operation, as far as a rollout is concerned. */
export interface RolloutOperation {
  readonly name: string;
  readonly kind: "read" | "write";
  readonly shadowable: boolean;
  readonly latch: {
    readonly tripped: boolean;
    readonly epoch: number;
    readonly reason: string;
  };
}

/** What the controller needs of the product that it rolls out: this process's part of it. */
export interface RolloutProduct {
  operations(): readonly RolloutOperation[];
  /** This process's verdicts, the overall one first. */
  verdicts(operation: string): readonly Verdict[];
  /** What this process counted since its start. */
  totals(operation: string): EvidenceTotals;
  /** The flag as this process goes by it. */
  flag(operation: string): FlagState | null;
  /** Evidence of health begins anew, as at the entry of a stage. */
  beginPeriod(operation: string): void;
  /** The rollout is, or is not, complete: stale flags then keep their last answer. */
  setComplete(operation: string, complete: boolean): void;
  /** Every step of a rollback, for every instance. Never rejects. */
  rollBack(
    operation: string,
    change: {
      readonly by: Actor;
      readonly reason: string;
      readonly evidence?: Readonly<Record<string, unknown>>;
    },
  ): Promise<unknown>;
}

/** What a controller is made of. */
export interface RolloutControllerOptions {
  readonly product: RolloutProduct;
  readonly plan: RolloutPlan;
  readonly policy: Policy;
  readonly store: RolloutStore;
  readonly lease: Lease;
  /** This process, unique in the fleet: the holder of the lease. 80 characters at most. */
  readonly holder: string;
  /** Null: flags cannot be changed from here, so nothing advances. */
  readonly control: FlagControl | null;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null: this process is the only one. */
  readonly fleet: Fleet | null;
  /** Default: the instances' own reports. Unused without a fleet. */
  readonly totals?: TotalsSource;
  /**
   * When the last drill of an operation passed, in milliseconds since the Unix epoch; null: never.
   * Default: never.
   */
  readonly drilledMs?: (operation: string) => Promise<number | null>;
  /** May this process lead? Default true; a process that only lives for one command does not. */
  readonly mayLead?: boolean;
  /** Milliseconds between two looks; default 1,000. */
  readonly everyMs?: number;
  /** Milliseconds for one reading or writing of the flag system, store or fleet; default 3,000. */
  readonly timeoutMs?: number;
}
