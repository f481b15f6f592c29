import type { App } from "../../app/app.ts";
import type { MismatchEntry } from "../../app/control.ts";
import type { TrafficPoint } from "../../app/history.ts";
import type { Snapshot } from "../../app/snapshot.ts";
import type { Path } from "../../migration/call.ts";
import { byMoment, type JournalEntry } from "../../migration/journal.ts";

/** A journal entry without its evidence, which may be long. */
export interface JournalLine extends Omit<JournalEntry, "evidence"> {
  /** Entries that say the same of the same moment, as every instance of a fleet writes one. */
  readonly times: number;
}

/** The parts of the state, each sent again only when it has changed. */
export interface FeedSections {
  /** Everything of the snapshot but the operations and the moment. */
  readonly process: Omit<Snapshot, "operations" | "at">;
  readonly operations: Snapshot["operations"];
  /** The newest first. */
  readonly journal: readonly JournalLine[];
  /** The newest first; the values that differ are null without the operator token. */
  readonly mismatches: readonly FeedMismatch[];
}

/** A mismatch as the page lists it. */
export interface FeedMismatch extends Omit<MismatchEntry, "differences" | "requestId"> {
  readonly differences: readonly {
    readonly path: string;
    readonly kind: string;
    readonly legacy: string | null;
    readonly candidate: string | null;
  }[];
}

/** One message of the feed. The first has every section; later ones what has changed. */
export interface FeedMessage extends Partial<FeedSections> {
  /** The server's time, ISO 8601. */
  readonly at: string;
  /** The feed was opened with the operator token. */
  readonly unlocked: boolean;
  /** New points of each operation's history, oldest first, in the order of `historyColumns`. */
  readonly history: Readonly<Record<string, readonly (readonly (number | null)[])[]>>;
}

/** The latest points that a page gets and keeps of each operation. */
export const historyPointsMax = 150;

const pathColumns = ["perSecond", "failedPerSecond", "timedOutPerSecond"] as const;
const latencyColumns = ["p50Ms", "p95Ms", "p99Ms"] as const;
const paths: readonly Path[] = ["legacy", "candidate"];

/** What the numbers of a point are: the moment, then the same seven numbers for legacy and candidate. */
export const historyColumns: readonly string[] = [
  "atMs",
  ...paths.flatMap((path) =>
    [...pathColumns, ...latencyColumns, "inFlightBytes"].map((name) => `${path}.${name}`),
  ),
];

/** Bounds of one message: entries of each list, and characters of each text that callers' data is in. */
const journalMax = 40;
const mismatchesMax = 20;
const differencesMax = 12;
const textMax = 600;

/** The sections as they are now. `journal` is read elsewhere, because it may take a while. */
export function sectionsOf(app: App, journal: readonly JournalEntry[]): FeedSections {
  const { operations = [], at: _at, ...process } = app.snapshot();
  return {
    process,
    operations,
    journal: journalLines(journal.slice(-journalMax)),
    mismatches: app.control.mismatches().slice(0, mismatchesMax).map(mismatchOf),
  };
}

/** The newest moment first, and what is equal once, with how often it was told. */
function journalLines(entries: readonly JournalEntry[]): readonly JournalLine[] {
  const lines = new Map<string, JournalLine>();
  for (const { evidence: _evidence, ...entry } of byMoment(entries).toReversed()) {
    const line = { ...entry, why: short(entry.why) };
    const key = JSON.stringify(line);
    lines.set(key, { ...line, times: (lines.get(key)?.times ?? 0) + 1 });
  }
  return [...lines.values()];
}

/** How many entries of the journal the sections have. */
export const journalQueryLimit: number = journalMax;

/** The same mismatches without what callers' data may be in. */
export function withoutValues(mismatches: readonly FeedMismatch[]): readonly FeedMismatch[] {
  return mismatches.map((mismatch) => ({
    ...mismatch,
    differences: mismatch.differences.map((each) => ({ ...each, legacy: null, candidate: null })),
  }));
}

/** A point as the feed sends it, rounded to what a screen can show. */
export function rowOf({ atMs, traffic, inFlightBytes }: TrafficPoint): (number | null)[] {
  return [
    atMs,
    ...paths.flatMap((path) => [
      ...pathColumns.map((name) => round(traffic[path][name])),
      ...latencyColumns.map((name) => round(traffic[path][name])),
      inFlightBytes[path],
    ]),
  ];
}

function mismatchOf(entry: MismatchEntry): FeedMismatch {
  const { id, operation, count, firstSeen, lastSeen } = entry;
  const differences = entry.differences
    .slice(0, differencesMax)
    .map(({ path, kind, legacy, candidate }) => ({
      path: short(path),
      kind,
      legacy: short(String(legacy)),
      candidate: short(String(candidate)),
    }));
  return { id, operation, count, firstSeen, lastSeen, differences };
}

const short = (text: string): string =>
  text.length <= textMax ? text : `${text.slice(0, textMax)}…`;

const round = (value: number | null): number | null =>
  value === null ? null : Math.round(value * 100) / 100;
