import type { JournalEntry } from "../../migration/journal.ts";
import { percentageIn } from "../report/report.ts";
import { mismatchBound } from "./mismatch-bound.ts";
import {
  type ReadyCheck,
  type ReadyCheckName,
  type ReadyCounts,
  type ReadyFacts,
  type ReadyLimits,
  type ReadyReport,
  readyCheckNames,
} from "./ready-check.ts";

const dayMs = 86_400_000;

interface Question extends ReadyFacts {
  readonly limits: ReadyLimits;
  /** Since when every call has gone to the candidate, as the journal tells; null: not known, or not so. */
  readonly fullSinceMs: number | null;
  /** The beginning of the time that is looked at. */
  readonly fromMs: number;
}

type Answer = Omit<ReadyCheck, "name">;

const passed = (sentence: string): Answer => ({ state: "passed", sentence });
const failed = (sentence: string): Answer => ({ state: "failed", sentence });
const unknown = (sentence: string): Answer => ({ state: "unknown", sentence });

const judges: Readonly<Record<ReadyCheckName, (question: Question) => Answer>> = {
  "full-time": judgeFullTime,
  calls: judgeCalls,
  fallbacks: judgeFallbacks,
  rollbacks: judgeRollbacks,
  mismatches: judgeMismatches,
  inputs: judgeInputs,
  rollout: judgeRollout,
  latch: judgeLatch,
  drill: judgeDrill,
  "flag-age": judgeFlagAge,
};

/**
 * Is it safe to delete the legacy path? Only when every check has passed; what cannot be told is
 * `unknown`, and counts against it. Pure.
 */
export function judgeReady(facts: ReadyFacts, limits: ReadyLimits): ReadyReport {
  const fullSinceMs = fullSince(facts.entries);
  const fromMs = facts.nowMs - limits.days * dayMs;
  const question = { ...facts, limits, fullSinceMs, fromMs };
  const checks = readyCheckNames.map((name) => ({ name, ...judges[name](question) }));
  const isFull = isAtFull(facts) && fullSinceMs !== null;
  return {
    operation: facts.now.name,
    at: iso(facts.nowMs),
    ready: checks.every(({ state }) => state === "passed"),
    fullSince: isFull ? iso(fullSinceMs) : null,
    limits,
    checks,
  };
}

/** Since when the journal has the share at 100 % without a break; null where it last was lower, or says nothing. */
function fullSince(entries: readonly JournalEntry[]): number | null {
  let since: number | null = null;
  for (const entry of entries) {
    const share = shareAfter(entry);
    if (share === null) continue;
    if (share < 100) since = null;
    else since ??= Date.parse(entry.at);
  }
  return since;
}

function shareAfter(entry: JournalEntry): number | null {
  if (isRollback(entry)) return 0;
  return entry.kind === "flag" || entry.kind === "rollout" ? percentageIn(entry.to) : null;
}

const isRollback = ({ kind }: JournalEntry): boolean => kind === "rollback" || kind === "trip";
const isAtFull = ({ now: { flag } }: ReadyFacts): boolean =>
  flag?.enabled === true && flag.percentage === 100;

function judgeFullTime(question: Question): Answer {
  const { now, limits, nowMs, fullSinceMs } = question;
  if (now.flag === null) return unknown("The operation has no flag, so its share is not known.");
  const share = now.flag.enabled ? now.flag.percentage : 0;
  if (!isAtFull(question)) {
    return failed(`The candidate has ${share} % of the keys now; it takes 100 %.`);
  }
  if (fullSinceMs === null) {
    return unknown("The flag is at 100 %, and the journal does not tell since when.");
  }
  const sentence = `At 100 % since ${iso(fullSinceMs)}: ${days(nowMs - fullSinceMs)}; ${limits.days} are asked for.`;
  return nowMs - fullSinceMs >= limits.days * dayMs ? passed(sentence) : failed(sentence);
}

function judgeCalls({ counts, noCounts, limits, fullSinceMs }: Question): Answer {
  if (counts === null) return unknown(noCounts);
  const sentence = `${counts.candidateCalls} calls on the candidate, counted by ${told(counts)}; ${limits.calls} are asked for.`;
  if (counts.candidateCalls >= limits.calls) return passed(sentence);
  // Fewer were counted than were made where the counting began later.
  const isAll = fullSinceMs === null || counts.sinceMs <= fullSinceMs;
  return isAll ? failed(sentence) : unknown(`${sentence} Earlier ones are not counted there.`);
}

function judgeFallbacks(question: Question): Answer {
  const { counts, noCounts } = question;
  if (counts === null) return unknown(noCounts);
  if (counts.fallbacks === null) {
    return unknown(
      "Fallbacks of the other instances are not known here; set CHANGEOVER_PROMETHEUS_URL.",
    );
  }
  const found = `Legacy was asked to answer ${counts.fallbacks} failed calls, counted by ${told(counts)}.`;
  if (counts.fallbacks > 0) return early(question, counts) ?? failed(found);
  return short(question, counts) ?? passed(found);
}

function judgeRollbacks({ entries, truncated, fromMs, limits }: Question): Answer {
  const [first] = entries;
  if (first === undefined) return unknown("The journal tells nothing of this operation.");
  const found = entries.filter((entry) => isRollback(entry) && Date.parse(entry.at) >= fromMs);
  const last = found.at(-1);
  if (last !== undefined) {
    return failed(
      `${found.length} in the last ${limits.days} days, the last one at ${last.at}: ${last.why}`,
    );
  }
  if (truncated && Date.parse(first.at) > fromMs) {
    return unknown(`None since ${first.at}; older entries of the journal were not read.`);
  }
  return passed(`None in the last ${limits.days} days.`);
}

function judgeMismatches({ counts, noCounts, limits, mismatches, fromMs }: Question): Answer {
  if (counts === null) return unknown(noCounts);
  const { compared, different, sinceMs } = counts;
  const uncounted = mismatches.find(({ lastSeen }) => {
    const seenMs = Date.parse(lastSeen);
    return seenMs >= fromMs && seenMs < sinceMs;
  });
  if (uncounted !== undefined) {
    const { id, lastSeen } = uncounted;
    return failed(
      `A difference was seen at ${lastSeen}, before the counting began: changeover mismatches show ${id}`,
    );
  }
  if (compared === 0) {
    return unknown("No two answers were compared. Let some calls be shadowed: flags set --shadow.");
  }
  const bound = mismatchBound(different, compared);
  const sentence = `${different} of ${compared} compared answers differed, by ${told(counts)}: at 95 % at most ${percent(bound)}; below ${percent(limits.mismatchRate)} is asked for.`;
  if (bound < limits.mismatchRate) return passed(sentence);
  if (different > 0) return failed(sentence);
  const needed = Math.floor(3 / limits.mismatchRate) + 1;
  return unknown(`${sentence} It takes ${needed} comparisons without a difference.`);
}

/** Kinds, sizes and providers of inputs are recorded nowhere; which path served the calls is. */
function judgeInputs(question: Question): Answer {
  const { counts, noCounts, limits } = question;
  const notRecorded = "Which kinds of input came is not recorded";
  if (counts === null) return unknown(`${notRecorded}. ${noCounts}`);
  const { legacyCalls, candidateCalls } = counts;
  const served = `Legacy served ${legacyCalls} of ${legacyCalls + candidateCalls} calls, counted by ${told(counts)}`;
  if (legacyCalls > 0) {
    const sentence = `${served}: there are inputs that the candidate has not answered.`;
    return early(question, counts) ?? failed(sentence);
  }
  if (candidateCalls === 0) return unknown(`${notRecorded}, and no call was counted.`);
  return (
    short(question, counts) ??
    passed(
      `${served}, so the candidate has had whatever came. ${notRecorded}; what comes less often than every ${limits.days} days may be missing.`,
    )
  );
}

function judgeRollout({ now: { rollout } }: Question): Answer {
  if (rollout === null) return unknown("No rollout is led from here.");
  const sentence = `The rollout is ${rollout.state}: ${rollout.why}`;
  return rollout.state === "complete" ? passed(sentence) : failed(sentence);
}

function judgeLatch({ now: { latch }, latchedInstances }: Question): Answer {
  if (latch?.tripped === true) return failed(`Tripped since ${latch.at}: ${latch.reason}`);
  const [first] = latchedInstances;
  if (first === undefined) return passed("Armed.");
  return failed(`Tripped on ${latchedInstances.length} live instances, ${first} among them.`);
}

function judgeDrill({ drilledMs, nowMs, limits }: Question): Answer {
  if (drilledMs === null) {
    return failed("No passed drill is on record in the data folder: changeover drill --operation");
  }
  const age = Math.max(0, nowMs - drilledMs);
  const sentence = `The last passed drill was ${days(age)} ago (${iso(drilledMs)}); ${limits.drillDays} at most are asked for.`;
  return age <= limits.drillDays * dayMs ? passed(sentence) : failed(sentence);
}

/** A flag that should be gone already is no reason to keep what it switches. */
function judgeFlagAge({ removeBy, nowMs }: Question): Answer {
  if (removeBy === null) {
    return unknown("No flag file in CHANGEOVER_FLAGS_DIR says until when the flag is to live.");
  }
  const left = Date.parse(removeBy) + dayMs - nowMs;
  return passed(
    left >= 0
      ? `The flag is to be gone by ${removeBy}, in ${days(left)}.`
      : `The flag was to be gone by ${removeBy}: ${days(-left)} too old already.`,
  );
}

/** What was counted may be from before 100 %. */
function early({ fullSinceMs }: Question, counts: ReadyCounts): Answer | null {
  if (fullSinceMs !== null && counts.sinceMs >= fullSinceMs) return null;
  const { fallbacks, legacyCalls } = counts;
  return unknown(
    `Counted by ${told(counts)}: ${fallbacks ?? 0} fallbacks and ${legacyCalls} calls on legacy, some of them maybe from before 100 %. Set CHANGEOVER_PROMETHEUS_URL, or look again when the process was started anew.`,
  );
}

/** None was seen, but not for long enough. */
function short({ fromMs, limits }: Question, counts: ReadyCounts): Answer | null {
  if (counts.sinceMs <= fromMs) return null;
  return unknown(
    `None, but counted by ${told(counts)} only; ${limits.days} days are asked for. Set CHANGEOVER_PROMETHEUS_URL to look over restarts.`,
  );
}

const told = ({ source, sinceMs }: ReadyCounts): string => `${source} since ${iso(sinceMs)}`;
const iso = (ms: number): string => new Date(ms).toISOString();
const days = (ms: number): string => `${(ms / dayMs).toFixed(1)} days`;
const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`;
