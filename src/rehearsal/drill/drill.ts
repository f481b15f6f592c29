import type { Fault } from "../faults.ts";

/** The ways in which a drill makes the candidate go wrong. */
export type DrillFault =
  | "errors"
  | "timeouts"
  | "latency"
  | "unknown-exception"
  | "mismatch"
  | "memory";

/** What a drill knows of the product before it begins. */
export interface DrillSubject {
  /** The candidate's deadline in milliseconds; null: it has none, so nothing can time out. */
  readonly deadlineMs: number | null;
  /** The guard knows how fast legacy is, which takes five minutes of 200 calls or more. */
  readonly latencyMeasured: boolean;
  /** Memory that a leak has to fill until the guard must act, in bytes; null: not known. */
  readonly heapLimitBytes: number | null;
  /** The operation's calls can be compared in the shadow. */
  readonly shadowable: boolean;
}

/** What is expected of the guard. */
export type Expected = "rollback" | "hold";

/** One exercise of a drill. */
export interface Exercise {
  readonly fault: DrillFault;
  readonly injected: Partial<Fault>;
  readonly expected: Expected;
  /** Shares of the candidate and of the shadow during the exercise, in percent. */
  readonly percentage: number;
  readonly shadow: number;
  /** Calls before the fault, so that there is something to compare with. */
  readonly callsBefore: number;
  /** Calls after it, at most; the exercise has failed when the guard has not acted by then. */
  readonly callsMax: number;
  /** Null: it is exercised. Else why it is left out. */
  readonly skipped: string | null;
}

/** A leak fills more than this only when told to (`--force`). */
export const leakBytesMax: number = 1024 ** 3;
const MiB = 1024 ** 2;

/**
 * The exercises of a drill in their order. Pure. Rates are high because a drill proves the way back and
 * its time; how small a rise is still found is what `changeover simulate` tells.
 */
export function exercisesFor(subject: DrillSubject, force = false): readonly Exercise[] {
  const { deadlineMs, latencyMeasured, heapLimitBytes, shadowable } = subject;
  const common = { percentage: 50, shadow: 0, callsBefore: 60, callsMax: 600, skipped: null };
  const roomy = heapLimitBytes === null || (heapLimitBytes > leakBytesMax && !force);
  const limit = heapLimitBytes ?? 0;
  return [
    { ...common, fault: "errors", injected: { errorRate: 0.5 }, expected: "rollback" },
    {
      ...common,
      fault: "timeouts",
      injected: { latencyMs: Math.min(60_000, (deadlineMs ?? 0) * 2) },
      expected: "rollback",
      skipped:
        deadlineMs === null
          ? "the candidate has no deadline; set CHANGEOVER_CANDIDATE_DEADLINE_MS"
          : null,
    },
    {
      ...common,
      fault: "latency",
      injected: { latencyMs: deadlineMs === null ? 300 : Math.min(300, deadlineMs / 2) },
      expected: "rollback",
      skipped: latencyMeasured
        ? null
        : "the guard has not measured legacy for 5 minutes with 200 calls yet; drill a process that has been serving for longer",
    },
    {
      ...common,
      fault: "unknown-exception",
      injected: { unknownErrorRate: 0.1 },
      expected: "rollback",
    },
    {
      ...common,
      fault: "mismatch",
      injected: { mismatchRate: 0.5 },
      expected: "hold",
      percentage: 0,
      shadow: 100,
      skipped: shadowable ? null : "calls of this operation are not shadowed",
    },
    {
      ...common,
      fault: "memory",
      // Half of the calls leak, and the guard acts at 92 % of the limit.
      injected: { leakBytes: Math.max(MiB, Math.min(64 * MiB, Math.ceil(limit / 100))) },
      expected: "rollback",
      callsMax: 1500,
      skipped: roomy
        ? `it would fill ${heapLimitBytes === null ? "an unknown amount of memory" : `${Math.round(limit / MiB)} MiB`}; drill a process with --max-old-space-size of at most ${leakBytesMax / MiB} MiB, or use --force`
        : null,
    },
  ];
}

/** How one call of a drill ended, as its caller saw it. */
export type CallEnd = "answered" | "failed" | "lost" | "cut";

/** What was seen of one exercise. */
export interface Sighting {
  readonly calls: number;
  /** Milliseconds from the fault to the latch of the process that was called; null: it did not latch. */
  readonly localMs: number | null;
  /** Milliseconds until every instance was on legacy; null: not seen. */
  readonly fleetMs: number | null;
  /** Calls that their callers saw fail. */
  readonly harmed: number;
  /** Calls without any answer. */
  readonly lost: number;
  /** Answers that ended before they were complete. */
  readonly cutMidStream: number;
  /** The rule that acted, or that holds; null: none did. */
  readonly rule: string | null;
  /** The journal has the rollback with its steps; true where none is expected. */
  readonly journalled: boolean;
  /** A notice was taken by its receiver; null: no receiver is set up. */
  readonly noticed: boolean | null;
}

/** One line of a drill's table. */
export interface DrillResult extends Sighting {
  readonly fault: DrillFault;
  readonly expected: Expected;
  /** Null: it was left out. */
  readonly passed: boolean | null;
  /** Why it failed or was left out; empty when it passed. */
  readonly problems: readonly string[];
}

const nothingSeen: Sighting = {
  calls: 0,
  localMs: null,
  fleetMs: null,
  harmed: 0,
  lost: 0,
  cutMidStream: 0,
  rule: null,
  journalled: false,
  noticed: null,
};

/** Judges one exercise. Pure. `seen` is null for one that was left out. */
export function judgeExercise(exercise: Exercise, seen: Sighting | null): DrillResult {
  const { fault, expected, skipped } = exercise;
  if (seen === null) {
    const problems = [skipped ?? "it was not run"];
    return { ...nothingSeen, fault, expected, passed: null, problems };
  }
  const problems: string[] = [];
  if (expected === "rollback") {
    if (seen.localMs === null) problems.push(`no rollback within ${seen.calls} calls`);
    else if (seen.fleetMs === null) problems.push("not every instance went back to legacy");
    if (seen.localMs !== null && !seen.journalled) problems.push("the journal lacks the rollback");
    if (seen.localMs !== null && seen.noticed === false) problems.push("the notice did not arrive");
  } else if (seen.rule === null) problems.push(`nothing held within ${seen.calls} calls`);
  if (seen.lost > 0) problems.push(`${seen.lost} calls were lost before their first byte`);
  return { ...seen, fault, expected, passed: problems.length === 0, problems };
}

/** Passed: nothing failed, and at least one exercise was run. */
export function drillPassed(results: readonly DrillResult[]): boolean {
  return (
    results.some(({ passed }) => passed === true) && results.every(({ passed }) => passed !== false)
  );
}
