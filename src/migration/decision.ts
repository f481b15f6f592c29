import type { Path } from "./call.ts";

/** Why a call went where it went; the first reason of the table that holds. */
export type DecisionReason =
  | "complete"
  | "latched"
  | "override"
  | "no-key"
  | "scope"
  | "flags-stale"
  | "shed"
  | "budget-spent"
  | "flag-on"
  | "flag-off";

/** The path chosen for a call, whether the other one runs in the shadow, and why. */
export interface Decision {
  readonly path: Path;
  readonly shadow: boolean;
  readonly reason: DecisionReason;
  /** The guard asked for the shadow: it is run whatever the flag and the shadow's sampling say. */
  readonly probe?: true;
}

/** Everything the decision depends on; gathered by the facade, judged here. */
export interface DecisionInput {
  /** `legacy` was left out of the declaration: there is nothing to choose between. */
  readonly noLegacy: boolean;
  /** The operation's latch is tripped. */
  readonly latched: boolean;
  /** An operator named a path for this call. */
  readonly override: Path | null;
  /** The call has a routing key. */
  readonly hasKey: boolean;
  /** The path this request scope already uses for the migration. */
  readonly scoped: Path | null;
  /** Flags were never loaded, or are older than the limit. */
  readonly flagsStale: boolean;
  /** The rollout is complete: stale flags then keep the last known answer. */
  readonly complete: boolean;
  /** The flag is on for this key. */
  readonly flagOn: boolean;
  /** The shadow flag is on for this key, and the operation may be shadowed. */
  readonly shadowOn: boolean;
  /** The guard wants to see what legacy does with this call, if the candidate serves it. */
  readonly probe: boolean;
  /** The candidate has no room for this call, or memory is short; and legacy is no heavier. */
  readonly noRoom: boolean;
  /** The exposure budget of harmed calls is spent. */
  readonly budgetSpent: boolean;
}

/** The facts of {@link DecisionInput}, each one bit. */
export type FactName =
  | "latched"
  | "toLegacy"
  | "toCandidate"
  | "hasKey"
  | "scopedLegacy"
  | "scopedCandidate"
  | "flagsStale"
  | "complete"
  | "flagOn"
  | "shadowOn"
  | "noRoom"
  | "budgetSpent"
  | "noLegacy"
  | "probe";

/** The facts of {@link DecisionInput} as bits of one number, so that gathering them allocates nothing. */
export const fact: Readonly<Record<FactName, number>> = {
  latched: 1,
  toLegacy: 2,
  toCandidate: 4,
  hasKey: 8,
  scopedLegacy: 16,
  scopedCandidate: 32,
  flagsStale: 64,
  complete: 128,
  flagOn: 256,
  shadowOn: 512,
  noRoom: 1024,
  budgetSpent: 2048,
  noLegacy: 4096,
  probe: 8192,
};
const factSets = 16_384;

/** The facts that a number stands for. */
export function factsOf(bits: number): DecisionInput {
  const has = (bit: number): boolean => (bits & bit) !== 0;
  const path = (legacy: number, candidate: number): Path | null =>
    has(legacy) ? "legacy" : has(candidate) ? "candidate" : null;
  return {
    noLegacy: has(fact.noLegacy),
    latched: has(fact.latched),
    override: path(fact.toLegacy, fact.toCandidate),
    hasKey: has(fact.hasKey),
    scoped: path(fact.scopedLegacy, fact.scopedCandidate),
    flagsStale: has(fact.flagsStale),
    complete: has(fact.complete),
    flagOn: has(fact.flagOn),
    shadowOn: has(fact.shadowOn),
    probe: has(fact.probe),
    noRoom: has(fact.noRoom),
    budgetSpent: has(fact.budgetSpent),
  };
}

interface Row {
  readonly reason: DecisionReason;
  readonly when: (input: DecisionInput) => boolean;
  readonly path: (input: DecisionInput) => Path;
  readonly shadow: (input: DecisionInput) => boolean;
}

const toLegacy = (): Path => "legacy";
const never = (): boolean => false;
const asFlagged = (input: DecisionInput): boolean => input.shadowOn;

/**
 * The whole routing policy, first match wins. The latch beats the operator on purpose: to re-arm it is
 * a separate, journalled act. Nothing is shadowed while something is wrong, but for what the guard
 * itself asks to see. Without a legacy there is nothing to decide, whatever a latch remembers.
 */
export const decisionTable: readonly Row[] = [
  { reason: "complete", when: (i) => i.noLegacy, path: () => "candidate", shadow: never },
  { reason: "latched", when: (i) => i.latched, path: toLegacy, shadow: never },
  {
    reason: "override",
    when: (i) => i.override !== null,
    path: (i) => i.override ?? "legacy",
    shadow: never,
  },
  { reason: "no-key", when: (i) => !i.hasKey, path: toLegacy, shadow: never },
  {
    reason: "scope",
    when: (i) => i.scoped !== null,
    path: (i) => i.scoped ?? "legacy",
    shadow: never,
  },
  {
    reason: "flags-stale",
    when: (i) => i.flagsStale && !(i.complete && i.flagOn),
    path: toLegacy,
    shadow: never,
  },
  { reason: "shed", when: (i) => i.flagOn && i.noRoom, path: toLegacy, shadow: never },
  { reason: "budget-spent", when: (i) => i.flagOn && i.budgetSpent, path: toLegacy, shadow: never },
  { reason: "flag-on", when: (i) => i.flagOn, path: () => "candidate", shadow: asFlagged },
  { reason: "flag-off", when: () => true, path: toLegacy, shadow: asFlagged },
];

// A call's decision is one of few values: made once, so that deciding allocates nothing.
const decisions = new Map<string, Decision>();

function intern(path: Path, shadow: boolean, reason: DecisionReason): Decision {
  const id = `${reason}/${path}/${shadow}`;
  const known = decisions.get(id);
  if (known !== undefined) return known;
  const made: Decision = Object.freeze({ path, shadow, reason });
  decisions.set(id, made);
  return made;
}

const probed: Decision = Object.freeze({
  path: "candidate",
  shadow: true,
  reason: "flag-on",
  probe: true,
});

/** Chooses the path of a call. Pure: the same input gives the same decision object. */
export function decide(input: DecisionInput): Decision {
  for (const row of decisionTable) {
    if (!row.when(input)) continue;
    if (input.probe && row.reason === "flag-on") return probed;
    return intern(row.path(input), row.shadow(input), row.reason);
  }
  return intern("legacy", false, "flag-off");
}

// Filled as sets of facts turn up: nearly every call is one of a handful.
const decided: (Decision | null)[] = new Array<Decision | null>(factSets).fill(null);

/** {@link decide} for facts as {@link fact} numbers them; always the same object for the same facts. */
export function decideByFacts(bits: number): Decision {
  const known = decided[bits];
  if (known !== undefined && known !== null) return known;
  const made = decide(factsOf(bits));
  decided[bits] = made;
  return made;
}
