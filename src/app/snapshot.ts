import type { ProviderStatus } from "../files/providers/steady/provider-status.ts";
import type { Path } from "../migration/call.ts";
import type { FlagFreshness, FlagProblem, FlagState } from "../migration/flags.ts";
import type { InstanceStatus } from "../migration/fleet.ts";
import type { LatchRecord } from "../migration/latch.ts";
import type { Load } from "../migration/operation.ts";
import type { Fault } from "../rehearsal/faults.ts";
import type { RolloutStatus } from "../rollout/status.ts";
import type { Environment } from "./config.ts";
import type { PathTraffic } from "./history.ts";

/** One rule of the guard as an operator reads it. */
export interface SnapshotVerdict {
  readonly rule: string;
  readonly verdict: "healthy" | "suspect" | "breached" | "inconclusive" | "blind";
  readonly observed: number | null;
  readonly limit: number | null;
  readonly samples: number;
  /** See `Verdict`: of rules that compare rates. */
  readonly legacyKnown?: boolean;
  /** One sentence. */
  readonly sentence: string;
}

/** Calls of the last minute on one path. */
export interface SnapshotWindow {
  readonly calls: number;
  readonly failed: number;
  readonly timedOut: number;
}

/** Served calls, fallbacks and comparisons since the start of the process. */
export interface SnapshotCounts {
  readonly candidateCalls: number;
  readonly legacyCalls: number;
  /** Calls that the candidate failed and legacy was asked to answer. */
  readonly fallbacks: number;
  readonly compared: number;
  readonly different: number;
}

export interface SnapshotOperation {
  readonly name: string;
  readonly kind: "read" | "write";
  readonly flag: FlagState | null;
  readonly latch: LatchRecord | null;
  readonly load: Readonly<Record<Path, Readonly<Load>>>;
  readonly windows: Readonly<Record<Path, SnapshotWindow>>;
  /** Left out for an operation that has no series of its own. */
  readonly counts?: SnapshotCounts;
  /** Rates and latencies of the last minute. */
  readonly traffic: Readonly<Record<Path, PathTraffic>>;
  readonly verdict: SnapshotVerdict;
  readonly rules: readonly SnapshotVerdict[];
  /** Its rollout; null where none is led from here. */
  readonly rollout: RolloutStatus | null;
}

/** The whole state in one plain object: what `status`, the control API and the console show. */
export interface Snapshot {
  readonly at: string;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly flags: {
    readonly kind: string;
    readonly freshness: FlagFreshness;
    readonly problems: readonly FlagProblem[];
  };
  readonly operations: readonly SnapshotOperation[];
  /** Every instance of the fleet heard of in the last hour; empty without a fleet. */
  readonly instances: readonly InstanceStatus[];
  readonly shadow: { readonly inFlight: number; readonly mismatches: number };
  /** The AI providers that are set up, as the streaming path sees them. */
  readonly providers: readonly ProviderStatus[];
  readonly spool: { readonly usedBytes: number; readonly limitBytes: number };
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number | null };
  readonly faults: Readonly<Record<Path, Fault>>;
  readonly environment: Environment;
  /** What this process is bound by. */
  readonly limits: {
    /** The candidate's deadline in milliseconds; null: none. */
    readonly candidateDeadlineMs: number | null;
    /** The largest heap that JavaScript may have here, in bytes. */
    readonly heapBytes: number;
  };
  /** Notices sent so far; null: nobody is to be told. */
  readonly notices: { readonly delivered: number; readonly failed: number } | null;
}
