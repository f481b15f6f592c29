import type { FlagState } from "../migration/flags.ts";
import type { EvidenceTotals } from "./evidence.ts";
import type { Judged } from "./judgement.ts";
import type { RolloutRecord } from "./ports.ts";
import type { GateStatus } from "./status.ts";

/** One instance of the fleet, as far as one operation's rollout is concerned. */
export interface InstanceView {
  readonly instance: string;
  /** The percentage that it goes by; null: it has no flag. */
  readonly percentage: number | null;
  /** Its flags are fresh. */
  readonly fresh: boolean;
  readonly latched: boolean;
}

/** Everything that one step of one operation's rollout is decided by: plain data, read before. */
export interface World {
  readonly record: RolloutRecord;
  /** Milliseconds since the Unix epoch: for windows, for ages and for what is written down. */
  readonly nowMs: number;
  /** Milliseconds of the monotonic clock since the last look of this process, 0 on the first. */
  readonly passedMs: number;
  /** What the flag system says; null: it could not be read. */
  readonly flag: FlagState | null;
  /** The latch that counts for all callers: the fleet's, or this process's own; null: not known. */
  readonly latch: {
    readonly tripped: boolean;
    readonly epoch: number;
    readonly reason: string;
  } | null;
  /** The live instances; null: there is no fleet. */
  readonly instances: readonly InstanceView[] | null;
  readonly judged: Judged;
  /** What was counted since the last look; null: nothing could be read. */
  readonly counted: EvidenceTotals | null;
  /** When the operation's last drill passed, in milliseconds since the Unix epoch; null: never. */
  readonly drilledMs: number | null;
  /** What the rollouts of other operations have reached. */
  readonly reached: ReadonlyMap<string, number>;
  /** May calls of the operation be shadowed? */
  readonly shadowable: boolean;
  /** The lease under which the step would be taken. */
  readonly leaseEpoch: number;
}

/** What is to be done about one operation's rollout now: one thing at most. */
export interface Step {
  /**
   *   wait        nothing to do
   *   hold        nothing may be done: a gate holds, or the flag was changed by hand
   *   raise       announce `record`, set the flag from `from` to `to`
   *   enter       the announced step was made: write it down
   *   lower       set the flag down to `to`, then write it down
   *   switch-off  switch the flag off, since the latch is tripped
   *   complete, rolled-back   write it down
   */
  readonly kind:
    | "wait"
    | "hold"
    | "raise"
    | "enter"
    | "lower"
    | "switch-off"
    | "complete"
    | "rolled-back";
  /** The record afterwards; the very same object when nothing in it changes. */
  readonly record: RolloutRecord;
  readonly from: number | null;
  readonly to: number | null;
  /** The gates as they were asked; empty where none was. */
  readonly gates: readonly GateStatus[];
  readonly why: string;
}

/** The share of keys that a flag really gives to the candidate. */
export const exposureOf = ({ enabled, percentage }: FlagState): number =>
  enabled ? percentage : 0;
