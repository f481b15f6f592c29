import type { Path } from "../../migration/call.ts";
import type { Report } from "./report.ts";

/** A table of a report: its head and its rows, as plain text. */
export interface ReportTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** One part of a report; an empty table is told by `otherwise`. */
export interface ReportSection {
  readonly title: string;
  readonly table: ReportTable;
  readonly otherwise: string;
}

const percent = (part: number, all: number): string =>
  all === 0 ? "–" : `${((100 * part) / all).toFixed(2)} %`;
const shown = (value: number | null): string =>
  value === null ? "–" : String(Number.isInteger(value) ? value : Number(value.toPrecision(4)));

const bothPaths: readonly Path[] = ["legacy", "candidate"];

/** When a report was made, and of which time it tells. */
export function periodOf({ at, span }: Pick<Report, "at" | "span">): string {
  const covered =
    span === null
      ? "Nothing was journalled in that time."
      : `The journal covers ${span.from} to ${span.to}.`;
  return `Made ${at}. ${covered}`;
}

/** The parts of a report in their order, the same for every form it takes. Pure. */
export function sectionsOf(report: Report): readonly ReportSection[] {
  const { now, shares, rollbacks, timeline, actors, mismatches, told } = report;
  return [
    ...storyOf(told),
    {
      title: "Share of the candidate",
      table: {
        head: ["from", "percentage"],
        rows: shares.map(({ at, percentage }) => [at, `${percentage} %`]),
      },
      otherwise: "The journal tells of no change of the share.",
    },
    {
      title: "Both paths in the last minute",
      table: {
        head: ["path", "calls", "failed", "timed out", "share failed"],
        rows: bothPaths.map((path) => {
          const { calls, failed, timedOut } = now.windows[path];
          const bad = percent(failed + timedOut, calls);
          return [path, String(calls), String(failed), String(timedOut), bad];
        }),
      },
      otherwise: "",
    },
    {
      title: "What the guard says",
      table: {
        head: ["rule", "verdict", "observed", "limit", "samples", "in words"],
        rows: now.rules.map(({ rule, verdict, observed, limit, samples, sentence }) => [
          rule,
          verdict,
          shown(observed),
          shown(limit),
          String(samples),
          sentence,
        ]),
      },
      otherwise: "No rule is switched on.",
    },
    {
      title: "Rollbacks",
      table: {
        head: ["when", "by", "why", "observed", "limit", "samples", "steps"],
        rows: rollbacks.map(({ at, by, why, observed, limit, samples, steps }) => [
          at,
          by,
          why,
          shown(observed),
          shown(limit),
          shown(samples),
          steps.join(", "),
        ]),
      },
      otherwise: "Nothing was rolled back.",
    },
    {
      title: "Differences between the paths",
      table: {
        head: ["id", "seen", "first", "last", "fields"],
        rows: mismatches.map(({ id, count, firstSeen, lastSeen, differences }) => [
          id,
          String(count),
          firstSeen,
          lastSeen,
          differences.map(({ path, kind }) => `${path} (${kind})`).join(", "),
        ]),
      },
      otherwise: "The shadow has seen no difference.",
    },
    {
      title: "Timeline",
      table: {
        head: ["when", "who", "what", "from", "to", "why"],
        rows: timeline.map(({ at, actor, kind, from, to, why }) => [
          at,
          `${actor.type} ${actor.name}`,
          kind,
          from ?? "",
          to ?? "",
          why,
        ]),
      },
      otherwise: "The journal tells nothing of this operation.",
    },
    {
      title: "Who did what",
      table: {
        head: ["who", "entries"],
        rows: actors.map(({ actor, entries }) => [actor, String(entries)]),
      },
      otherwise: "Nobody did anything.",
    },
  ];
}

/** What somebody who watched has told; no section without it. */
function storyOf(told: Report["told"]): readonly ReportSection[] {
  if (told.length === 0) return [];
  const rows = told.map(({ at, text }) => [at, text]);
  return [{ title: "What was seen", table: { head: ["when", "what"], rows }, otherwise: "" }];
}
