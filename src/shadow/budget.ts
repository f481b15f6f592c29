/** How much the shadow may take from a process that has callers to serve. */
export interface ShadowBudget {
  /** Share of the calls that the flags pick for shadowing which are really run, 0 to 1; default 1. */
  readonly share: number;
  /** Shadows that run at the same time; default 8. */
  readonly concurrentMax: number;
  /** Declared memory (`cost`) of all shadows waiting and running, in bytes; default 64 MiB. */
  readonly inFlightBytesMax: number;
  /**
   * Bytes that rehearsals keep from going away after the answer, such as staged uploads on disk, of all
   * that wait and run; default 256 MiB.
   */
  readonly heldBytesMax: number;
  /** Shadows of one operation in one minute; default 600. */
  readonly perMinuteMax: number;
  /** Shadows that wait for their turn; default 100. */
  readonly queueMax: number;
  /** How long a shadow may wait for its turn, in milliseconds; default 5,000. Later, data has moved on. */
  readonly queueWaitMs: number;
  /** How long a shadow may run, in milliseconds, before it is abandoned; default 30,000. */
  readonly deadlineMs: number;
  /** Abandoned shadows whose work has not ended; default 16. While there are as many, none is started. */
  readonly abandonedMax: number;
}

/** The budget of a process that says nothing about it. */
export const defaultBudget: ShadowBudget = {
  share: 1,
  concurrentMax: 8,
  inFlightBytesMax: 64 * 1024 * 1024,
  heldBytesMax: 256 * 1024 * 1024,
  perMinuteMax: 600,
  queueMax: 100,
  queueWaitMs: 5000,
  deadlineMs: 30_000,
  abandonedMax: 16,
};

/** Why a call that the flags picked for shadowing was not shadowed. */
export type SkipReason =
  /** The shadow is shutting down; also counts the runs that were cut off by it. */
  | "closed"
  /** A write that does not say how it may be rehearsed. */
  | "not-shadowable"
  /** Not among the share of calls that the budget lets be run. */
  | "sampled-out"
  /** The caller gave up. */
  | "aborted"
  /** Legacy answered after the candidate had failed: both paths ran already. */
  | "fallback"
  /** A write that did not succeed: why it failed cannot be rehearsed in isolation. */
  | "not-written"
  /** The latch is tripped. */
  | "latched"
  /** The input cannot be read a second time. */
  | "not-replayable"
  /** Memory or load is high, or the guard stopped it: shadows are shed first. */
  | "pressure"
  /** The event loop has no time to spare. */
  | "busy-loop"
  /** Too many abandoned shadows have not ended. */
  | "abandoned"
  /** The call alone declares more memory, or keeps more bytes, than the budget has. */
  | "too-large"
  | "no-memory"
  /** Rehearsals keep as many bytes past their answers as they may. */
  | "held-bytes"
  | "rate"
  | "queue-full"
  /** It waited too long for its turn. */
  | "waited"
  /** The operation's `cost` or `replayable`, or the pressure check, threw. */
  | "internal-error";

/** The closed set of values that metrics use as the `reason` label. */
export const skipReasons: readonly SkipReason[] = [
  "closed",
  "not-shadowable",
  "sampled-out",
  "aborted",
  "fallback",
  "not-written",
  "latched",
  "not-replayable",
  "pressure",
  "busy-loop",
  "abandoned",
  "too-large",
  "no-memory",
  "held-bytes",
  "rate",
  "queue-full",
  "waited",
  "internal-error",
];

/** Everything the admission of one shadow depends on. */
export interface AdmissionInput {
  readonly closed: boolean;
  readonly shadowable: boolean;
  /** The served outcome was aborted. */
  readonly aborted: boolean;
  readonly fellBack: boolean;
  /** The call is a write that did not succeed. */
  readonly notWritten: boolean;
  readonly latched: boolean;
  readonly replayable: boolean;
  readonly pressure: boolean;
  /** The event loop has no time to spare. */
  readonly busy: boolean;
  /** Memory this shadow declares, in bytes. */
  readonly bytes: number;
  /** Memory of the shadows waiting and running, in bytes. */
  readonly bytesInFlight: number;
  /** Bytes this shadow keeps past the answer. */
  readonly held: number;
  /** Bytes that the other shadows, waiting and running, keep past their answers. */
  readonly heldInFlight: number;
  /** Shadows of this operation admitted in the present minute. */
  readonly thisMinute: number;
  readonly queued: number;
  readonly abandoned: number;
}

interface Row {
  readonly reason: SkipReason;
  readonly when: (input: AdmissionInput, budget: ShadowBudget) => boolean;
}

/** First match wins: what can never be shadowed comes before what there is no room for now. */
export const admissionTable: readonly Row[] = [
  { reason: "closed", when: (i) => i.closed },
  { reason: "not-shadowable", when: (i) => !i.shadowable },
  { reason: "aborted", when: (i) => i.aborted },
  { reason: "fallback", when: (i) => i.fellBack },
  { reason: "not-written", when: (i) => i.notWritten },
  { reason: "latched", when: (i) => i.latched },
  { reason: "not-replayable", when: (i) => !i.replayable },
  { reason: "pressure", when: (i) => i.pressure },
  { reason: "busy-loop", when: (i) => i.busy },
  { reason: "abandoned", when: (i, b) => i.abandoned >= b.abandonedMax },
  {
    reason: "too-large",
    when: (i, b) => i.bytes > b.inFlightBytesMax || i.held > b.heldBytesMax,
  },
  { reason: "no-memory", when: (i, b) => i.bytesInFlight + i.bytes > b.inFlightBytesMax },
  { reason: "held-bytes", when: (i, b) => i.heldInFlight + i.held > b.heldBytesMax },
  { reason: "rate", when: (i, b) => i.thisMinute >= b.perMinuteMax },
  { reason: "queue-full", when: (i, b) => i.queued >= b.queueMax },
];

/** Why this call may not be shadowed now, or null when it may. Pure. */
export function refuseShadow(input: AdmissionInput, budget: ShadowBudget): SkipReason | null {
  return admissionTable.find((row) => row.when(input, budget))?.reason ?? null;
}
