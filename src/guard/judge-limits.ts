import type { UnknownException } from "./exceptions.ts";
import type { MemoryLevel } from "./memory/memory-ladder.ts";
import type { MemoryReading } from "./memory/memory-sampler.ts";
import type { ExposureBudgetPolicy, MemoryPolicy, NewExceptionPolicy, Policy } from "./policy.ts";
import type { Judgement } from "./verdict.ts";
import { number, percent, timeOfDay } from "./wording.ts";

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

/** What is known about memory when it is judged. */
export interface MemoryFacts {
  readonly reading: MemoryReading | null;
  readonly level: MemoryLevel;
  readonly levelSinceMs: number | null;
  /** Declared bytes of the operation's candidate calls in flight. */
  readonly inFlightBytes: number;
  /** A call costs less on legacy than on the candidate; null when the operation declares no cost. */
  readonly legacyCheaper: boolean | null;
  /** Half or more of what was added since memory was last fine is held by candidate calls. */
  readonly candidateHoldsGrowth: boolean;
}

/**
 * Judges memory. Sending calls to legacy helps only where legacy is cheaper for each call, or where it is
 * the candidate that holds the growth; elsewhere pressure is answered by shedding shadows and holding.
 */
export function judgeMemory(facts: MemoryFacts, policy: MemoryPolicy): Judgement {
  const { reading, level, inFlightBytes, legacyCheaper, candidateHoldsGrowth } = facts;
  const ratio = reading?.ratio ?? null;
  const common = {
    applies: true,
    observed: ratio,
    limit: policy.critical.ratio,
    samples: reading === null ? 0 : 1,
    sinceMs: facts.levelSinceMs,
  };
  const max = policy.inFlightBytesMax;
  const flooded = max !== null && inFlightBytes > max;
  const helps = legacyCheaper === true || candidateHoldsGrowth;
  const why = legacyCheaper === true ? "legacy is cheaper" : "the candidate holds the growth";
  const state =
    reading === null
      ? "Memory use is unknown"
      : `Memory is at ${percent(reading.ratio)} of its limit (${reading.limitFrom})`;
  const held = `${state}, candidate calls hold ${number(inFlightBytes)} bytes`;
  if (level === 3 && helps) {
    const sentence = `${held}, and ${why} for each call.`;
    return { ...common, kind: "breached", action: policy.action, page: true, sentence };
  }
  if (flooded) {
    const over = { ...common, observed: inFlightBytes, limit: max };
    const sentence = `${held}, over the limit of ${number(max)}`;
    return legacyCheaper === true
      ? {
          ...over,
          kind: "breached",
          action: policy.action,
          page: true,
          sentence: `${sentence}, and ${why} for each call.`,
        }
      : {
          ...over,
          kind: "suspect",
          action: "hold",
          page: true,
          sentence: `${sentence}; legacy is no cheaper, so calls are held back and not rerouted.`,
        };
  }
  if (level >= 2) {
    const sentence = `${held}; legacy is not known to be cheaper, so shadows are shed and the rollout is held.`;
    return { ...common, kind: "suspect", action: "hold", page: level === 3, sentence };
  }
  if (level === 1) {
    const sentence = `${held}; shadows are shed.`;
    return { ...common, kind: "suspect", action: "alert", page: false, sentence };
  }
  if (reading === null) {
    const sentence = "Nothing measures the memory of this process.";
    return { ...common, kind: "blind", action: "alert", page: false, sentence };
  }
  return { ...common, kind: "healthy", action: "none", page: false, sentence: `${held}.` };
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
