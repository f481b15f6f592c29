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
    "",
    ...snapshot.operations.flatMap(noteworthy),
    ...aboutFlags(snapshot),
    ...aboutFaults(snapshot),
    ...aboutProviders(snapshot),
    ...aboutRoom(snapshot),
  ];
}

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
