import { getHeapStatistics } from "node:v8";
import type { Clock } from "../base/clock.ts";
import { type Changeover, changeoverVersion, type Verdict } from "../changeover.ts";
import type { SteadyProvider } from "../files/providers/steady/steady-provider.ts";
import type { Spool } from "../files/spool.ts";
import type { Path } from "../migration/call.ts";
import type { AnyOperation } from "../migration/operation.ts";
import type { FaultSwitch } from "../rehearsal/faults.ts";
import type { RolloutController } from "../rollout/controller/controller.ts";
import { type Config, environmentOf } from "./config.ts";
import type { History } from "./history.ts";
import type {
  Snapshot,
  SnapshotCounts,
  SnapshotOperation,
  SnapshotVerdict,
  SnapshotWindow,
} from "./snapshot.ts";

/** Where a snapshot is read from. */
export interface SnapshotSources {
  readonly changeover: Changeover;
  readonly history: History;
  readonly faults: FaultSwitch;
  /** Left out: no rollout is led from here. */
  readonly rollout?: Pick<RolloutController, "status" | "instances">;
  readonly spool: Spool;
  readonly providers: readonly SteadyProvider[];
  readonly clock: Clock;
  readonly startedMs: number;
  readonly config: Config;
  /** Notices sent so far; null: nobody is to be told. */
  readonly notices: Snapshot["notices"];
}

/** The state of the process right now, as one plain object. */
export function takeSnapshot(sources: SnapshotSources): Snapshot {
  const { changeover, faults, spool, providers, clock, startedMs, config } = sources;
  const { flags } = changeover;
  return {
    at: new Date(clock.now()).toISOString(),
    version: changeoverVersion,
    pid: process.pid,
    startedAt: new Date(startedMs).toISOString(),
    flags: { kind: flags.kind, freshness: flags.freshness(), problems: flags.problems() },
    operations: changeover.operations.map((operation) => operationOf(sources, operation)),
    instances: sources.rollout?.instances ?? [],
    shadow: {
      inFlight: changeover.shadowsInFlight,
      mismatches: changeover.mismatches().reduce((sum, { count }) => sum + count, 0),
    },
    providers: providers.map(({ status }) => status),
    spool: { usedBytes: spool.usedBytes, limitBytes: config.spoolBytes },
    memory: changeover.memory,
    faults: faults.current,
    environment: environmentOf(config),
    limits: {
      candidateDeadlineMs: config.candidateDeadlineMs,
      heapBytes: getHeapStatistics().heap_size_limit,
    },
    notices: sources.notices,
  };
}

function operationOf(
  { changeover, history, rollout }: SnapshotSources,
  operation: AnyOperation,
): SnapshotOperation {
  const { name, definition, latch, load } = operation;
  const [, ...rules] = changeover.verdicts(name).map(verdictOf);
  const counts = countsOf(changeover, name);
  return {
    name,
    kind: definition.kind,
    flag: changeover.flags.state(name),
    latch: latch.record,
    load: { legacy: { ...load.legacy }, candidate: { ...load.candidate } },
    windows: {
      legacy: windowOf(changeover, name, "legacy"),
      candidate: windowOf(changeover, name, "candidate"),
    },
    ...(counts === null ? {} : { counts }),
    traffic: history.lastMinute(name),
    verdict: overallVerdict(changeover, name),
    rules,
    rollout: rollout?.status(name) ?? null,
  };
}

function countsOf({ metrics }: Changeover, name: string): SnapshotCounts | null {
  const totals = metrics.totals(name);
  const evidence = metrics.evidence(name);
  if (totals === null || evidence === null) return null;
  const { candidate, legacy } = totals;
  return { candidateCalls: candidate.runs, legacyCalls: legacy.runs, ...evidence };
}

/** What the guard said last about an operation, over all its rules. */
export function overallVerdict(changeover: Changeover, name: string): SnapshotVerdict {
  const [overall] = changeover.verdicts(name);
  if (overall === undefined) throw new Error(`The guard has no verdict on ${name}.`);
  return verdictOf(overall);
}

function verdictOf({ kind, legacyKnown, ...verdict }: Verdict): SnapshotVerdict {
  const { rule, observed, limit, samples, sentence } = verdict;
  const known = legacyKnown === undefined ? {} : { legacyKnown };
  return { rule, verdict: kind, observed, limit, samples, ...known, sentence };
}

/** What callers saw in the last minute; a fallback is a call that legacy answered. */
function windowOf(changeover: Changeover, name: string, path: Path): SnapshotWindow {
  const { series } = changeover.windows(name);
  const counts = series
    .filter((each) => each.path === path && each.source !== "shadow")
    .map((each) => each.short);
  const sum = (read: (kinds: (typeof counts)[number]) => number): number =>
    counts.reduce((total, kinds) => total + read(kinds), 0);
  return {
    calls: sum((kinds) => Object.values(kinds).reduce((total, count) => total + count, 0)),
    failed: sum((kinds) => kinds.failed),
    timedOut: sum((kinds) => kinds["timed-out"]),
  };
}
