/** What the flags say about one key. */
export interface FlagAnswer {
  /** The candidate may serve this key. */
  readonly candidate: boolean;
  /** Calls of this key may be shadowed. */
  readonly shadow: boolean;
}

/** How far the flags can be trusted. */
export interface FlagFreshness {
  /** `never` loaded, `fresh`, or `stale`: older than the source's limit. */
  readonly state: "never" | "fresh" | "stale";
  /** When they were last confirmed, in milliseconds since the Unix epoch. */
  readonly lastRefreshMs: number | null;
}

/** One flag as an operator sees it. */
export interface FlagState {
  readonly operation: string;
  readonly enabled: boolean;
  /**
   * Share of keys on the candidate: a whole number from 0 to 100, or below one, where the flag system
   * can, a fraction such as 0.1.
   */
  readonly percentage: number;
  /** Share of keys whose calls are shadowed, as `percentage`. */
  readonly shadowPercentage: number;
  /** Where the value comes from, in words: a file, a person's command, a rollback. */
  readonly origin: string;
}

/** Something wrong with the flags that did not stop them from working. */
export interface FlagProblem {
  /** The file or flag it is about. */
  readonly subject: string;
  readonly message: string;
}

/** Who changes a flag, and why; kept with the flag where the flag system allows it. */
export interface FlagChange {
  readonly by: string;
  readonly reason: string;
}

/** How far a write may go. */
export interface FlagWriteLimits {
  /**
   * May the write switch on a flag that is off? Default true, for a person's command. False for whatever
   * acts by itself: a percentage above 0 for a flag that is off is then refused with `FLAGS_OFF`.
   */
  readonly mayEnable?: boolean;
}

/** Port, write side: an ability that a flag source has or has not. Every write is read back. */
export interface FlagControl {
  /** Throws `FLAGS_UNKNOWN` for an operation without a flag. */
  read(operation: string): Promise<FlagState>;
  /**
   * Sets the share of keys on the candidate and, unless `mayEnable` is false, switches the flag on.
   * Throws `FLAGS_HELD` after a rollback that was not re-armed, `FLAGS_OFF`, `FLAGS_INVALID_PERCENTAGE`.
   */
  setPercentage(
    operation: string,
    percentage: number,
    change: FlagChange,
    limits?: FlagWriteLimits,
  ): Promise<FlagState>;
  /** Sets the share of keys whose calls are shadowed. */
  setShadow(operation: string, percentage: number, change: FlagChange): Promise<FlagState>;
  /** Switches the candidate off and its percentage to 0, and holds it there. Idempotent. */
  switchOff(operation: string, change: FlagChange): Promise<FlagState>;
  /** Ends the hold of `switchOff`. The percentage stays 0 until a person sets it. */
  releaseHold(operation: string, change: FlagChange): Promise<FlagState>;
}

/** Port, read side: answers in memory, never blocks, never throws. */
export interface FlagSource {
  /** What kind of source it is, for status and logs: `static`, `file`, `unleash`. */
  readonly kind: string;
  /** The write side, or null when these flags cannot be changed from here. */
  readonly control: FlagControl | null;
  /** Grows whenever any answer may have changed; answers are cached per revision. */
  revision(): number;
  /** As of `monotonicMs`, for who has read the clock already; default: now. */
  freshness(monotonicMs?: number): FlagFreshness;
  answer(operation: string, key: string): FlagAnswer;
  /**
   * The key's place among all keys, from 1 to 100: the candidate has it from that percentage on. Null for an
   * operation without a flag; left out where the flag system does not tell.
   */
  bucket?(operation: string, key: string): number | null;
  /** The flag as an operator sees it, or null for an operation without a flag. */
  state(operation: string): FlagState | null;
  problems(): readonly FlagProblem[];
  /** Resolves when the first load has been tried; never rejects. */
  ready(): Promise<void>;
  close(): Promise<void>;
}
