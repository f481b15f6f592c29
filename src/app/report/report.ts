import { byMoment, type JournalEntry } from "../../migration/journal.ts";
import type { MismatchEntry } from "../control.ts";
import type { SnapshotOperation } from "../snapshot.ts";
import type { TrafficSample } from "./traffic-chart.ts";

/** What a report is made of. */
export interface ReportInput {
  readonly operation: string;
  /** ISO 8601, when the report is made. */
  readonly at: string;
  /** The operation's entries, in any order. */
  readonly entries: readonly JournalEntry[];
  /** The operation as it is now. */
  readonly now: SnapshotOperation;
  readonly mismatches: readonly MismatchEntry[];
  /** What was seen by whoever watched, oldest first; default: nothing. */
  readonly told?: readonly ToldStep[];
  /** Calls on each path over time, oldest first; default: not known. */
  readonly traffic?: readonly TrafficSample[];
}

/** One step of a story that somebody watched. */
export interface ToldStep {
  /** ISO 8601. */
  readonly at: string;
  readonly text: string;
}

/** The share of keys on the candidate from a moment on, in percent. */
export interface SharePoint {
  readonly at: string;
  readonly percentage: number;
}

/** One rollback, as the journal has it. */
export interface ReportedRollback {
  readonly at: string;
  readonly by: string;
  readonly why: string;
  readonly observed: number | null;
  readonly limit: number | null;
  readonly samples: number | null;
  /** Each step with what it came to, such as `flag done`. */
  readonly steps: readonly string[];
}

/** Everything a report says, before it has a form. */
export interface Report {
  readonly operation: string;
  readonly at: string;
  /** The first and the last moment that the journal tells of; null when it tells nothing. */
  readonly span: { readonly from: string; readonly to: string } | null;
  readonly state: string;
  readonly shares: readonly SharePoint[];
  readonly rollbacks: readonly ReportedRollback[];
  readonly timeline: readonly JournalEntry[];
  /** Who did how much, the busiest first. */
  readonly actors: readonly { readonly actor: string; readonly entries: number }[];
  readonly now: SnapshotOperation;
  readonly mismatches: readonly MismatchEntry[];
  readonly told: readonly ToldStep[];
  readonly traffic: readonly TrafficSample[];
}

/** Puts together what is known of one operation's rollout. Pure. */
export function makeReport(input: ReportInput): Report {
  const { operation, at, now, told = [], traffic = [] } = input;
  const entries = byMoment(input.entries.filter((entry) => entry.operation === operation));
  const [first, last] = [entries[0], entries.at(-1)];
  return {
    operation,
    at,
    span: first === undefined || last === undefined ? null : { from: first.at, to: last.at },
    state: stateOf(now),
    shares: sharesOf(entries),
    rollbacks: entries.filter(({ kind }) => kind === "rollback").map(rollbackOf),
    timeline: entries,
    actors: actorsOf(entries),
    now,
    mismatches: input.mismatches.filter((each) => each.operation === operation),
    told,
    traffic,
  };
}

/** The percentage in a journal entry's text, such as `on 50 %, shadow 20 %`; null when it has none. */
export function percentageIn(text: string | null): number | null {
  if (text === null) return null;
  if (/^off\b/.test(text)) return 0;
  const found = /(?:^|\s)(\d{1,3}(?:\.\d+)?) ?%/.exec(text)?.[1];
  return found === undefined ? null : Number(found);
}

function stateOf({ latch, flag, verdict }: SnapshotOperation): string {
  const share = flag === null ? "no flag" : `${flag.enabled ? flag.percentage : 0} %`;
  if (latch?.tripped === true) return `latched since ${latch.at}: ${latch.reason}`;
  return `${share} on the candidate; the guard says ${verdict.verdict}: ${verdict.sentence}`;
}

function sharesOf(entries: readonly JournalEntry[]): SharePoint[] {
  const points: SharePoint[] = [];
  for (const { at, kind, to } of entries) {
    const percentage = kind === "rollback" ? 0 : percentageIn(to);
    if (percentage !== null && percentage !== points.at(-1)?.percentage) {
      points.push({ at, percentage });
    }
  }
  return points;
}

function rollbackOf({ at, actor, why, evidence }: JournalEntry): ReportedRollback {
  const number = (name: string): number | null => {
    const value = evidence[name];
    return typeof value === "number" ? value : null;
  };
  const steps = Array.isArray(evidence["steps"]) ? (evidence["steps"] as unknown[]) : [];
  return {
    at,
    by: `${actor.type} ${actor.name}`,
    why,
    observed: number("observed"),
    limit: number("limit"),
    samples: number("samples"),
    steps: steps.map((step) => {
      const { name, result } = step as { name?: unknown; result?: unknown };
      return `${String(name)} ${String(result)}`;
    }),
  };
}

function actorsOf(entries: readonly JournalEntry[]): Report["actors"] {
  const counts = new Map<string, number>();
  for (const { actor } of entries) {
    const name = `${actor.type} ${actor.name}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts]
    .map(([actor, count]) => ({ actor, entries: count }))
    .sort((a, b) => b.entries - a.entries);
}
