import type { PolicyInput } from "../../../src/changeover.ts";
import type { JournalEntry } from "../../../src/migration/journal.ts";

/** Where in a stage change the leader stops: right after what the name says. */
export type StopPoint = "announced" | "journalled" | "flag-read" | "flag-written" | "entered";

/** What an instance of a test is started with: one JSON argument. */
export interface InstanceSettings {
  readonly instance: string;
  /** Its data folder: kept over restarts. */
  readonly folder: string;
  readonly operation: string;
  readonly kind: "read" | "write";
  readonly postgresUrl: string;
  readonly unleashUrl: string;
  readonly clientToken: string;
  readonly adminToken: string;
  readonly planFile: string;
  readonly policy: PolicyInput;
  readonly staleMs: number;
  readonly leaseTtlMs: number;
  /** May it lead the rollouts? */
  readonly mayLead: boolean;
  /** False: it never hears of a fleet latch, and has its flags only. */
  readonly broadcast: boolean;
  /** How far its wall clock is ahead of the machine's. */
  readonly clockAheadMs: number;
  /** Null: the instances' own reports are what rollouts count by. */
  readonly prometheusUrl: string | null;
  /**
   * What happens at a point of the stage change to this percentage: it kills or freezes itself, once, or
   * tells whoever started it, each time.
   */
  readonly stop: {
    readonly at: StopPoint;
    readonly to: number;
    readonly by: "SIGKILL" | "SIGSTOP" | "telling";
  } | null;
}

/** How many of the watched keys were on the candidate from this moment on. */
export interface Exposure {
  /** Milliseconds since the Unix epoch, by the machine's clock. */
  readonly atMs: number;
  readonly keys: number;
}

/** What an instance says of itself. */
export interface InstanceView {
  readonly instance: string;
  /** Of `watchedKeys`. */
  readonly exposed: number;
  readonly exposures: readonly Exposure[];
  readonly calls: { readonly legacy: number; readonly candidate: number };
  /** Calls whose caller got an error. */
  readonly harmed: number;
  readonly latch: {
    readonly tripped: boolean;
    readonly by: string | null;
    readonly reason: string | null;
    /** Milliseconds since the Unix epoch of the last trip, by the machine's clock. */
    readonly trippedAtMs: number | null;
    /** From the failure that was one too many to the trip. */
    readonly afterFailureMs: number | null;
  };
  readonly flags: {
    readonly state: string;
    readonly percentage: number | null;
    readonly enabled: boolean | null;
    readonly problems: readonly string[];
  };
  readonly fleetConnected: boolean;
  readonly rollout: {
    readonly state: string;
    readonly percentage: number | null;
    readonly why: string;
    readonly leads: boolean;
    readonly gates: readonly string[];
  };
  /** Titles of the notices that were sent. */
  readonly notices: readonly string[];
  /** Steps of the rollbacks that have ended, newest last. */
  readonly rollbacks: readonly string[];
  /** Lines of the log, warnings and errors only. */
  readonly log: readonly string[];
}

/** What can be asked of an instance. */
export interface InstanceDoors {
  view(): InstanceView;
  /** So many calls a second, from now on. */
  load(perSecond: number): void;
  /** Makes the candidate fail, or mends it. */
  break(broken: boolean): void;
  rollBack(reason: string): unknown;
  rearm(reason: string): unknown;
  rollout(command: "start" | "abort" | "resume" | "pause" | "advance"): unknown;
  journal(): Promise<readonly JournalEntry[]>;
  close(): Promise<void>;
}

/** A question to an instance over IPC, and its answer. */
export interface Question {
  readonly id: number;
  readonly door: keyof InstanceDoors;
  readonly given: unknown;
}

/** The id of what an instance says without being asked: that it has reached its point. */
export const reachedId = -1;

/** Exactly one of `value` and `error` says something. */
export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** The keys whose routing is watched. */
export const watchedKeys: readonly string[] = Array.from({ length: 64 }, (_, n) => `key-${n}`);

/** So many keys call. */
export const callingKeys = 512;
