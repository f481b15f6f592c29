import type { Snapshot, SnapshotOperation, SnapshotVerdict } from "../../app/snapshot.ts";
import type { HealthState } from "../../files/providers/health/health.ts";
import type { ProviderStatus } from "../../files/providers/steady/provider-status.ts";
import { describeFault } from "../../rehearsal/faults.ts";
import type { Command } from "../context.ts";
import type { OperatorDoor } from "../doors/operator-door.ts";
import type { Answer } from "../output.ts";
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
import { watch } from "../terminal/watch.ts";

interface StatusOptions {
  readonly watch?: boolean;
}

/** `changeover status` */
export const status: Command<StatusOptions> = (context, { options }) =>
  withOperator(context, async (operator) => {
    const take = async (): Promise<Answer> => {
      const snapshot = await operator.snapshot();
      return { value: snapshot, lines: linesOf(snapshot, operator) };
    };
    if (options.watch !== true) return { answer: await take() };
    const { output, clock, signal } = context;
    await watch({ output, clock, signal, take });
    return { answer: null };
  });

function linesOf(snapshot: Snapshot, { live, way }: OperatorDoor): Line[] {
  const running = live
    ? `changeover ${snapshot.version}, process ${snapshot.pid}, since ${snapshot.startedAt}`
    : `changeover ${snapshot.version}`;
  return [
    [styled("strong", running), styled("faint", `  (${way})`)],
    "",
    ...table([heads, ...snapshot.operations.map(rowOf)]),
    styled("faint", legend),
    "",
    ...snapshot.operations.flatMap(noteworthy),
    ...snapshot.operations.flatMap(aboutRollout),
    ...aboutInstances(snapshot),
    ...aboutFlags(snapshot),
    ...aboutFaults(snapshot),
    ...aboutProviders(snapshot),
    ...aboutRoom(snapshot),
  ];
}

/** What matters most comes first: a narrow terminal shows the beginning of a line. */
const heads: readonly Span[] = [
  "OPERATION",
  "SHARE",
  "LATCH",
  "VERDICT",
  "LEGACY",
  "P95",
  "CANDIDATE",
  "P95",
  "SHADOW",
].map((title) => styled("strong", title));

const legend =
  "Share of the candidate; of the last minute failed calls of all, and p95 of both paths.";

function rowOf(operation: SnapshotOperation): readonly Span[] {
  const { name, flag, latch, windows, traffic, verdict } = operation;
  const calls = (path: "legacy" | "candidate"): readonly Span[] => {
    const { calls: all, failed, timedOut } = windows[path];
    const bad = failed + timedOut;
    const p95 = traffic[path].p95Ms;
    const text = `${bad} of ${all}`;
    return [bad > 0 ? styled("warn", text) : text, p95 === null ? "–" : `${Math.round(p95)} ms`];
  };
  return [
    name,
    flag === null ? "no flag" : `${flag.percentage} %${flag.enabled ? "" : " (off)"}`,
    latch?.tripped === true ? styled("bad", "TRIPPED") : "armed",
    styled(verdictStyles[verdict.verdict], verdict.verdict),
    ...calls("legacy"),
    ...calls("candidate"),
    flag === null ? "" : `${flag.shadowPercentage} %`,
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

/** Where a rollout stands, and why it stands there. */
function aboutRollout({ name, rollout, latch }: SnapshotOperation): Line[] {
  if (rollout === null || rollout.stage === null || rollout.state === "idle") return [];
  const { state, stage, stages, expectedPercentage, why } = rollout;
  const moves = state === "running" || state === "complete";
  const words = state.replaceAll("-", " ");
  const line: Line = [
    `Rollout of ${name}: `,
    styled(moves ? "good" : "warn", words),
    ` at ${expectedPercentage ?? 0} %, stage ${stage + 1} of ${stages.length}`,
  ];
  // The latch's own line says it already.
  if (latch?.tripped === true && state === "rolled-back") return [line];
  return [[...line, `: ${why}`]];
}

function aboutInstances({ instances }: Snapshot): Line[] {
  if (instances.length === 0) return [];
  const live = instances.filter((each) => each.live);
  const revisions = new Set(live.map(({ flags }) => flags.revision)).size;
  const apart = styled("warn", `, and they do not agree: ${revisions} flag revisions`);
  const gone = instances.length - live.length;
  return [
    [
      `${counted(live.length, "live instance")}`,
      revisions > 1 ? apart : ", on one flag revision",
      gone === 0 ? "" : `; ${gone} gone in the last hour`,
      styled("faint", "  (changeover fleet ls)"),
    ],
  ];
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
    const words = describeFault(faults[path]);
    if (words === null) return [];
    const what = `A fault is injected into ${path}: ${words} `;
    return [[styled("warn", what), styled("faint", `(changeover sandbox fault ${path} --off)`)]];
  });
}

const healthStyles: Readonly<Record<HealthState, Style>> = {
  unknown: "faint",
  up: "good",
  slow: "warn",
  throttled: "warn",
  unauthorised: "bad",
  down: "bad",
};

/** One row for each AI provider, as the streaming path sees it. */
function aboutProviders({ providers }: Snapshot): Line[] {
  if (providers.length === 0) return [];
  const heads = ["PROVIDER", "HEALTH", "SPEED", "UPLOADS", "QUOTA", "RETRIES", "LOST REPLIES"];
  const rows = providers.map((each): readonly Span[] => {
    const { health, queue, retries } = each;
    return [
      each.provider,
      styled(healthStyles[health.state], health.state),
      speedOf(each),
      `${queue.running.uploads} of ${queue.limit}, ${queue.waiting.uploads} waiting`,
      quotaOf(each),
      `${retries.made} made, ${retries.left} left`,
      lostOf(each),
    ];
  });
  const notes = providers.flatMap(({ provider, health, queue }): Line[] => [
    ...(health.reason === "" || health.state === "unknown"
      ? []
      : [[styled(healthStyles[health.state], `${provider} is ${health.state}: `), health.reason]]),
    ...(queue.pausedMs > 0
      ? [styled("warn", `${provider} asked to wait: nothing is sent for ${queue.pausedMs} ms`)]
      : []),
  ]);
  const titles = heads.map((title) => styled("strong", title));
  return ["", ...table([titles, ...rows]), ...notes, ""];
}

function speedOf({ throughput: { bytesPerSecond } }: ProviderStatus): string {
  return bytesPerSecond === null ? "not measured" : `${bytesText(Math.round(bytesPerSecond))}/s`;
}

/** The quota that is nearest to its end. */
function quotaOf({ quotas }: ProviderStatus): string {
  const share = (used: number, max: number | null): number => (max === null ? 0 : used / max);
  const fullest = [...quotas].sort(
    (one, other) =>
      Math.max(share(other.files, other.filesMax), share(other.bytes, other.bytesMax)) -
      Math.max(share(one.files, one.filesMax), share(one.bytes, one.bytesMax)),
  )[0];
  if (fullest === undefined) return "not counted";
  const { files, filesMax, bytes, bytesMax } = fullest;
  const of = (max: string | null): string => (max === null ? "" : ` of ${max}`);
  const inBytes = of(bytesMax === null ? null : bytesText(bytesMax));
  return `${files}${of(filesMax === null ? null : String(filesMax))} files, ${bytesText(bytes)}${inBytes}`;
}

function lostOf({ lostReplies: { adopted, absent, ambiguous } }: ProviderStatus): string {
  if (adopted + absent + ambiguous === 0) return "none";
  return `${adopted} found, ${absent} sent again, ${ambiguous} unclear`;
}

function aboutRoom({ spool, memory, shadow }: Snapshot): Line[] {
  const limit = memory.limitBytes === null ? "" : ` of ${bytesText(memory.limitBytes)}`;
  return [
    `Memory ${bytesText(memory.usedBytes)}${limit}; spool ${bytesText(spool.usedBytes)} of ${bytesText(spool.limitBytes)}; ${counted(shadow.inFlight, "shadow")} running, ${shadow.mismatches} mismatches seen.`,
  ];
}
