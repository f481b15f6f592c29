import { hash } from "node:crypto";
import { type Random, seededRandom } from "../../base/random.ts";
import { type TrafficShape, valueAt } from "./scenario.ts";

/** Why a candidate call is bad: like any other, by an exception of its own, or because of its one key. */
export const badKinds = { ordinary: 0, newException: 1, poison: 2 } as const;
/** What legacy did with a call that the candidate failed. */
export const answers = { notAsked: 0, answered: 1, failedToo: 2 } as const;

/**
 * The calls of one second. Calls of each path come evenly spaced; call `i` of `n` is due at `(i + 1/2) / n`
 * of the second, and where two are due at once the candidate's is first. Reused from second to second:
 * nobody keeps one.
 */
export class TrafficSecond {
  /** Whole seconds from the beginning of the simulated time. */
  second = 0;
  candidateCalls = 0;
  legacyCalls = 0;
  /** How many of `candidateBad`, `badKind` and `answer` count. */
  candidateBads = 0;
  /** Which candidate calls are bad, as rising indexes. */
  candidateBad: Int32Array = new Int32Array(0);
  badKind: Uint8Array = new Uint8Array(0);
  answer: Uint8Array = new Uint8Array(0);
  legacyBads = 0;
  legacyBad: Int32Array = new Int32Array(0);
  /**
   * Durations in milliseconds; filled only where calls are shown one by one. Legacy's go on to as many
   * as there are calls of the candidate: how long legacy would have taken for those.
   */
  candidateMs: Float64Array = new Float64Array(0);
  legacyMs: Float64Array = new Float64Array(0);
  memoryRatio = 0;
  /** The chance of any call to fail on legacy: what legacy would have done with a candidate's call. */
  legacyRate = 0;

  /** Makes room for this many calls on each path, and for their durations where they are wanted. */
  reserve(calls: number, durations: boolean): void {
    if (calls <= this.candidateBad.length) return;
    this.candidateBad = new Int32Array(calls);
    this.badKind = new Uint8Array(calls);
    this.answer = new Uint8Array(calls);
    this.legacyBad = new Int32Array(calls);
    if (!durations) return;
    this.candidateMs = new Float64Array(calls);
    this.legacyMs = new Float64Array(calls);
  }
}

/** How many of the other path's calls are due before a candidate call. */
export function legacyBefore(
  index: number,
  { candidateCalls, legacyCalls }: TrafficSecond,
): number {
  const due = (2 * index + 1) * legacyCalls;
  return Math.min(legacyCalls, Math.ceil(Math.max(0, due - candidateCalls) / (2 * candidateCalls)));
}

/** Is this candidate call due before, or with, this legacy call? */
export function candidateFirst(
  candidate: number,
  legacy: number,
  { candidateCalls, legacyCalls }: TrafficSecond,
): boolean {
  return (2 * candidate + 1) * legacyCalls <= (2 * legacy + 1) * candidateCalls;
}

/** What traffic is made of. */
export interface TrafficSettings {
  readonly callsPerSecond: number;
  /** A failed candidate call is offered to legacy, which fails it at its own rate. */
  readonly fallback: boolean;
  /** Draw a duration for each call. */
  readonly durations: boolean;
}

/** Median duration of a legacy call, and the spread of the lognormal distribution around it. */
const medianMs = 40;
const sigma = 0.6;
const drawnDurations = 4096;

/**
 * Draws seconds of traffic. Every call is on the candidate with the chance `share` and bad with its path's
 * rate, independently of all others: bad calls are found by jumping from one to the next (the gaps are
 * geometric), which is the same distribution as one draw for each call at a fraction of the cost.
 */
export class Traffic {
  readonly #settings: TrafficSettings;
  #random: Random;
  readonly #durations: Float64Array;
  #lastRate = -1;
  #lastLog = 0;

  constructor(settings: TrafficSettings, random: Random) {
    this.#settings = settings;
    this.#random = random;
    this.#durations = settings.durations ? durations(random) : new Float64Array(0);
  }

  /** Goes on with another source of chance. */
  reseed(random: Random): void {
    this.#random = random;
  }

  /** Fills `into` with the calls of `second`; `shapeSecond` is the time on the shape's own clock. */
  draw(into: TrafficSecond, shape: TrafficShape, share: number, shapeSecond: number): void {
    const { callsPerSecond, durations: withDurations } = this.#settings;
    const before = Math.floor(into.second * callsPerSecond + 1e-9);
    const calls = Math.floor((into.second + 1) * callsPerSecond + 1e-9) - before;
    into.reserve(calls, withDurations);
    const rare = this.#mark(into.candidateBad, calls, Math.min(share, 1 - share));
    into.candidateCalls = share <= 0.5 ? rare : calls - rare;
    into.legacyCalls = calls - into.candidateCalls;
    const legacyRate = valueAt(shape.legacyErrors, shapeSecond);
    into.legacyRate = legacyRate;
    into.legacyBads = this.#mark(into.legacyBad, into.legacyCalls, legacyRate);
    this.#drawCandidate(into, shape, shapeSecond);
    if (this.#settings.fallback) this.#drawAnswers(into, legacyRate);
    into.memoryRatio = valueAt(shape.memory, shapeSecond);
    if (!withDurations) return;
    this.#drawDurations(into.legacyMs, Math.max(into.legacyCalls, into.candidateCalls), 1);
    this.#drawDurations(
      into.candidateMs,
      into.candidateCalls,
      valueAt(shape.slowdown, shapeSecond),
    );
  }

  #drawCandidate(into: TrafficSecond, shape: TrafficShape, shapeSecond: number): void {
    const poison = valueAt(shape.poison, shapeSecond);
    const unknown = (1 - poison) * valueAt(shape.newExceptions, shapeSecond);
    const ordinary = (1 - poison - unknown) * valueAt(shape.candidateErrors, shapeSecond);
    const rate = poison + unknown + ordinary;
    into.candidateBads = this.#mark(into.candidateBad, into.candidateCalls, rate);
    into.badKind.fill(badKinds.ordinary, 0, into.candidateBads);
    into.answer.fill(answers.notAsked, 0, into.candidateBads);
    if (poison + unknown === 0) return;
    for (let bad = 0; bad < into.candidateBads; bad += 1) {
      const at = this.#random.next() * rate;
      if (at < poison) into.badKind[bad] = badKinds.poison;
      else if (at < poison + unknown) into.badKind[bad] = badKinds.newException;
    }
  }

  #drawAnswers(into: TrafficSecond, legacyRate: number): void {
    for (let bad = 0; bad < into.candidateBads; bad += 1) {
      const failed = this.#random.next() < legacyRate;
      into.answer[bad] = failed ? answers.failedToo : answers.answered;
    }
  }

  #drawDurations(into: Float64Array, calls: number, slowdown: number): void {
    for (let call = 0; call < calls; call += 1) {
      const at = Math.floor(this.#random.next() * drawnDurations);
      into[call] = (this.#durations[at] ?? medianMs) * slowdown;
    }
  }

  /** Writes the indexes of the bad ones among `calls` and returns how many there are. */
  #mark(into: Int32Array, calls: number, rate: number): number {
    if (rate <= 0) return 0;
    if (rate >= 1) {
      for (let call = 0; call < calls; call += 1) into[call] = call;
      return calls;
    }
    if (rate !== this.#lastRate) {
      this.#lastRate = rate;
      this.#lastLog = Math.log1p(-rate);
    }
    let bads = 0;
    let at = Math.floor(Math.log(1 - this.#random.next()) / this.#lastLog);
    while (at < calls) {
      into[bads] = at;
      bads += 1;
      at += 1 + Math.floor(Math.log(1 - this.#random.next()) / this.#lastLog);
    }
    return bads;
  }
}

/** A repeatable source of chance of its own for every text, however long and alike two of them are. */
export function randomOf(text: string): Random {
  return seededRandom(Number.parseInt(hash("sha256", text, "hex").slice(0, 8), 16));
}

/** Lognormal durations, drawn once (Box and Muller, 1958) and then picked from. */
function durations(random: Random): Float64Array {
  return Float64Array.from({ length: drawnDurations }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
    return medianMs * Math.exp(sigma * radius * Math.cos(2 * Math.PI * random.next()));
  });
}
