import { type Random, seededRandom } from "../../src/base/random.ts";
import { Probe } from "../../src/guard/engine/probe.ts";
import { worseThanLegacy } from "../../src/guard/judge.ts";
import { parsePolicy } from "../../src/guard/policy.ts";
import { RateRule } from "../../src/guard/rate-rule.ts";
import { anOperation } from "./support.ts";

/*
 * The error rule over days of traffic, with fixed seeds: its own detector, probe and judge, without the
 * observations. Calls are drawn independently; those of the two paths take turns within each second.
 */

const { engine, errorRate } = parsePolicy({});

export interface Traffic {
  readonly seconds: number;
  readonly seed: number;
  /** Default 0.01. */
  readonly share?: number;
  /** Default 100. */
  readonly callsPerSecond?: number;
  /** Rates in a second of the run. */
  readonly legacy: (second: number) => number;
  readonly candidate: (second: number) => number;
  /** A failed candidate call is answered by legacy, at legacy's rate. Default: reads only. */
  readonly fallback?: boolean;
  /** Default `read`: legacy may be run beside the candidate. */
  readonly kind?: "read" | "write";
}

export interface Trip {
  readonly second: number;
  /** Candidate calls until then. */
  readonly calls: number;
}

export const day = 86_400;
export const steady = (rate: number) => (): number => rate;
/** Calls that a shadow takes to end, as measured in calls of the candidate. */
const shadowTakes = 3;

/** How many of `calls` are bad: jumps from one bad call to the next. */
function badOf(random: Random, calls: number, rate: number): number {
  if (rate <= 0) return 0;
  if (rate >= 1) return calls;
  const log = Math.log(1 - rate);
  let bad = 0;
  for (let at = 0; ; bad += 1) {
    at += Math.floor(Math.log(1 - random.next()) / log) + 1;
    if (at > calls) return bad;
  }
}

/** Seconds and candidate calls until the guard would roll back, or null. */
export function tripOf(traffic: Traffic): Trip | null {
  const { kind = "read", share = 0.01, callsPerSecond = 100 } = traffic;
  const fallback = traffic.fallback ?? kind === "read";
  const random = seededRandom(traffic.seed);
  const operation = anOperation({ kind });
  const rule = new RateRule({ name: "error-rate", did: "failed", rule: errorRate, engine });
  const probe = new Probe(operation, engine.probe, [rule]);
  const perSecond = Math.round(callsPerSecond * share);
  const legacyPerSecond = callsPerSecond - perSecond;
  const shadows: { id: string; bad: boolean }[] = [];
  let key = 0;
  const worse = (): boolean =>
    rule.alarmed &&
    worseThanLegacy(rule.state(), probe.possible ? rule.probed : "impossible") === "worse";
  const legacyCalls = (rate: number, calls: number): void => {
    const bad = badOf(random, calls, rate);
    for (let n = 0; n < calls; n += 1) {
      key += 1;
      rule.legacy(n < bad, key);
    }
  };
  for (let second = 1; second <= traffic.seconds; second += 1) {
    rule.advance(second);
    probe.advance(second);
    const legacyRate = traffic.legacy(second);
    const rate = traffic.candidate(second);
    if (perSecond === 0) legacyCalls(legacyRate, legacyPerSecond);
    let legacyDone = 0;
    for (let call = 0; call < perSecond; call += 1) {
      const due = Math.round((legacyPerSecond * (call + random.next())) / perSecond) - legacyDone;
      if (due > 0) legacyCalls(legacyRate, due);
      legacyDone += Math.max(0, due);
      const picked = operation.probesWanted > 0;
      if (picked) operation.probesWanted -= 1;
      const bad = random.next() < rate;
      key += 1;
      const answered = bad && fallback;
      const legacyBad = answered && random.next() < legacyRate;
      if (legacyBad) rule.both();
      else rule.candidate(bad, key, answered);
      const id = String(key);
      if (picked) probe.served(id, [bad], answered ? [legacyBad] : null);
      if (picked && !answered) shadows.push({ id, bad: random.next() < legacyRate });
      if (shadows.length > shadowTakes || (shadows[0] && !picked)) {
        const { id: ended, bad: shadowBad } = shadows.shift() ?? { id: "", bad: false };
        probe.shadowed(ended, [shadowBad]);
      }
      if (bad) probe.want();
      if (worse()) return { second, calls: (second - 1) * perSecond + call + 1 };
    }
    if (worse()) return { second, calls: second * perSecond };
  }
  return null;
}

/** Candidate calls from the moment the candidate breaks to the rollback, in order; Infinity: never. */
export function callsToTrip(
  traffic: Pick<Traffic, "share" | "kind" | "fallback" | "callsPerSecond"> & { rate: number },
  runs: number,
): number[] {
  const healthy = 1800;
  const perSecond = Math.round((traffic.callsPerSecond ?? 100) * (traffic.share ?? 0.01));
  return Array.from({ length: runs }, (_, seed) => {
    const trip = tripOf({
      ...traffic,
      seconds: healthy + (perSecond > 20 ? 300 : 3600),
      seed: seed + 1,
      // Legacy's rate was measured before the share was raised.
      legacy: steady(0.01),
      candidate: (second) => (second > healthy ? traffic.rate : 0.01),
    });
    return trip === null ? Number.POSITIVE_INFINITY : trip.calls - healthy * perSecond;
  }).toSorted((a, b) => a - b);
}
