import { FlagFolder } from "../../flags/flag-folder.ts";
import type { JournalEntry } from "../../migration/journal.ts";
import type { Config } from "../config.ts";
import type { MismatchEntry } from "../control.ts";
import { drillCertificates } from "../rollout/drills.ts";
import type { Snapshot, SnapshotOperation } from "../snapshot.ts";
import { prometheusCounts } from "./prometheus-counts.ts";
import type { ReadyCounts, ReadyFacts } from "./ready-check.ts";

/** Where facts are read from. */
export interface ReadySources {
  readonly config: Pick<Config, "dataDir" | "flagsDir" | "prometheusUrl">;
  readonly snapshot: Snapshot;
  /** One of the snapshot's. */
  readonly now: SnapshotOperation;
  /** The snapshot is of a running process, which has counted calls. */
  readonly live: boolean;
  /** The operation's journal, oldest first, and how many entries were asked for at most. */
  readonly entries: readonly JournalEntry[];
  readonly entriesMax: number;
  readonly mismatches: readonly MismatchEntry[];
  readonly nowMs: number;
  /** Days that are looked at. */
  readonly days: number;
}

/** Puts together what is known of an operation: of the process, Prometheus, the flag file and drills. */
export async function readyFacts(sources: ReadySources): Promise<ReadyFacts> {
  const { config, snapshot, now, entries, entriesMax, mismatches, nowMs } = sources;
  const [counted, removeBy, drilledMs] = await Promise.all([
    countsOf(sources),
    removeByOf(config.flagsDir, now.name),
    drillCertificates(config).passedMs(now.name),
  ]);
  return {
    nowMs,
    now,
    latchedInstances: liveOf(snapshot, now.name)
      .filter(({ report }) => report.latched)
      .map(({ instance }) => instance),
    entries,
    truncated: entries.length >= entriesMax,
    counts: typeof counted === "string" ? null : counted,
    noCounts: typeof counted === "string" ? counted : "",
    mismatches: mismatches.filter(({ operation }) => operation === now.name),
    removeBy,
    drilledMs,
  };
}

/** Prometheus where there is one, since it counts over restarts; else the process, with its fleet. */
async function countsOf(sources: ReadySources): Promise<ReadyCounts | string> {
  const { config, snapshot, now, live, nowMs, days } = sources;
  const { prometheusUrl: url } = config;
  if (url !== null) return prometheusCounts({ url, operation: now.name, days, nowMs });
  if (!live) {
    return "Calls are counted by the running process, and nothing is running: changeover start.";
  }
  if (now.counts === undefined) return "This process does not count the operation by itself.";
  const { startedAt } = snapshot;
  const own = { source: "this process", sinceMs: Date.parse(startedAt), ...now.counts };
  const fleet = liveOf(snapshot, now.name);
  if (fleet.length <= 1) return own;
  const sum = (read: (report: (typeof fleet)[number]["report"]) => number): number =>
    fleet.reduce((total, { report }) => total + read(report), 0);
  return {
    ...own,
    source: `${fleet.length} instances (comparisons by one of them)`,
    sinceMs: Math.max(own.sinceMs, ...fleet.map((each) => Date.parse(each.startedAt))),
    candidateCalls: sum(({ candidate }) => candidate.calls),
    legacyCalls: sum(({ legacy }) => legacy.calls),
    // Instances do not tell each other.
    fallbacks: null,
  };
}

function liveOf({ instances }: Snapshot, operation: string) {
  return instances.flatMap(({ instance, live, startedAt, operations }) => {
    const report = operations.find((each) => each.operation === operation);
    return live && report !== undefined ? [{ instance, startedAt, report }] : [];
  });
}

async function removeByOf(folder: string, operation: string): Promise<string | null> {
  const flags = new FlagFolder(folder);
  try {
    await flags.look();
  } catch {
    return null;
  }
  return flags.operations.find(({ name }) => name === operation)?.removeBy ?? null;
}
