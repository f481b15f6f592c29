import type { Verdict } from "../guard/verdict.ts";
import type { Path } from "../migration/call.ts";
import type { FlagSource } from "../migration/flags.ts";
import type { InstanceStatus } from "../migration/fleet.ts";
import type { RolloutStatus } from "../rollout/status.ts";

/** Memory as the guard sees it. */
export interface MemoryView {
  readonly usedBytes: number;
  readonly limitBytes: number;
  /** Used over allowed, the highest that applies. */
  readonly ratio?: number;
  /** One of `memorySources`. */
  readonly limitFrom?: string;
}

/** What calls of one path have claimed of the memory they may have together. */
export interface AdmissionView {
  readonly claimedBytes: number;
  readonly waiting: number;
  readonly limitBytes: number;
}

/** What the process knows about itself; counters grow from the start of the process. */
export interface ProcessView {
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  readonly arrayBufferBytes: number;
  /** What the last major garbage collection left; 0 before the first. */
  readonly heapFloorBytes: number;
  /** Seconds by kind of collection, one of `gcKinds`. */
  readonly gcSeconds: ReadonlyMap<string, number>;
  readonly loopActiveSeconds: number;
  readonly loopIdleSeconds: number;
}

/** The fleet as this instance last heard of it. */
export interface FleetView {
  readonly connected: boolean;
  readonly instances: readonly InstanceStatus[];
}

/**
 * Where gauges that others keep are read from when somebody scrapes. All are optional, must answer from
 * memory, and may throw: then their own gauges keep their last values, and the error is counted.
 */
export interface MetricsSources {
  readonly flags?: Pick<FlagSource, "freshness" | "problems" | "state">;
  /**
   * A revision that is equal in all instances whose flags say the same, 64 characters at most. Default: a
   * digest of what the flags say about this process's operations.
   */
  readonly flagRevision?: () => string;
  /** Null: nothing measures it. */
  readonly memory?: () => MemoryView | null;
  readonly backPressure?: () => { readonly shedShadows: boolean; readonly hold: boolean };
  readonly admission?: () => Readonly<Record<Path, AdmissionView>>;
  /** Every rule's present verdict on an operation; without this, the last that `verdict()` was told. */
  readonly verdicts?: (operation: string) => readonly Verdict[];
  readonly shadowsInFlight?: () => number;
  /** Every rollout this process knows of. */
  readonly rollout?: () => readonly RolloutStatus[];
  /** Null: this process stands alone. */
  readonly fleet?: () => FleetView | null;
  readonly process?: () => ProcessView;
  /** Errors of our own by part, ever growing; `Facade.internalErrors`. */
  readonly internalErrors?: () => ReadonlyMap<string, number>;
}
