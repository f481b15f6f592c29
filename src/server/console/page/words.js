/** @import { Snapshot, SnapshotOperation, SnapshotVerdict, SnapshotWindow } from "../../../app/snapshot.ts" */
/** @typedef {"good" | "warn" | "bad" | "idle"} Tone */
/** @typedef {{ tone: Tone, title: string, text: string }} Headline */

/** @type {Readonly<Record<SnapshotVerdict["verdict"], Tone>>} */
export const verdictTones = {
  healthy: "good",
  suspect: "warn",
  breached: "bad",
  inconclusive: "idle",
  blind: "warn",
};

/** @type {Readonly<Record<string, string>>} */
export const ruleNames = {
  "error-rate": "Errors",
  "timeout-rate": "Timeouts",
  latency: "Slow calls",
  "new-exception": "Unknown exceptions",
  mismatch: "Mismatches",
  "shadow-error-rate": "Errors in the shadow",
  memory: "Memory",
  "exposure-budget": "Harmed calls",
  fatal: "Fatal errors",
};

const shares = new Set(["error-rate", "timeout-rate", "latency", "mismatch", "shadow-error-rate"]);

/**
 * A value of a rule in the rule's unit.
 * @param {string} rule
 * @param {number} value
 */
export function ruleValue(rule, value) {
  if (shares.has(rule)) return percent(value);
  if (rule !== "memory") return number(value);
  // The memory rule gives a share of the limit, bytes, or a count of collections.
  if (value > 4096) return bytes(value);
  return Number.isInteger(value) && value > 1 ? number(value) : percent(value);
}

/** @param {number} value */
export function number(value) {
  if (value === 0) return "0";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-GB");
  return String(Number(value.toPrecision(2)));
}

/** @param {number} share 0 to 1 */
export function percent(share) {
  const value = share * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "< 0.01 %";
  return `${value >= 10 ? Math.round(value) : Number(value.toPrecision(2))} %`;
}

/** @param {number | null} value */
export function milliseconds(value) {
  if (value === null) return "–";
  if (value >= 10_000) return `${Math.round(value / 1000)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 10 ? Math.round(value) : Number(value.toPrecision(2))} ms`;
}

/** @param {number} value */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let rest = value;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${unit === 0 || rest >= 100 ? Math.round(rest) : rest.toFixed(1)} ${units[unit]}`;
}

/** @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/**
 * How long ago a moment of the server was, by the server's own clock.
 * @param {string} then ISO 8601
 * @param {string} now ISO 8601
 */
export function ago(then, now) {
  const ms = Date.parse(now) - Date.parse(then);
  return ms < 1000 ? "just now" : `${duration(ms)} ago`;
}

/** @param {string} at ISO 8601 */
export function timeOfDay(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? at : date.toLocaleTimeString("en-GB");
}

/** @param {SnapshotWindow} window */
export function failedShare({ calls, failed, timedOut }) {
  return calls === 0 ? null : (failed + timedOut) / calls;
}

/** @param {SnapshotOperation} operation */
export function percentageOf({ flag }) {
  return flag?.enabled === true ? flag.percentage : 0;
}

/** Worst first: what a reader has to know first. @param {SnapshotOperation} operation */
function urgency({ latch, verdict, flag }) {
  if (latch?.tripped === true) return 4000 + Date.parse(latch.at) / 1e11;
  const tones = { bad: 3000, warn: 2000, good: 0, idle: 0 };
  return tones[verdictTones[verdict.verdict]] + (flag?.enabled === true ? flag.percentage : 0);
}

/**
 * The operation that a page shows first.
 * @param {readonly SnapshotOperation[]} operations
 */
export function mostUrgent(operations) {
  return operations.toSorted((a, b) => urgency(b) - urgency(a))[0];
}

/**
 * The whole state in one sentence and its reason.
 * @param {Pick<Snapshot, "operations" | "at">} state
 * @returns {Headline}
 */
export function headline({ operations, at }) {
  const first = mostUrgent(operations);
  if (first === undefined) return { tone: "idle", title: "No operation is declared.", text: "" };
  const { name, latch, verdict } = first;
  if (latch?.tripped === true) {
    const by =
      latch.by.type === "person" ? latch.by.name : `the ${latch.by.type} “${latch.by.name}”`;
    return {
      tone: "bad",
      title: `${name} was rolled back ${ago(latch.at, at)}`,
      text: `By ${by}: ${sentence(latch.reason)} Every call runs on legacy until a person re-arms it.`,
    };
  }
  const share = percentageOf(first);
  const tone = verdictTones[verdict.verdict];
  if (tone === "bad" || tone === "warn") {
    const worse = verdict.verdict === "blind" ? "cannot be judged" : "looks worse on the candidate";
    return { tone, title: `${name} ${worse}, at ${share} %`, text: verdict.sentence };
  }
  if (share === 0) {
    const text = "Every flag is at 0 %: all callers are answered by legacy.";
    return { tone: "idle", title: "Nothing runs on the candidate", text };
  }
  const others = operations.filter((each) => each !== first && percentageOf(each) > 0).length;
  const more =
    others === 0
      ? ""
      : ` ${others} more ${others === 1 ? "operation is" : "operations are"} on the way.`;
  const health = tone === "good" ? "and healthy" : "too early to judge";
  return {
    tone,
    title: `${name} is at ${share} %, ${health}`,
    text: `${comparison(first)}${more}`,
  };
}

/** @param {string} text */
const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

/** @param {SnapshotOperation} operation */
function comparison({ windows, traffic }) {
  const candidate = failedShare(windows.candidate);
  const legacy = failedShare(windows.legacy);
  if (candidate === null) return "No call ran on the candidate in the last minute.";
  const fails = `In the last minute ${percent(candidate)} of the candidate's calls failed`;
  const beside = legacy === null ? "" : `, against ${percent(legacy)} of legacy's`;
  const p95 = traffic?.candidate.p95Ms ?? null;
  const before = traffic?.legacy.p95Ms ?? null;
  const slow =
    p95 === null || before === null
      ? ""
      : `; p95 is ${milliseconds(p95)} against ${milliseconds(before)}`;
  return `${fails}${beside}${slow}.`;
}
