import type { TypedEvent } from "../base/event.ts";
import type { FlagFreshness } from "./flags.ts";
import type { Actor } from "./journal.ts";
import type { LatchRecord } from "./latch.ts";

/** The latch of a whole fleet, kept where every instance can see it. */
export interface FleetLatch {
  readonly operation: string;
  readonly tripped: boolean;
  /** The fleet's own count of trips of this operation; it grows by one with each, and is never reset. */
  readonly epoch: number;
  /** When it last changed, ISO 8601, by the clock of the place it is kept in. */
  readonly at: string;
  readonly by: Actor;
  readonly reason: string;
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** Why the fleet's latch is tripped or re-armed. */
export interface FleetChange {
  readonly by: Actor;
  readonly reason: string;
  readonly evidence?: Readonly<Record<string, unknown>>;
}

/** Counts since the instance started; they only grow. */
export interface FleetTotals {
  readonly calls: number;
  /** Failed and timed out, as the guard counts them. */
  readonly failed: number;
  readonly timedOut: number;
  /** The sum of what its calls took to their answer, in milliseconds; left out where nobody counts it. */
  readonly durationMs?: number;
}

/** What one instance tells the others about one operation. */
export interface OperationReport {
  readonly operation: string;
  readonly legacy: FleetTotals;
  readonly candidate: FleetTotals;
  /** This instance's own latch is tripped. */
  readonly latched: boolean;
  /** The overall verdict of this instance's guard: `healthy`, `suspect`, `breached`, `inconclusive`, `blind`. */
  readonly verdict: string;
  /** The percentage that this instance's flags give to the candidate; null without a flag. */
  readonly percentage: number | null;
  /** Comparisons of both paths' answers since the start of the instance; left out where nobody counts them. */
  readonly compared?: number;
}

/** What one instance tells the others every second. */
export interface InstanceReport {
  readonly version: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly flags: {
    readonly kind: string;
    readonly state: FlagFreshness["state"];
    readonly revision: string;
  };
  readonly operations: readonly OperationReport[];
}

/** One instance as the fleet knows it. */
export interface InstanceStatus extends InstanceReport {
  /** Unique in the fleet, 80 characters at most. */
  readonly instance: string;
  /** When it was last heard of, ISO 8601, by the clock of the place reports are kept in. */
  readonly seenAt: string;
  /** Heard of within the last 5 s. */
  readonly live: boolean;
}

/** How many instances have latched an operation within the last 60 s, and how many it takes. */
export interface Quorum {
  readonly live: number;
  readonly latched: number;
  readonly needed: number;
  readonly met: boolean;
}

/** How long an instance's own trip counts towards the quorum, in milliseconds. */
export const quorumWindowMs = 60_000;

/** How many latched instances speak for a fleet of so many live ones: two, or a fifth where that is more. */
export function quorumNeeded(live: number): number {
  return live <= 1 ? 1 : Math.max(2, Math.ceil(live / 5));
}

/**
 * Port: the other instances. One sick process is not the fleet: a trip latches its own process and is
 * published here; the whole fleet is latched by a quorum, by the controller's verdict on pooled counts, or
 * by a person. Every method rejects with a coded, retryable error when the fleet cannot be reached.
 */
export interface Fleet {
  /** This instance's name. */
  readonly instance: string;
  /** Every change of a fleet latch that this instance has not seen yet, also those it missed while it was cut off. */
  readonly latches: TypedEvent<FleetLatch>;
  /** Whether this instance can be told of a latch right now. */
  readonly connected: boolean;
  /** The fleet's latches, for a process that starts. */
  load(): Promise<readonly FleetLatch[]>;
  /** Begins to listen; call it once, after `load`. */
  start(): void;
  /** Replaces what the others know of this instance. */
  report(report: InstanceReport): Promise<void>;
  /** Tells the others, at once, that this instance tripped or re-armed its own latch. */
  publish(latch: LatchRecord): Promise<Quorum>;
  /** Latches every instance. Idempotent: a latch that is tripped already is returned as it is. */
  trip(operation: string, change: FleetChange): Promise<FleetLatch>;
  /** Re-arms every instance, and clears what counted towards a quorum. A person's act. */
  rearm(operation: string, change: FleetChange): Promise<FleetLatch>;
  quorum(operation: string): Promise<Quorum>;
  /** Every instance heard of in the last hour. */
  instances(): Promise<readonly InstanceStatus[]>;
  close(): Promise<void>;
}
