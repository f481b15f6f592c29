import type { MemoryPolicy } from "../policy.ts";
import type { Judgement } from "../verdict.ts";
import { number, percent } from "../wording.ts";
import type { FloorState } from "./heap-floor.ts";
import type { MemoryLevel } from "./memory-ladder.ts";
import type { MemoryReading } from "./memory-sampler.ts";

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
  /** The candidate served calls in the last 5 minutes. */
  readonly active: boolean;
  /** Its calls are sent to legacy for the second time within `shedAgainSeconds`. */
  readonly shedAgain: boolean;
  /** What major garbage collections leave. */
  readonly floor: FloorState;
}

type Finding = Pick<Judgement, "kind" | "action" | "page" | "sentence"> &
  Partial<Pick<Judgement, "observed" | "limit" | "samples">>;

/**
 * Judges memory. Sending calls to legacy helps only where legacy is cheaper for each call, or where it is
 * the candidate that holds the growth; elsewhere pressure is answered by shedding shadows and holding.
 * A heap that fills up although everything is collected ends the process: there legacy need not be known
 * to be cheaper, it must only not be known to be heavier.
 */
export function judgeMemory(facts: MemoryFacts, policy: MemoryPolicy): Judgement {
  const { reading, inFlightBytes } = facts;
  const state =
    reading === null
      ? "Memory use is unknown"
      : `Memory is at ${percent(reading.ratio)} of its limit (${reading.limitFrom})`;
  const held = `${state}, candidate calls hold ${number(inFlightBytes)} bytes`;
  const common = {
    applies: true,
    observed: reading?.ratio ?? null,
    limit: policy.critical.ratio,
    samples: reading === null ? 0 : 1,
    sinceMs: facts.levelSinceMs,
  };
  const finding =
    judgeFull(facts, policy) ??
    judgeCritical(facts, policy, held) ??
    judgeFlood(facts, policy, held) ??
    judgeLeak(facts, policy) ??
    judgeLevel(facts, held);
  return { ...common, ...finding };
}

/** Major collections leave the heap nearly full: the end is near. */
function judgeFull(facts: MemoryFacts, policy: MemoryPolicy): Finding | null {
  const { floor, legacyCheaper, active } = facts;
  if (!floor.full) return null;
  const found = {
    observed: floor.fullInARow,
    limit: policy.heapFull.inARow,
    samples: floor.fullInARow,
    page: true,
  };
  const sentence = `${floor.fullInARow} major garbage collections in a row left more than ${percent(policy.heapFull.ratio)} of the heap in use`;
  if (active && (legacyCheaper !== false || facts.candidateHoldsGrowth || floor.leaking)) {
    return { ...found, kind: "breached", action: policy.action, sentence: `${sentence}.` };
  }
  const why = active ? "legacy is the heavier path" : "the candidate has no calls";
  return { ...found, kind: "suspect", action: "hold", sentence: `${sentence}; ${why}.` };
}

/** The ladder's last rung, or the second shed within an hour, where rolling back helps. */
function judgeCritical(facts: MemoryFacts, policy: MemoryPolicy, held: string): Finding | null {
  const { level, legacyCheaper, candidateHoldsGrowth, shedAgain } = facts;
  if (shedAgain) {
    const sentence = `${held}; for the second time within ${number(policy.shedAgainSeconds)} s its calls had to be sent to legacy.`;
    return { kind: "breached", action: policy.action, page: true, sentence };
  }
  if (level < 3 || !(legacyCheaper === true || candidateHoldsGrowth)) return null;
  const why = legacyCheaper === true ? "legacy is cheaper" : "the candidate holds the growth";
  const sentence = `${held}, and ${why} for each call.`;
  return { kind: "breached", action: policy.action, page: true, sentence };
}

function judgeFlood(facts: MemoryFacts, policy: MemoryPolicy, held: string): Finding | null {
  const { inFlightBytes, legacyCheaper } = facts;
  const limit = policy.inFlightBytesMax;
  if (limit === null || inFlightBytes <= limit) return null;
  const over = { observed: inFlightBytes, limit, page: true };
  const sentence = `${held}, over the limit of ${number(limit)}`;
  return legacyCheaper === true
    ? {
        ...over,
        kind: "breached",
        action: policy.action,
        sentence: `${sentence}, and legacy is cheaper for each call.`,
      }
    : {
        ...over,
        kind: "suspect",
        action: "hold",
        sentence: `${sentence}; legacy is no cheaper, so calls are held back and not rerouted.`,
      };
}

/** A floor that rises for minutes. The leak is the process's; only a policy makes it the candidate's. */
function judgeLeak({ floor, active }: MemoryFacts, { leak }: MemoryPolicy): Finding | null {
  if (!floor.leaking || !active) return null;
  const { floorBytes, baselineBytes, points, spanSeconds, bytesPerSecond } = floor;
  const sentence = `What major garbage collections leave has grown from ${number(baselineBytes)} to ${number(floorBytes)} bytes, ${number(bytesPerSecond)} a second over ${number(Math.round(spanSeconds))} s.`;
  return {
    kind: leak.action === "rollback" ? "breached" : "suspect",
    action: leak.action,
    page: true,
    observed: floorBytes,
    limit: leak.factor * baselineBytes,
    samples: points,
    sentence,
  };
}

function judgeLevel({ reading, level }: MemoryFacts, held: string): Finding {
  if (level >= 2) {
    const sentence = `${held}; shadows are shed and the rollout is held, and new calls go to legacy where that is lighter.`;
    return { kind: "suspect", action: "hold", page: level === 3, sentence };
  }
  if (level === 1) {
    return {
      kind: "suspect",
      action: "alert",
      page: false,
      sentence: `${held}; shadows are shed.`,
    };
  }
  if (reading === null) {
    const sentence = "Nothing measures the memory of this process.";
    return { kind: "blind", action: "alert", page: false, sentence };
  }
  return { kind: "healthy", action: "none", page: false, sentence: `${held}.` };
}
