/** An object that was not taken in, and why. */
export interface FailedObject {
  readonly key: string;
  readonly code: string;
  readonly reason: string;
}

/** An object whose bytes were stored already: its file points at those. */
export interface DuplicateObject {
  readonly key: string;
  /** Where the bytes are that its file points at. */
  readonly sameAs: string;
}

/** What came of one object. */
export interface ObjectOutcome {
  /** `gone`: removed since it was listed. */
  readonly kind: "known" | "adopted" | "gone";
  /** Bytes that were read of it. */
  readonly bytes: number;
  /** Where the bytes are that its file points at; null when that is where it is itself. */
  readonly sameAs: string | null;
}

/** What came of several objects that did not fail. */
export interface BackfillTally {
  readonly objects: number;
  /** Which had their file already. */
  readonly known: number;
  /** Which got one now; with `validateOnly` or `dryRun`, which would. */
  readonly adopted: number;
  readonly bytes: number;
  readonly duplicates: readonly DuplicateObject[];
}

/** Nothing yet. */
export const emptyTally: BackfillTally = {
  objects: 0,
  known: 0,
  adopted: 0,
  bytes: 0,
  duplicates: [],
};

/** A tally with one more object. */
export function counted(
  tally: BackfillTally,
  key: string,
  { kind, bytes, sameAs }: ObjectOutcome,
): BackfillTally {
  return {
    objects: tally.objects + 1,
    known: tally.known + (kind === "known" ? 1 : 0),
    adopted: tally.adopted + (kind === "adopted" ? 1 : 0),
    bytes: tally.bytes + bytes,
    duplicates: sameAs === null ? tally.duplicates : [...tally.duplicates, { key, sameAs }],
  };
}

/** Several tallies as one. */
export function sumUp(tallies: readonly BackfillTally[]): BackfillTally {
  const sum = (of: (tally: BackfillTally) => number): number =>
    tallies.reduce((total, tally) => total + of(tally), 0);
  return {
    objects: sum(({ objects }) => objects),
    known: sum(({ known }) => known),
    adopted: sum(({ adopted }) => adopted),
    bytes: sum(({ bytes }) => bytes),
    duplicates: tallies.flatMap(({ duplicates }) => duplicates),
  };
}

/** How far the whole work was at a moment, in milliseconds of a monotonic clock. */
export interface Mark {
  readonly atMs: number;
  readonly done: number;
}

/**
 * Milliseconds until everything is done at the speed since `start`, all machines together; null before
 * there is a speed.
 */
export function etaMs(start: Mark, now: Mark, total: number): number | null {
  const done = now.done - start.done;
  const elapsedMs = now.atMs - start.atMs;
  if (done <= 0 || elapsedMs <= 0) return null;
  return (elapsedMs / done) * Math.max(0, total - now.done);
}
