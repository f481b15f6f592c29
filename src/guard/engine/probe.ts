import type { AnyOperation } from "../../migration/operation.ts";
import type { ProbePolicy } from "../policy.ts";

/** What a probe found out about one rule. `impossible`: legacy cannot be run beside these calls. */
export type Probed = "none" | "running" | "worse" | "as-bad" | "capped" | "impossible";

/** How one run of a path went, for each probed rule in order; null where it says nothing about it. */
export type Bits = readonly (boolean | null)[];

/** A rule that a probe can answer. */
export interface ProbedRule {
  readonly probed: Probed;
  /** SIZE is near its threshold or over it, and BLAME is too deaf to say whose fault it is. */
  readonly wantsProbe: boolean;
  /** SIZE is far below its threshold: nobody needs to know any more. */
  readonly calm: boolean;
  beginProbe(fresh: boolean): void;
  pair(candidateBad: boolean, legacyBad: boolean): void;
  endProbe(): void;
}

/** Skips after which no pair can ever be had. */
const never = new Set(["not-replayable", "not-shadowable"]);
/** Pairs of one probe that may be lost before it is given up: beyond that it would tell of load. */
const lostMax = 8;
/** Skips that lose no pair: calls that were picked are never sampled. */
const harmless = new Set(["fallback", "aborted", "sampled-out"]);

/**
 * Legacy is run beside the next candidate calls of an operation until somebody knows whose fault it is.
 * The facade picks the calls before anybody knows how they end (`probesWanted`); a call that legacy
 * answered after the candidate failed is a pair already, the others wait for legacy in the shadow. A
 * pair that is lost on the way counts against legacy: only then can losing some not blame the candidate.
 */
export class Probe {
  readonly #operation: AnyOperation;
  readonly #policy: ProbePolicy;
  readonly #rules: readonly (ProbedRule | null)[];
  readonly #waiting = new Map<string, Bits>();
  #running = false;
  #possible: boolean;
  #startedAt = 0;
  #restUntil = Number.NEGATIVE_INFINITY;
  /** The probe before ran out of time or calls: what it learned still holds. */
  #goesOn = false;
  #picked = 0;
  #lost = 0;
  #second = 0;

  constructor(operation: AnyOperation, policy: ProbePolicy, rules: readonly (ProbedRule | null)[]) {
    this.#operation = operation;
    this.#policy = policy;
    this.#rules = rules;
    const { kind } = operation.definition;
    this.#possible = policy.pairsMax > 0 && kind === "read" && operation.hasLegacy;
  }

  get possible(): boolean {
    return this.#possible;
  }

  advance(second: number): void {
    this.#second = second;
    const calm = this.#rules.every((rule) => rule?.calm !== false);
    if (calm) this.#goesOn = false;
    if (!this.#running) return;
    if (calm) this.stop();
    else if (second - this.#startedAt >= this.#policy.forSeconds) this.#end(true);
  }

  /** Begins a probe where a rule wants one and none ran just now. Cheap: asked on bad calls. */
  want(): void {
    const resting = this.#second < this.#restUntil;
    if (this.#running || resting || !this.#possible || !this.#wanted()) return;
    if (this.#operation.latch.tripped) return;
    this.#running = true;
    this.#startedAt = this.#second;
    this.#picked = 0;
    this.#lost = 0;
    for (const rule of this.#rules) rule?.beginProbe(!this.#goesOn);
    for (let n = 0; n < this.#policy.waitingMax; n += 1) this.#pickOne();
  }

  /** A picked call has ended. `legacy`: legacy answered it as well; null: it has to be run. */
  served(requestId: string, candidate: Bits, legacy: Bits | null): void {
    if (!this.#running) return;
    if (legacy === null) this.#waiting.set(requestId, candidate);
    else this.#pair(candidate, legacy);
  }

  /** A picked call ended without saying anything: its caller gave up, or it was not admitted. */
  dropped(): void {
    if (!this.#running) return;
    this.#picked -= 1;
    this.#pickOne();
  }

  /** Legacy ran beside a call; null: it did not come to an end. False when the call was not picked. */
  shadowed(requestId: string, legacy: Bits | null): boolean {
    const candidate = this.#waiting.get(requestId);
    if (candidate === undefined || !this.#waiting.delete(requestId)) return false;
    this.#pair(candidate, legacy ?? lost(candidate));
    return true;
  }

  /** A call was not shadowed. Which one it was is not said; the oldest stands for it. */
  skipped(reason: string): void {
    if (!this.#running || harmless.has(reason)) return;
    if (never.has(reason)) {
      this.#possible = false;
      this.stop();
      return;
    }
    const [oldest] = this.#waiting.keys();
    if (oldest === undefined) return;
    this.#lost += 1;
    if (this.#lost > lostMax) this.#end(false);
    else this.shadowed(oldest, null);
  }

  /** Stops at once and forgets everything: all is well again, or the latch was re-armed. */
  stop(): void {
    if (this.#running) this.#end(false);
    this.#restUntil = Number.NEGATIVE_INFINITY;
    this.#goesOn = false;
  }

  #wanted(): boolean {
    return this.#rules.some((rule) => rule?.wantsProbe === true);
  }

  #pair(candidate: Bits, legacy: Bits): void {
    this.#rules.forEach((rule, index) => {
      const ofCandidate = candidate[index] ?? null;
      const ofLegacy = legacy[index] ?? null;
      if (ofCandidate !== null && ofLegacy !== null) rule?.pair(ofCandidate, ofLegacy);
    });
    const open = this.#rules.some((rule) => rule?.calm === false && rule.probed === "running");
    const inHand = this.#waiting.size + this.#operation.probesWanted;
    if (!open) this.#end(false);
    else if (this.#picked < this.#policy.pairsMax) this.#pickOne();
    else if (inHand === 0) this.#end(true);
  }

  #pickOne(): void {
    if (this.#operation.latch.tripped) return;
    this.#picked += 1;
    this.#operation.probesWanted += 1;
  }

  #end(unanswered: boolean): void {
    this.#running = false;
    this.#goesOn = unanswered;
    this.#operation.probesWanted = 0;
    this.#waiting.clear();
    this.#restUntil = this.#second + this.#policy.pauseSeconds;
    for (const rule of this.#rules) rule?.endProbe();
  }
}

/** What legacy is taken to have done with a call that it did not get to see. */
const lost = (candidate: Bits): Bits => candidate.map((bit) => (bit === null ? null : true));
