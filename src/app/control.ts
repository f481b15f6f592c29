import type { MismatchCase, Replay, VitestOptions } from "../changeover.ts";
import type { Path } from "../migration/call.ts";
import type { DecisionInput, DecisionReason } from "../migration/decision.ts";
import type { FlagState } from "../migration/flags.ts";
import type { JournalEntry, JournalQuery } from "../migration/journal.ts";
import type { LatchRecord } from "../migration/latch.ts";
import type { Fault } from "../rehearsal/faults.ts";
import type { RolloutCommand } from "../rollout/commands.ts";
import type { RolloutReport } from "../rollout/controller/commander.ts";
import type { RolloutStatus } from "../rollout/status.ts";
import type { SnapshotVerdict } from "./snapshot.ts";

export type { Fault };

/** One step of a rollback or of a re-arming, as it went. */
export interface ControlStep {
  readonly name: string;
  readonly result: "done" | "already" | "skipped" | "failed";
  readonly ms: number;
  readonly detail: string | null;
}

/** What a command that changes the world did. */
export interface ControlReport {
  readonly operation: string;
  /** True only when every step that had to be done was done and read back. */
  readonly complete: boolean;
  readonly steps: readonly ControlStep[];
  readonly flag: FlagState | null;
}

/** Who asks for a change, and why; both are journalled. */
export interface ControlChange {
  readonly by: string;
  readonly reason: string;
}

/** Why a key goes where it goes. */
export interface Explanation {
  readonly operation: string;
  readonly key: string;
  readonly path: Path;
  readonly shadow: boolean;
  readonly reason: DecisionReason;
  /** The key's place from 1 to 100: the candidate has it from that percentage on; null: nobody tells. */
  readonly bucket: number | null;
  readonly flag: FlagState | null;
  /** Null: it never tripped. */
  readonly latch: LatchRecord | null;
  /** What the guard said last about the operation. */
  readonly verdict: SnapshotVerdict;
  readonly input: DecisionInput;
}

/** A difference between the two paths that was seen in the shadow. */
export interface MismatchEntry {
  /** Twelve hex digits. */
  readonly id: string;
  readonly operation: string;
  /** How often a difference of this shape was seen. */
  readonly count: number;
  readonly firstSeen: string;
  readonly lastSeen: string;
  readonly requestId: string;
  readonly differences: readonly {
    readonly path: string;
    readonly kind: string;
    readonly legacy: string;
    readonly candidate: string;
  }[];
}

/**
 * Everything an operator can do to the running process. Operations may be named in short: `upload` for
 * `files.upload`. Throws `MIGRATION_UNKNOWN_OPERATION`, `FLAGS_…` and `REHEARSAL_INVALID_FAULT`.
 */
export interface Control {
  setFlag(
    operation: string,
    values: { readonly percentage?: number; readonly shadow?: number },
    change: ControlChange,
  ): Promise<FlagState>;
  rollBack(operation: string, change: ControlChange): Promise<ControlReport>;
  rollBackAll(change: ControlChange): Promise<readonly ControlReport[]>;
  rearm(operation: string, change: ControlChange): Promise<ControlReport>;
  /** Every operation's rollout, or that of one. */
  rollouts(operation?: string): readonly RolloutStatus[];
  /** Tells a rollout something; with `dryRun` it only says what it would do. Rejects with `ROLLOUT_…`. */
  commandRollout(
    operation: string,
    command: RolloutCommand,
    change: ControlChange,
    dryRun?: boolean,
  ): Promise<RolloutReport>;
  /** Makes a path misbehave, or ends that; every change is journalled for the operations that run it, or for all where none does. */
  setFault(path: Path, fault: Partial<Fault>, change?: ControlChange): Promise<Fault>;
  mismatches(): readonly MismatchEntry[];
  /** A mismatch with all that was kept of it; an id may be shortened. Throws `SHADOW_UNKNOWN_CASE`. */
  mismatch(id: string): MismatchCase;
  /** Runs it again on both paths. Rejects with `SHADOW_…` when it cannot be run. */
  replayMismatch(id: string): Promise<Replay>;
  /** A vitest file that fails while it is there. Throws `SHADOW_…` when it cannot be run. */
  exportMismatch(id: string, options?: VitestOptions): string;
  explain(operation: string, key: string): Explanation;
  journal(query: JournalQuery): Promise<readonly JournalEntry[]>;
}
