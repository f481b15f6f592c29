import { Ring } from "../base/ring.ts";

/** Who did something: a person at a terminal, or one of our rules. */
export interface Actor {
  readonly type: "person" | "rule" | "system";
  readonly name: string;
}

/** One line of history. Append-only: nothing is ever changed or removed. */
export interface JournalEntry {
  /** ISO 8601 with milliseconds, UTC. */
  readonly at: string;
  readonly operation: string;
  readonly kind:
    | "trip"
    | "rollback"
    | "rearm"
    | "flag"
    | "rollout"
    | "verdict"
    | "fault"
    | "start"
    | "stop";
  readonly actor: Actor;
  readonly from: string | null;
  readonly to: string | null;
  /** One sentence: why. */
  readonly why: string;
  /** The numbers behind it. */
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** Which entries to read. */
export interface JournalQuery {
  readonly operation?: string;
  /** Only entries at or after this moment, in milliseconds since the Unix epoch. */
  readonly sinceMs?: number;
  /** The newest so many; default 100. */
  readonly limit?: number;
}

/** Port: append-only history. */
export interface Journal {
  append(entry: JournalEntry): Promise<void>;
  /** The newest entries that match, oldest first. */
  read(query?: JournalQuery): Promise<readonly JournalEntry[]>;
}

/** Filters and bounds entries the way every journal must. */
export function selectEntries(
  entries: readonly JournalEntry[],
  query: JournalQuery = {},
): readonly JournalEntry[] {
  const sinceMs = query.sinceMs ?? Number.NEGATIVE_INFINITY;
  const matching = entries.filter(
    (entry) =>
      (query.operation === undefined || entry.operation === query.operation) &&
      Date.parse(entry.at) >= sinceMs,
  );
  return matching.slice(-(query.limit ?? 100));
}

/**
 * Entries in the order in which things happened, the oldest first; of one moment, in that of their arrival.
 * A journal itself is in the order of arrival, and in a fleet some arrive late.
 */
export function byMoment(entries: readonly JournalEntry[]): readonly JournalEntry[] {
  return entries.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

/** A journal that forgets with the process, and beyond `capacity` entries (default 10,000). */
export class MemoryJournal implements Journal {
  readonly #entries: Ring<JournalEntry>;

  constructor(capacity = 10_000) {
    this.#entries = new Ring(capacity);
  }

  append(entry: JournalEntry): Promise<void> {
    this.#entries.push(entry);
    return Promise.resolve();
  }

  read(query?: JournalQuery): Promise<readonly JournalEntry[]> {
    return Promise.resolve(selectEntries(this.#entries.toArray(), query));
  }
}
