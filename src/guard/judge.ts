import type { PairTest } from "./engine/pair-test.ts";
import type { Probed } from "./engine/probe.ts";
import { highShare, type RateState } from "./engine/rate-detector.ts";
import { newcombe, type Tally, wilson, z95 } from "./engine/wilson.ts";
import type { EnginePolicy } from "./policy.ts";
import type { Action, Judgement } from "./verdict.ts";
import { number, of, points, timeOfDay } from "./wording.ts";

/*
 * The judge of every rate: pure functions from counts and policy to a judgement. Nothing here reads a clock, keeps
 * anything or acts; so every judgement can be replayed from its evidence.
 */

/** Legacy calls of 60 s that say something about legacy. */
const concurrentCallsMin = 10;
/** From this share up BLAME is as good as deaf. */
const deafShare = 0.75;
/** Below this share of all calls legacy's own are too few to be waited for. */
const holdbackMin = 0.005;
/**
 * Evidence in nats that the two paths differ since an onset that the data chose, looked at on every bad
 * call. With 10, none of 3,840 simulated two-minute outages that both paths shared led to a rollback.
 */
const concurrentEvidence = 10;
/** Calls that both paths failed within 60 s from which on somebody is told. */
const sharedMin = 5;

/** What a rate rule is judged by beside its counts. */
export interface RateFacts {
  readonly rule: {
    readonly action: Action;
    readonly increase: number;
    readonly callsMin: number;
  };
  readonly engine: EnginePolicy;
  /** What a bad call did, for the sentence: `failed`, `timed out`, `was slow`. */
  readonly did: string;
  /** Wall-clock milliseconds now, and the second of the detector's clock. */
  readonly nowMs: number;
  readonly nowSecond: number;
  /** Since when SIZE has been over its threshold; null while it is not. */
  readonly sizeSinceSecond: number | null;
  readonly lastCallSecond: number | null;
  /** The baseline is the configured rate: there is no legacy to compare with (comparisons). */
  readonly fixedBaseline: boolean;
  /** Different keys that use the candidate at present, counted up to `failingKeysMin`. */
  readonly keysPresent: number;
  /** Seconds since the evidence period began or the rule last held; default: long enough. */
  readonly calmSeconds?: number;
  /** Default: `impossible`, legacy cannot be run beside the candidate. */
  readonly probed?: Probed;
  /** What the last probe counted. */
  readonly pairs?: Pick<PairTest, "pairs" | "onlyCandidate" | "onlyLegacy">;
}

/** Is the candidate worse than legacy was at the same time? */
export type Comparison = "worse" | "as-bad" | "cannot-tell";

/**
 * Whose fault is a SIZE alarm? BLAME answers where it can. From half of the traffic up it hears too
 * little, and then there are, in this order:
 *   - the probe: legacy ran beside the candidate on the same calls. Exact at any share, whatever hits both;
 *   - legacy's own calls since the onset, where it still has some (a holdback of 5 %, say): do the two
 *     paths differ since then? Not earlier ones: an outage of both would be taken for the candidate's;
 *   - where no probe is possible (writes) and legacy has no traffic: SIZE alone, against legacy's rate of
 *     earlier. An outage that legacy would share cannot be told from a broken candidate then.
 */
export function worseThanLegacy(state: RateState, probed: Probed = "impossible"): Comparison {
  if (state.blame >= state.blameThreshold) return "worse";
  if (state.share < highShare) return "cannot-tell";
  if (probed === "worse" || probed === "as-bad") return probed;
  const { candidate, legacy } = state.onset;
  // The call that began the onset was bad by choice.
  const chosen = { bad: Math.max(0, candidate.bad - 1), calls: Math.max(0, candidate.calls - 1) };
  const deaf = state.share >= deafShare;
  if (deaf && differenceOf(chosen, legacy) >= concurrentEvidence) return "worse";
  if (probed !== "impossible") return "cannot-tell";
  const { recent } = state;
  const ofLegacy = recent.legacy.calls / Math.max(1, recent.legacy.calls + recent.candidate.calls);
  return ofLegacy >= holdbackMin ? "cannot-tell" : "worse";
}

/**
 * The logarithm of the likelihood ratio of two rates against one, where `first` has the higher rate; else 0.
 * Sharper than an interval where one side has few calls and those are unanimous.
 */
function differenceOf(first: Tally, second: Tally): number {
  const both = { bad: first.bad + second.bad, calls: first.calls + second.calls };
  if (first.bad * second.calls <= second.bad * first.calls) return 0;
  return likelihood(first) + likelihood(second) - likelihood(both);
}

function likelihood({ bad, calls }: Tally): number {
  const good = calls - bad;
  const ofBad = bad === 0 ? 0 : bad * Math.log(bad / calls);
  return ofBad + (good === 0 ? 0 : good * Math.log(good / calls));
}

/** Legacy itself is in trouble: rolling back would bring nobody to a better place. */
export function legacyAsBad(state: RateState, increase: number, sizeAlarm: boolean): boolean {
  const { candidate, legacy, shared } = state.recent;
  const calls = candidate.calls + shared;
  if (shared >= sharedMin && wilson({ bad: shared, calls }, z95).lower > increase) return true;
  if (!sizeAlarm || legacy.calls < 2 * concurrentCallsMin) return false;
  const troubled = legacy.bad / legacy.calls > state.baseline + increase / 2;
  return troubled && newcombe(candidate, legacy, z95).lower <= 0;
}

/** Judges one rate rule. */
export function judgeRate(state: RateState, facts: RateFacts): Judgement {
  const { rule, engine, did } = facts;
  const sizeAlarm = state.size >= state.sizeThreshold;
  const blameAlarm = state.blame >= state.blameThreshold;
  const waited = facts.sizeSinceSecond === null ? 0 : facts.nowSecond - facts.sizeSinceSecond;
  const onsetMs = facts.nowMs - (facts.nowSecond - state.onset.second) * 1000;
  const since = sizeAlarm || blameAlarm ? onsetSentence(state, facts, onsetMs) : "";
  const ofOnset = {
    ...basis(state.onset.candidate, rule.increase, state),
    sinceMs: state.size > 0 ? onsetMs : null,
  };
  const blamed = sizeAlarm ? judgeSize(state, facts) : null;
  if (blamed !== null) {
    return { ...ofOnset, ...blamed, sentence: `${since}${blamed.sentence}` };
  }
  const probe = sizeAlarm ? probeSentence(facts) : null;
  if (probe !== null) {
    const sentence = `${since}. ${probe}`;
    return { ...ofOnset, kind: "suspect", action: "hold", page: true, sentence };
  }
  if (legacyAsBad(state, rule.increase, sizeAlarm)) {
    const { legacy, shared } = state.recent;
    const sentence = `Legacy is as bad: in the last 60 s it ${did} ${of(legacy)} of its own calls and ${number(shared)} that the candidate ${did} too. Rolling back would help nobody.`;
    return { ...ofOnset, kind: "suspect", action: "hold", page: true, sentence };
  }
  if (blameAlarm) {
    const sentence = `${since}: worse than its share of traffic explains, not yet proven to be beyond the limit.`;
    return { ...ofOnset, kind: "suspect", action: "hold", page: false, sentence };
  }
  if (sizeAlarm && waited > engine.holdAfterSeconds) {
    const sentence = `${since}: beyond the limit for ${waited} s, without proof that it is the candidate's fault.`;
    return { ...ofOnset, kind: "suspect", action: "hold", page: true, sentence };
  }
  return judgeQuiet(state, facts, sizeAlarm ? since : null);
}

/** SIZE is over its threshold: is it the candidate's fault? Null when that is not known. */
function judgeSize(
  state: RateState,
  facts: RateFacts,
): Pick<Judgement, "kind" | "action" | "page" | "sentence"> | null {
  const { rule, fixedBaseline } = facts;
  const spread = failuresAreSpread(state, facts);
  const worse = worseThanLegacy(state, facts.probed) === "worse";
  if (spread && worse) {
    const base = fixedBaseline ? "the expected rate" : "legacy";
    const sentence = `: more than ${points(rule.increase)} above ${base}.`;
    return { kind: "breached", action: rule.action, page: true, sentence };
  }
  if (!spread && (worse || state.blame >= state.blameThreshold)) {
    const sentence = ", but the failures come from too few keys to blame the candidate.";
    return { kind: "suspect", action: "hold", page: false, sentence };
  }
  return null;
}

/** A probe that ended without blaming the candidate is told to somebody; null where there was none. */
function probeSentence({ probed, pairs }: RateFacts): string | null {
  if (pairs === undefined || (probed !== "as-bad" && probed !== "capped")) return null;
  const counts = `on ${number(pairs.pairs)} calls that both paths ran with, only the candidate was bad on ${number(pairs.onlyCandidate)}, only legacy on ${number(pairs.onlyLegacy)}`;
  return probed === "as-bad"
    ? `Legacy is as bad: ${counts}. Rolling back would help nobody.`
    : `Legacy was run beside the candidate without a clear answer: ${counts}.`;
}

/** No alarm: is there evidence of health? */
function judgeQuiet(state: RateState, facts: RateFacts, rising: string | null): Judgement {
  const { rule, engine, did, lastCallSecond, nowSecond, fixedBaseline } = facts;
  const { candidate, legacy } = state.period;
  const common = { ...basis(candidate, rule.increase, state), sinceMs: null, page: false };
  const none = { ...common, action: "none" as const };
  if (rising !== null) {
    return {
      ...none,
      kind: "inconclusive",
      sentence: `${rising}: rising, waiting for more calls.`,
    };
  }
  if (lastCallSecond === null) {
    return { ...none, kind: "inconclusive", sentence: "The candidate has not had a call yet." };
  }
  const silent = nowSecond - lastCallSecond;
  if (silent > engine.freshSeconds) {
    const sentence = `The candidate has had no call for ${silent} s, so nothing can be told.`;
    return { ...common, kind: "blind", action: "alert", sentence };
  }
  if (candidate.calls < rule.callsMin) {
    const sentence = `Only ${number(candidate.calls)} candidate calls; ${rule.callsMin} are needed to judge.`;
    return { ...none, kind: "inconclusive", sentence };
  }
  const calmSeconds = facts.calmSeconds ?? engine.healthyAfterSeconds;
  if (calmSeconds < engine.healthyAfterSeconds) {
    const sentence = `Calm for ${calmSeconds} s; ${engine.healthyAfterSeconds} s without a hold are needed to be healthy.`;
    return { ...none, kind: "inconclusive", sentence };
  }
  const ofLegacy = fixedBaseline ? "" : `, legacy ${of(legacy)}`;
  const counts = `the candidate ${did} ${of(candidate)}${ofLegacy}`;
  const concurrent = legacy.calls >= engine.baselineCallsMin;
  if (!concurrent && !fixedBaseline && state.baselineFrom === "configured") {
    const sentence = `Legacy's rate was never measured (${counts}), so there is nothing to compare with.`;
    return { ...none, kind: "inconclusive", sentence };
  }
  const upper = concurrent
    ? newcombe(candidate, legacy, z95).upper
    : wilson(candidate, z95).upper - state.baseline;
  const base = fixedBaseline ? "the expected rate" : "legacy";
  const bound = points(Math.max(0, upper));
  return upper < rule.increase
    ? { ...none, kind: "healthy", sentence: `At most ${bound} above ${base} at 95 %: ${counts}.` }
    : {
        ...none,
        kind: "inconclusive",
        sentence: `Up to ${bound} above ${base} cannot be excluded yet: ${counts}.`,
      };
}

function failuresAreSpread(state: RateState, { engine, keysPresent }: RateFacts): boolean {
  const present = Math.max(1, keysPresent);
  if (state.failingKeys < Math.min(engine.failingKeysMin, present)) return false;
  return present < engine.failingKeysMin || state.topKeyShare <= engine.topKeyShareMax;
}

function basis(
  { bad, calls }: Tally,
  increase: number,
  state: RateState,
): Pick<Judgement, "applies" | "observed" | "limit" | "samples" | "legacyKnown"> {
  const observed = calls > 0 ? bad / calls : null;
  const { baseline, legacyKnown } = state;
  return { applies: true, observed, limit: baseline + increase, samples: calls, legacyKnown };
}

function onsetSentence(
  state: RateState,
  { did, fixedBaseline }: RateFacts,
  onsetMs: number,
): string {
  // A SIZE sum at 0 has no onset: BLAME is alone then, and the last minute says what it heard.
  const rising = state.size > 0;
  const { candidate, legacy, shared } = rising ? state.onset : state.recent;
  const when = rising ? `Since ${timeOfDay(onsetMs)}` : "In the last 60 s";
  const both = shared > 0 ? `, both ${number(shared)}` : "";
  const ofLegacy = fixedBaseline ? "" : `, legacy ${of(legacy)}`;
  return `${when} the candidate ${did} ${of(candidate)}${ofLegacy}${both}`;
}
