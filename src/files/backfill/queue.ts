import type { BackfillTally, FailedObject } from "./tally.ts";

/** Objects that one machine works on; nobody else has them meanwhile. */
export interface QueuedBatch {
  readonly id: string;
  readonly keys: readonly string[];
}

/** What came of a batch: every key of it is counted, failed or unfinished. */
export interface SettledBatch {
  readonly tally: BackfillTally;
  /** Tried again, each on its own, until the queue's limit of tries; then it is in the report. */
  readonly failed: readonly FailedObject[];
  /** Given back untouched, for whoever takes it next. */
  readonly unfinished: readonly string[];
}

/** How far the whole work is, all machines together. */
export interface QueueState {
  /** Objects that were listed. */
  readonly total: number;
  /** Those that are settled for good, failed ones too. */
  readonly done: number;
  /** Bytes read for them. */
  readonly bytes: number;
  /** Batches that wait or that a machine has; at 0 the work has ended. */
  readonly left: number;
}

/** What the whole work came to, all machines together. */
export interface QueueReport {
  readonly tallies: readonly BackfillTally[];
  readonly failed: readonly FailedObject[];
}

/**
 * Port: the work of one backfill, shared out in batches. Whoever asks for the same backfill has the same
 * queue. Methods reject with coded errors; those with `retryable` are worth another try.
 */
export interface BackfillQueue {
  /**
   * Joins the work that is under way, or has it listed: of several machines that begin at once one
   * calls `list`, and the others wait for it. A listing that was cut off is begun anew by another
   * machine. Resolves to whether this machine listed.
   */
  begin(list: () => AsyncIterable<readonly string[]>, signal: AbortSignal): Promise<boolean>;
  /** A batch for this machine, or null when none waits right now. */
  take(): Promise<QueuedBatch | null>;
  /** Gives a batch back, as one step: false when it went to another machine meanwhile. */
  settle(batch: QueuedBatch, settled: SettledBatch): Promise<boolean>;
  /** Also frees the batches of machines that are gone. */
  state(): Promise<QueueState>;
  report(): Promise<QueueReport>;
  /** Whatever this machine still has goes to the others after a while. Never rejects. */
  close(): Promise<void>;
}
