import type { RateState } from "./engine/rate-detector.ts";
import { newcombe, type Tally, wilson, z95, zRepeated } from "./engine/wilson.ts";
import type { EnginePolicy } from "./policy.ts";
import type { Action, Judgement } from "./verdict.ts";
import { number, of, points, timeOfDay } from "./wording.ts";

/*
 * The judge of every rate: pure functions from counts and policy to a judgement. Nothing here reads a clock, keeps
 * anything or acts; so every judgement can be replayed from its evidence.
 */

/** From this share of traffic BLAME hears too little to be asked alone. */
const highShare = 0.5;
/** Paired calls, and legacy calls, that say something about legacy since the onset. */
const pairsMin = 3;
const concurrentCallsMin = 10;
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
}

/** Is the candidate worse than legacy was at the same time? */
export type Comparison = "worse" | "as-bad" | "cannot-tell";

/**
 * Whose fault is a SIZE alarm? Below half of the traffic BLAME answers. From there up, the two
 * paths are compared over the time since SIZE's onset (Newcombe, z = 4), by whatever there is:
 *   - calls that legacy answered, or failed too, after the candidate failed them (needs 3);
 *   - legacy's own calls since the onset (needs 10). Where legacy has traffic they are waited for, but not
 *     longer than `concurrentWaitSeconds`;
 *   - without any of these, the baseline of earlier: SIZE alone, unless legacy's last 60 s are as bad.
 * Legacy's failures among calls that the candidate failed overstate legacy's rate where inputs are poisoned;
 * that errs towards holding, on calls that legacy is answering anyway.
 *
 * A probe, legacy run in the shadow of candidate calls, would be an exact paired test at any share: its
 * discordant pairs belong in `RateState` and its answer here, before everything else.
 */
export function worseThanLegacy(
  state: RateState,
  waitedSeconds: number,
  policy: EnginePolicy,
): Comparison {
  if (state.blame >= state.blameThreshold) return "worse";
  if (state.share < highShare) return "cannot-tell";
  const { candidate, legacy, blamed, shared } = state.onset;
  const all: Tally = { bad: candidate.bad + shared, calls: candidate.calls + shared };
  const pairs: Tally = { bad: shared, calls: shared + blamed };
  const paired = pairs.calls >= pairsMin;
  const concurrent = legacy.calls >= concurrentCallsMin;
  if (paired && newcombe(all, pairs, zRepeated).lower > 0) return "worse";
  if (concurrent && newcombe(candidate, legacy, zRepeated).lower > 0) return "worse";
  if (paired || concurrent) return "as-bad";
  const { recent } = state;
  const mayCome = recent.legacy.calls >= concurrentCallsMin || blamed + shared > 0;
  if (mayCome && waitedSeconds < policy.concurrentWaitSeconds) return "cannot-tell";
  if (recent.legacy.calls < concurrentCallsMin) return "worse";
  return newcombe(recent.candidate, recent.legacy, zRepeated).lower > 0 ? "worse" : "as-bad";
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
  if (sizeAlarm) {
    const spread = failuresAreSpread(state, facts);
    const compared = worseThanLegacy(state, waited, engine);
    if (spread && compared === "worse") {
      return {
        ...ofOnset,
        kind: "breached",
        action: rule.action,
        page: true,
        sentence: `${since}: more than ${points(rule.increase)} above ${facts.fixedBaseline ? "the expected rate" : "legacy"}.`,
      };
    }
    if (!spread && (blameAlarm || compared === "worse")) {
      const sentence = `${since}, but the failures come from too few keys to blame the candidate.`;
      return { ...ofOnset, kind: "suspect", action: "hold", page: false, sentence };
    }
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
): Pick<Judgement, "applies" | "observed" | "limit" | "samples"> {
  const observed = calls > 0 ? bad / calls : null;
  return { applies: true, observed, limit: state.baseline + increase, samples: calls };
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
