import { CodedError } from "../base/errors.ts";
import type { EvidenceTotals, PathTotals } from "./evidence.ts";
import type { OperationPlan } from "./plan/plan.ts";
import type { RolloutState } from "./status.ts";

/** States that are written down; the others of `RolloutState` are found anew at each look. */
export type RolloutPhase = Extract<
  RolloutState,
  "running" | "paused" | "held" | "complete" | "rolled-back" | "aborted"
>;

/** A change of the flag that was announced and is not yet known to have been made. */
export interface PendingStep {
  /** The percentages before and after. */
  readonly from: number;
  readonly to: number;
  /** The stage that it leads to. */
  readonly stage: number;
  /** The lease under which it was announced. */
  readonly leaseEpoch: number;
}

/**
 * One operation's rollout as it is kept: plain JSON, at most a few kilobytes. A store keeps it whole and
 * need only look at `operation` and `revision`.
 */
export interface RolloutRecord {
  readonly operation: string;
  /** Grows by one with every write of this record; 0: never written. */
  readonly revision: number;
  /** Grows by one with every start. Exposure rises within an epoch by gates only. */
  readonly epoch: number;
  /** The plan as it was at the start: an edit of the file changes no rollout that runs. */
  readonly plan: OperationPlan;
  readonly phase: RolloutPhase;
  /** Index into `plan.stages`. */
  readonly stage: number;
  /** What the flag is meant to say, 0 to 100. */
  readonly percentage: number;
  readonly pending: PendingStep | null;
  /**
   * The highest percentage of an announced step that was given up. Whoever announced it may still make it,
   * late: a flag found at a stage up to there is put back, and is taken for no person's doing.
   */
  readonly givenUp: number | null;
  /** When this stage was entered, and the phase: ISO 8601. */
  readonly stageSince: string;
  readonly phaseSince: string;
  /** Milliseconds of this stage's hold that count: time spent paused, held or without a controller does not. */
  readonly heldMs: number;
  /** What was counted since the stage was entered. */
  readonly evidence: EvidenceTotals;
  /** Legacy's calls since the start of the rollout: what its latency is compared with. */
  readonly baseline: PathTotals;
  /** A person's word for the stage it names. */
  readonly approval: { readonly stage: number; readonly by: string; readonly at: string } | null;
  /** A person skips the wait of the stage it names: hold time and samples, nothing else. */
  readonly skip: { readonly stage: number; readonly by: string; readonly at: string } | null;
  /** The latch's epoch when the rollout was started: a newer trip is a rollback of this rollout. */
  readonly latchEpoch: number;
  /** One sentence: why it is as it is. */
  readonly why: string;
  /** Who wrote it last: a person's name, or the holder of the lease. */
  readonly by: string;
}

/** A lease that is held. The epoch grows by one whenever the holder changes, and is never reset. */
export interface LeaseHold {
  readonly epoch: number;
  /** Who holds it: unique in the fleet, 80 characters at most. */
  readonly holder: string;
}

/** A lease as others see it. */
export interface LeaseState extends LeaseHold {
  /** Milliseconds until it expires, by the clock of the place it is kept in; 0 or less: it has expired. */
  readonly expiresInMs: number;
}

/**
 * Port: who leads. One lease for all rollouts, with its expiry on the store's own time, never on the
 * clock of whoever asks. Every method rejects with a coded, retryable error when the store cannot be
 * reached.
 */
export interface Lease {
  /** How long one taking or renewing lasts, in milliseconds; default of every implementation: 5,000. */
  readonly ttlMs: number;
  /**
   * Takes the lease if it is free or expired, under a new epoch. Null: somebody else holds it. Whoever
   * holds it already (same `holder`, not expired) keeps its epoch and has it renewed.
   */
  take(holder: string): Promise<LeaseHold | null>;
  /** Extends it by `ttlMs` from now. False: it has expired or is another's, and must not be used any more. */
  renew(hold: LeaseHold): Promise<boolean>;
  /** Gives it up at once, so that another may lead; nothing happens when it is lost already. */
  release(hold: LeaseHold): Promise<void>;
  /** Null: nobody ever held it, or its holder gave it up. */
  current(): Promise<LeaseState | null>;
}

/**
 * Port: where rollouts survive the process. Every method rejects with a coded, retryable error when the
 * store cannot be reached.
 */
export interface RolloutStore {
  /** Every rollout that was ever started, one for each operation. */
  load(): Promise<readonly RolloutRecord[]>;
  read(operation: string): Promise<RolloutRecord | null>;
  /**
   * Compare and set, in one step: writes the record if what is stored has `record.revision` (0: nothing
   * is stored) and, with `hold`, if that lease has not expired by the store's own time and is still of
   * that epoch and holder. `hold` is null for a person's command. Returns the record as it is stored,
   * with its revision one higher. Rejects with `ROLLOUT_CONFLICT` (`rolloutConflict`), having written
   * nothing: read again and think again.
   */
  save(record: RolloutRecord, hold: LeaseHold | null): Promise<RolloutRecord>;
  close(): Promise<void>;
}

/** `ROLLOUT_CONFLICT`: somebody else wrote the record, or the lease is not held any more. */
export function rolloutConflict(operation: string): CodedError {
  return new CodedError(
    "ROLLOUT_CONFLICT",
    `The rollout of ${operation} was changed by somebody else at the same time, or this process does not lead any more. Nothing was written; look at its status and try again.`,
    { status: 409, retryable: true, details: { operation } },
  );
}

/** Counts of one instance for one operation; they only grow, and begin at 0 when the instance does. */
export interface InstanceTotals extends EvidenceTotals {
  readonly instance: string;
  readonly operation: string;
}

/** What a source of counts says: the counts of every live instance, or why nothing can be told. */
export type TotalsReading =
  | { readonly totals: readonly InstanceTotals[] }
  | { readonly blind: string };

/** Port: the counts of the whole fleet. Never rejects: what cannot be read is `blind`. */
export interface TotalsSource {
  read(operations: readonly string[]): Promise<TotalsReading>;
}
