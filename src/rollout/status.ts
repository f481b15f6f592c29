/**
 * Where one operation's rollout stands.
 *
 *   idle              never started
 *   running           walks; a gate may still be waited for
 *   paused            a person stopped the walk; the percentage stays
 *   held              a gate or a drift stops the walk; the percentage stays; somebody should look
 *   waiting-approval  every gate is passed but a person's `approve`
 *   complete          the last stage was passed
 *   rolled-back       the latch tripped; only a person starts again
 *   aborted           a person ended it, and the flag was set to 0 %
 */
export type RolloutState =
  | "idle"
  | "running"
  | "paused"
  | "held"
  | "waiting-approval"
  | "complete"
  | "rolled-back"
  | "aborted";

/** Every state, for tables, metrics and filters. */
export const rolloutStates: readonly RolloutState[] = [
  "idle",
  "running",
  "paused",
  "held",
  "waiting-approval",
  "complete",
  "rolled-back",
  "aborted",
];

/** What a stage may ask for before the next one. */
export type GateName =
  | "latch"
  | "flag"
  | "instances"
  | "verdict"
  | "hold-time"
  | "samples"
  | "error-rate"
  | "success-rate"
  | "latency"
  | "drill"
  | "earlier-operations"
  | "window"
  | "approval";

/** `passed`; `waiting`: needs time, calls or a person; `holding`: something is wrong or cannot be told. */
export type GateState = "passed" | "waiting" | "holding";

/** One gate of the present stage, as it is now. */
export interface GateStatus {
  readonly name: GateName;
  readonly state: GateState;
  /** One sentence with its numbers. */
  readonly sentence: string;
}

/** A stage of the plan as it is shown. */
export interface StageStatus {
  /** The candidate's share, 0 to 100. */
  readonly percentage: number;
  readonly shadowPercentage: number;
  readonly holdSeconds: number;
  readonly samples: number;
  /** A person must approve before this stage is left. */
  readonly approval: boolean;
}

/** Who leads the rollouts. */
export interface LeaderStatus {
  /** The instance's name. */
  readonly holder: string;
  readonly epoch: number;
  /** This process leads. */
  readonly self: boolean;
}

/** One operation's rollout: what `status`, the console and the metrics show. */
export interface RolloutStatus {
  readonly operation: string;
  readonly state: RolloutState;
  /** The plan's profile: `strict`, `predecessor`, or a name of the user's own. */
  readonly plan: string;
  readonly stages: readonly StageStatus[];
  /** Index into `stages`; null while idle. */
  readonly stage: number | null;
  /** What the flag is meant to say; null while idle. */
  readonly expectedPercentage: number | null;
  /** What the flag says; null where it could not be read. */
  readonly actualPercentage: number | null;
  /** Since when it has been in this state and at this stage, ISO 8601; null while idle. */
  readonly since: string | null;
  readonly stageSince: string | null;
  /** Milliseconds of the stage's hold that are left; null while idle. */
  readonly holdLeftMs: number | null;
  /** Candidate calls of this stage (comparisons, at 0 %), and how many it takes; null: not known. */
  readonly samples: number | null;
  readonly samplesNeeded: number | null;
  /** The gates of the present stage; empty where no gate is asked. */
  readonly gates: readonly GateStatus[];
  /** Who leads; null: nobody, so nothing moves. */
  readonly leader: LeaderStatus | null;
  /** When the gates were last looked at by this process, ISO 8601; null: never. */
  readonly evaluatedAt: string | null;
  /** One sentence: why it stands where it stands. */
  readonly why: string;
}
