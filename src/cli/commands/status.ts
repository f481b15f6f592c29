import type { Snapshot, SnapshotOperation, SnapshotVerdict } from "../../app/snapshot.ts";
import type { Command } from "../context.ts";
import { withOperator } from "../session.ts";
import {
  bytesText,
  counted,
  type Line,
  type Span,
  type Style,
  styled,
  table,
} from "../terminal/text.ts";

/** `changeover status` */
export const status: Command<unknown> = (context) =>
  withOperator(context, async (operator) => {
    const snapshot = await operator.snapshot();
    const running = operator.live
      ? `changeover ${snapshot.version}, process ${snapshot.pid}, since ${snapshot.startedAt}`
      : `changeover ${snapshot.version}`;
    return {
      answer: {
        value: snapshot,
        lines: [
          [styled("strong", running), styled("faint", `  (${operator.way})`)],
          "",
          ...table([heads, ...snapshot.operations.map(rowOf)]),
          "",
          ...snapshot.operations.flatMap(noteworthy),
          ...aboutFlags(snapshot),
          ...aboutFaults(snapshot),
          ...aboutRoom(snapshot),
        ],
      },
    };
  });

const heads: readonly Span[] = [
  "OPERATION",
  "CANDIDATE",
  "SHADOW",
  "LATCH",
  "LEGACY: CALLS/FAILED",
  "CANDIDATE: CALLS/FAILED",
  "VERDICT",
].map((title) => styled("strong", title));

function rowOf(operation: SnapshotOperation): readonly Span[] {
  const { name, flag, latch, windows, verdict } = operation;
  const calls = (path: "legacy" | "candidate"): string =>
    `${windows[path].calls}/${windows[path].failed + windows[path].timedOut}`;
  return [
    name,
    flag === null ? "no flag" : `${flag.percentage} %${flag.enabled ? "" : " (off)"}`,
    flag === null ? "" : `${flag.shadowPercentage} %`,
    latch?.tripped === true ? styled("bad", "TRIPPED") : "armed",
    calls("legacy"),
    calls("candidate"),
    styled(verdictStyles[verdict.verdict], verdict.verdict),
  ];
}

const verdictStyles: Readonly<Record<SnapshotVerdict["verdict"], Style>> = {
  healthy: "good",
  suspect: "warn",
  breached: "bad",
  inconclusive: "faint",
  blind: "warn",
};

/** What an operator must not miss: a tripped latch with its reason, and verdicts that say something. */
function noteworthy({ name, latch, verdict }: SnapshotOperation): Line[] {
  const lines: Line[] = [];
  if (latch?.tripped === true) {
    const by = `${latch.by.type} ${latch.by.name}`;
    lines.push([
      styled("bad", `${name} was rolled back`),
      ` at ${latch.at} by ${by}: ${latch.reason} `,
      styled("faint", `(changeover rearm ${name})`),
    ]);
  }
  if (verdict.verdict !== "inconclusive") {
    lines.push([styled(verdictStyles[verdict.verdict], `${name}: `), verdict.sentence]);
  }
  return lines;
}

function aboutFlags({ flags }: Snapshot): Line[] {
  const { state, lastRefreshMs } = flags.freshness;
  const since = lastRefreshMs === null ? "" : `, read ${new Date(lastRefreshMs).toISOString()}`;
  const line: Line = [
    `Flags (${flags.kind}) are `,
    styled(state === "fresh" ? "good" : "warn", state),
    since,
  ];
  const problems = flags.problems.map(
    ({ subject, message }): Line => [styled("warn", `  ${subject}: `), message],
  );
  return [line, ...problems];
}

function aboutFaults({ faults }: Snapshot): Line[] {
  return (["legacy", "candidate"] as const).flatMap((path): Line[] => {
    const { errorRate, latencyMs } = faults[path];
    if (errorRate === 0 && latencyMs === 0) return [];
    const what = `A fault is injected into ${path}: ${errorRate * 100} % errors, ${latencyMs} ms latency `;
    return [[styled("warn", what), styled("faint", `(changeover sandbox fault ${path} --off)`)]];
  });
}

function aboutRoom({ spool, memory, shadow }: Snapshot): Line[] {
  const limit = memory.limitBytes === null ? "" : ` of ${bytesText(memory.limitBytes)}`;
  return [
    `Memory ${bytesText(memory.usedBytes)}${limit}; spool ${bytesText(spool.usedBytes)} of ${bytesText(spool.limitBytes)}; ${counted(shadow.inFlight, "shadow")} running, ${shadow.mismatches} mismatches seen.`,
  ];
}
