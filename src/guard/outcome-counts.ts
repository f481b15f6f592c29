import type { Path } from "../migration/call.ts";
import { type Outcome, outcomeKinds } from "../migration/outcome.ts";
import { CountWindow, longSeconds, shortSeconds } from "./engine/window.ts";

/** Where a run came from: a caller's call, its shadow, or legacy answering for a failed candidate. */
export type RunSource = "served" | "shadow" | "fallback";

/** How many runs ended how, within one span. */
export type KindCounts = Readonly<Record<Outcome["kind"], number>>;

/** Counts of one path from one source. */
export interface SeriesSnapshot {
  readonly path: Path;
  readonly source: RunSource;
  /** The last 60 s. */
  readonly short: KindCounts;
  /** The last 5 minutes. */
  readonly long: KindCounts;
}

/** What the windows of one operation hold at a moment. */
export interface WindowSnapshot {
  readonly shortSeconds: number;
  readonly longSeconds: number;
  readonly series: readonly SeriesSnapshot[];
}

const series: readonly { path: Path; source: RunSource }[] = [
  { path: "legacy", source: "served" },
  { path: "candidate", source: "served" },
  { path: "legacy", source: "shadow" },
  { path: "candidate", source: "shadow" },
  { path: "legacy", source: "fallback" },
];
const kinds = outcomeKinds.length;
const kindColumn: Readonly<Record<Outcome["kind"], number>> = {
  succeeded: 0,
  refused: 1,
  failed: 2,
  "timed-out": 3,
  aborted: 4,
};

/** Rolling counts of outcomes, for status and metrics: each path and source apart. */
export class OutcomeCounts {
  readonly #window = new CountWindow(series.length * kinds);

  advance(second: number): void {
    this.#window.advance(second);
  }

  add(source: RunSource, { path, kind }: Outcome): void {
    const ofSource = source === "served" ? 0 : source === "shadow" ? 2 : 4;
    const row = source !== "fallback" && path === "candidate" ? ofSource + 1 : ofSource;
    this.#window.add(row * kinds + kindColumn[kind]);
  }

  /** Calls that the candidate served in the last 5 minutes. */
  get candidateCalls(): number {
    let calls = 0;
    for (let kind = 0; kind < kinds; kind += 1) calls += this.#window.long(kinds + kind);
    return calls;
  }

  snapshot(): WindowSnapshot {
    const counts = (row: number, read: (column: number) => number): KindCounts => ({
      succeeded: read(row * kinds + kindColumn.succeeded),
      refused: read(row * kinds + kindColumn.refused),
      failed: read(row * kinds + kindColumn.failed),
      "timed-out": read(row * kinds + kindColumn["timed-out"]),
      aborted: read(row * kinds + kindColumn.aborted),
    });
    return {
      shortSeconds,
      longSeconds,
      series: series.map(({ path, source }, row) => ({
        path,
        source,
        short: counts(row, (column) => this.#window.short(column)),
        long: counts(row, (column) => this.#window.long(column)),
      })),
    };
  }
}
