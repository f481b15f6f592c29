import type { UnknownException } from "./exceptions/exceptions.ts";
import type { ExposureBudgetPolicy, NewExceptionPolicy, Policy } from "./policy.ts";
import type { Judgement } from "./verdict.ts";
import { number, timeOfDay } from "./wording.ts";

/* The judges of what is not a rate; pure, like judge.ts. */

/** Judges the exceptions that legacy never threw. */
export function judgeNewException(
  last: UnknownException | null,
  policy: NewExceptionPolicy,
  facts: { nowMs: number; legacyCalls: number; candidateCalls: number; callsMin: number },
): Judgement {
  const { nowMs, legacyCalls, candidateCalls, callsMin } = facts;
  const withinMs = policy.withinSeconds * 1000;
  const times = last?.times.filter((each) => nowMs - each <= withinMs) ?? [];
  const keys = new Set(last?.keys.slice(-Math.max(1, times.length))).size;
  const common = {
    applies: true,
    observed: times.length,
    limit: policy.blamedMin,
    samples: candidateCalls,
  };
  if (last !== null && times.length > 0) {
    const sinceMs = times[0] ?? nowMs;
    const what = `${last.label}, which legacy never threw in ${number(legacyCalls)} calls, came ${times.length} times from ${keys} keys since ${timeOfDay(sinceMs)}`;
    const enough = times.length >= policy.blamedMin && keys >= policy.keysMin;
    if (enough && legacyCalls >= policy.legacyCallsMin) {
      const { action } = policy;
      return { ...common, kind: "breached", action, page: true, sinceMs, sentence: `${what}.` };
    }
    const sentence = `${what}; ${policy.blamedMin} times from ${policy.keysMin} keys, and ${policy.legacyCallsMin} legacy calls, are needed for a breach.`;
    return { ...common, kind: "suspect", action: "hold", page: false, sinceMs, sentence };
  }
  const none = { ...common, action: "none" as const, page: false, sinceMs: null };
  if (candidateCalls < callsMin) {
    const sentence = `Only ${number(candidateCalls)} candidate calls; ${callsMin} are needed to judge.`;
    return { ...none, kind: "inconclusive", sentence };
  }
  const sentence = `No exception that legacy never threw, in ${number(candidateCalls)} candidate calls.`;
  return { ...none, kind: "healthy", sentence };
}

/** Judges how many calls the candidate harmed in 24 h beyond what legacy would have. */
export function judgeBudget(
  facts: { harmed: number; expected: number; calls: number; spentAtMs: number | null },
  policy: ExposureBudgetPolicy,
): Judgement {
  const { harmed, expected, calls, spentAtMs } = facts;
  const beyond = Math.max(0, harmed - expected);
  const limit = policy.harmedCallsPerDay;
  const sentence = `In 24 h ${number(harmed)} of ${number(calls)} candidate calls failed for their callers, at most ${number(expected)} would have on legacy; the budget is ${number(limit)}.`;
  const common = { applies: true, observed: beyond, limit, samples: calls, sentence };
  if (spentAtMs !== null || beyond > limit) {
    return { ...common, kind: "breached", action: policy.action, page: true, sinceMs: spentAtMs };
  }
  const kind = calls === 0 ? "inconclusive" : "healthy";
  return { ...common, kind, action: "none", page: false, sinceMs: null };
}

/** Judges errors of which one is too many. */
export function judgeFatal(
  facts: {
    label: string | null;
    atMs: number | null;
    /** Where it came: on a caller's call, on one that legacy failed too, or in the shadow. */
    where: "served" | "shared" | "shadow";
    calls: number;
  },
  { action }: Policy["fatal"],
): Judgement {
  const { label, atMs, where, calls } = facts;
  const common = { applies: true, limit: 1, samples: calls, sinceMs: atMs };
  if (label === null) {
    const kind = calls === 0 ? "inconclusive" : "healthy";
    const sentence = `No fatal error in ${number(calls)} candidate calls.`;
    return { ...common, kind, action: "none", page: false, observed: 0, sentence };
  }
  const sentence = `A fatal error of the candidate at ${timeOfDay(atMs ?? 0)}: ${label}`;
  const found = { ...common, page: true, observed: 1 };
  if (where === "served") return { ...found, kind: "breached", action, sentence: `${sentence}.` };
  if (where === "shadow") {
    return {
      ...found,
      kind: "suspect",
      action: "stop-shadow",
      sentence: `${sentence}, in the shadow.`,
    };
  }
  return { ...found, kind: "suspect", action: "hold", sentence: `${sentence}; legacy failed too.` };
}
