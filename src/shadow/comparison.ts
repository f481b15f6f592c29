import { codeOf } from "../base/errors.ts";
import { bodyOf } from "../migration/body.ts";
import type { AnyOperation } from "../migration/operation.ts";
import { isBad, type Outcome, type Succeeded } from "../migration/outcome.ts";
import { type Difference, type DiffLimit, diff } from "./difference.ts";
import { classOf, cut } from "./redaction.ts";

/** What a comparison needs to know about an operation; see the operation's definition. */
export type ComparisonRules = Pick<
  AnyOperation["definition"],
  "same" | "ignore" | "normalise" | "result"
>;

/** Why two outcomes could not be compared. */
type IncomparableReason =
  /** One of them was aborted, which says nothing about the path. */
  | "aborted"
  /** A stream's body was not hashed on one side. */
  | "no-digest"
  /** `same` or `normalise`, or a getter of an output, threw, or `same` did not answer true or false. */
  | "comparator-threw"
  | DiffLimit;

/** What comparing two outcomes of one call says. */
export type Comparison =
  | { readonly kind: "same" }
  /**
   * Both failed or timed out: poison input, or an outage that both share. The two errors, each by kind of
   * outcome, class and code, need not be the same: in one outage two clients throw two classes, and the
   * candidate is not to blame for it.
   */
  | { readonly kind: "both_failed"; readonly legacy: string; readonly candidate: string }
  | {
      readonly kind: "different";
      /** At most 20, shortened and masked. */
      readonly differences: readonly Difference[];
      /** There are more than are listed, or not everything was looked at. */
      readonly truncated: boolean;
    }
  | {
      readonly kind: "incomparable";
      readonly why: IncomparableReason;
      /** One phrase for logs; holds no contents. */
      readonly detail: string;
    };

const same: Comparison = { kind: "same" };

/**
 * Compares what legacy and the candidate did with the same call. Pure, and never throws.
 *
 * Outputs are the same when `same` says so, else when they are deeply equal after `normalise` and without
 * the fields of `ignore`. Bodies of streams are compared by length and SHA-256, unless `ignore` names
 * `body`; `same` and `normalise` then see outputs whose body has been consumed. Two refusals are the same
 * answer when class and code (or status) of their errors are. Outputs are compared after the caller has
 * received one of them: a caller that changes the object it was given is seen as a difference.
 */
export function compare(
  definition: ComparisonRules,
  legacy: Outcome,
  candidate: Outcome,
): Comparison {
  try {
    return compareOutcomes(definition, legacy, candidate);
  } catch (thrown) {
    return incomparable("comparator-threw", `comparing threw ${describe(thrown)}`);
  }
}

function compareOutcomes(
  definition: ComparisonRules,
  legacy: Outcome,
  candidate: Outcome,
): Comparison {
  if (legacy.kind === "aborted" || candidate.kind === "aborted") {
    return incomparable("aborted", "one of the two runs was aborted");
  }
  if (legacy.kind === "succeeded" && candidate.kind === "succeeded") {
    return compareOutputs(definition, legacy, candidate);
  }
  const [a, b] = [outcomeFacts(legacy), outcomeFacts(candidate)];
  if (isBad(legacy) && isBad(candidate)) return { kind: "both_failed", legacy: a, candidate: b };
  if (legacy.kind !== candidate.kind) {
    return different([{ path: "(outcome)", kind: "outcome", legacy: a, candidate: b }]);
  }
  return a === b ? same : different([{ path: "(error)", kind: "error", legacy: a, candidate: b }]);
}

function compareOutputs(
  definition: ComparisonRules,
  legacy: Succeeded<unknown>,
  candidate: Succeeded<unknown>,
): Comparison {
  if (definition.result !== "stream") return compareValues(definition, legacy, candidate);
  const ignoresBody = definition.ignore?.includes("body") ?? false;
  const [a, b] = [bodyOf(legacy.output), bodyOf(candidate.output)];
  if (!ignoresBody) {
    if (a !== null && b !== null && (legacy.digest === null || candidate.digest === null)) {
      return incomparable("no-digest", "the body of one run was not hashed");
    }
    const difference = compareBodies(legacy, candidate, a !== null, b !== null);
    if (difference !== null) return different([difference]);
  }
  const bodyOnly = a === legacy.output && b === candidate.output;
  if (bodyOnly && a !== null) return same;
  const ignore = [...(definition.ignore ?? []), "body"];
  return compareValues({ ...definition, ignore }, legacy, candidate);
}

function compareBodies(
  legacy: Succeeded<unknown>,
  candidate: Succeeded<unknown>,
  legacyHas: boolean,
  candidateHas: boolean,
): Difference | null {
  const shown = (outcome: Succeeded<unknown>, has: boolean): string =>
    has ? `${outcome.bytes} bytes, sha256 ${outcome.digest?.slice(0, 16)}…` : "no body";
  const values = {
    path: "body",
    legacy: shown(legacy, legacyHas),
    candidate: shown(candidate, candidateHas),
  };
  if (legacyHas !== candidateHas) return { ...values, kind: legacyHas ? "missing" : "extra" };
  if (!legacyHas) return null;
  if (legacy.bytes !== candidate.bytes) return { ...values, kind: "length" };
  return legacy.digest === candidate.digest ? null : { ...values, kind: "value" };
}

function compareValues(
  definition: ComparisonRules,
  legacy: Succeeded<unknown>,
  candidate: Succeeded<unknown>,
): Comparison {
  const [a, b] = [legacy.output, candidate.output];
  const verdict: unknown = definition.same?.(a, b);
  if (definition.same !== undefined && typeof verdict !== "boolean") {
    // A promise is truthy: an asynchronous `same` would find everything the same.
    return incomparable("comparator-threw", `same() answered with a ${typeof verdict}`);
  }
  if (verdict === true) return same;
  const { normalise = (output: unknown) => output } = definition;
  const found = diff(normalise(a), normalise(b), definition.ignore);
  if (found.differences.length > 0) {
    return different(found.differences, found.truncated || found.limit !== null);
  }
  if (verdict === false) {
    const said = "not the same, says same()";
    return different([{ path: "(value)", kind: "value", legacy: said, candidate: said }]);
  }
  return found.limit === null ? same : incomparable(found.limit.why, found.limit.detail);
}

function different(differences: readonly Difference[], truncated = false): Comparison {
  return { kind: "different", differences, truncated };
}

function incomparable(why: IncomparableReason, detail: string): Comparison {
  return { kind: "incomparable", why, detail };
}

/** What may be shown and is compared of an outcome: its kind, and its error's class and code. */
export function outcomeFacts(outcome: Outcome): string {
  if (outcome.kind === "succeeded" || outcome.kind === "aborted") return outcome.kind;
  return `${outcome.kind} with ${describe(outcome.error)}`;
}

/** A thrown value by class and code or status; never its message, which may hold contents. */
function describe(thrown: unknown): string {
  if (typeof thrown !== "object" || thrown === null) return `a thrown ${typeof thrown}`;
  try {
    const carrier = thrown as { status?: unknown; statusCode?: unknown };
    const status = carrier.status ?? carrier.statusCode;
    const code = codeOf(thrown) ?? (typeof status === "number" ? String(status) : undefined);
    const name = cut(classOf(thrown), 60);
    return code === undefined ? name : `${name} ${cut(code, 60)}`;
  } catch {
    return "an unreadable error";
  }
}
