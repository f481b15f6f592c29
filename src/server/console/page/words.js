/** @import { Snapshot, SnapshotOperation, SnapshotVerdict, SnapshotWindow } from "../../../app/snapshot.ts" */
/** @typedef {"good" | "warn" | "bad" | "idle"} Tone */
/** @typedef {{ tone: Tone, title: string, text: string }} Headline */
/** @typedef {NonNullable<SnapshotOperation["rollout"]>} Rollout */
/** @typedef {Rollout["gates"][number]} GateStatus */

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
    const text = `${sentence(verdict.sentence)}${standing(first)}`;
    return { tone, title: `${name} ${worse}, at ${share} %`, text };
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
    text: `${comparison(first)}${standing(first)}${more}`,
  };
}

/** Why a rollout does not move, where it does not. @param {SnapshotOperation} operation */
function standing({ rollout }) {
  if (rollout === null || !["held", "paused", "waiting-approval"].includes(rollout.state))
    return "";
  return ` Rollout: ${stateWords[rollout.state].toLowerCase()}.`;
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

/** @type {Readonly<Record<Rollout["state"], string>>} */
const stateWords = {
  idle: "Never started",
  running: "Under way",
  paused: "Paused by a person",
  held: "Held",
  "waiting-approval": "Waiting for a person's approval",
  complete: "Complete",
  "rolled-back": "Ended by a rollback: only a person starts it again",
  aborted: "Aborted by a person",
};

const order = { holding: 0, waiting: 1, passed: 2 };

/** @param {GateStatus["name"]} name */
export const gateWords = (name) => name.replaceAll("-", " ");

/**
 * The gates, what is not passed first. The guard's own sentence stands above them already.
 * @param {SnapshotOperation} operation
 * @returns {GateStatus[]}
 */
export function gatesOf({ rollout, verdict }) {
  const gates = (rollout?.gates ?? []).map((gate) =>
    gate.name === "verdict" && isSaid(gate.sentence, verdict.sentence)
      ? { ...gate, sentence: `${verdict.verdict}, as said above.` }
      : gate,
  );
  return gates.sort((a, b) => order[a.state] - order[b.state]);
}

/**
 * Does a gate say what the guard of this process says? It may be a second older, with other numbers; what is
 * judged by the counts of all instances is something else.
 * @param {string} gate
 * @param {string} guard
 */
function isSaid(gate, guard) {
  /** @param {string} text */
  const plain = (text) => text.replace(/\d[\d.,]*/g, "#");
  return !gate.includes("All instances") && plain(gate).endsWith(plain(guard));
}

/**
 * Where the rollout stands, without what its gates or the headline say anyway.
 * @param {SnapshotOperation} operation
 * @param {string} at
 */
export function rolloutSentence({ rollout, flag, latch }, at) {
  if (rollout === null || rollout.state === "idle") {
    return flag === null
      ? "It has no flag: every call runs on legacy."
      : `No rollout walks it; the share comes from: ${flag.origin}.`;
  }
  const { state, stageSince, gates, why } = rollout;
  const told = gates.find(({ sentence }) => why.endsWith(sentence))?.sentence ?? "";
  const before = why.slice(0, why.length - told.length).trim();
  const reason = latch?.tripped === true && why.includes(latch.reason.slice(0, 400));
  const because = reason ? "" : before;
  if (!walking.has(state)) return [`${stateWords[state]}.`, because].filter(Boolean).join(" ");
  const since =
    stageSince === null
      ? ""
      : `, at this stage for ${duration(Date.parse(at) - Date.parse(stageSince))}`;
  return [`${stateWords[state]}${since}.`, openGates(rollout), because, ...uncounted(rollout)]
    .filter(Boolean)
    .join(" ");
}

/** @type {ReadonlySet<Rollout["state"]>} */
const walking = new Set(["running", "held", "waiting-approval"]);

/** What keeps it, by name: whoever asks why finds the sentence at the gate. @param {Rollout} rollout */
function openGates({ state, gates }) {
  const open = gates.filter((gate) => gate.state !== "passed");
  const holding = open.filter((gate) => gate.state === "holding");
  if (open.length === 0 || (holding.length === 0 && state === "waiting-approval")) return "";
  const names = (holding.length > 0 ? holding : open).map(({ name }) => gateWords(name));
  return `${holding.length > 0 ? "Stopped by" : "Next needs"}: ${names.join(", ")}.`;
}

/** What no gate tells. @param {Rollout} rollout */
function uncounted({ holdLeftMs, samples, samplesNeeded, gates, leader, why }) {
  const names = new Set(gates.map(({ name }) => name));
  const held = holdLeftMs !== null && holdLeftMs > 0 && !names.has("hold-time");
  const counted = samples !== null && samplesNeeded !== null && !names.has("samples");
  return [
    held ? `${duration(holdLeftMs)} of the hold are left.` : "",
    counted ? `${number(samples)} of ${number(samplesNeeded)} calls.` : "",
    leader === null && !why.includes("Nobody leads") ? "Nobody leads, so nothing moves." : "",
  ];
}
