import type { Interval } from "../../src/harness/statistics.ts";
import type { GateLimit } from "../targets.ts";

/** One attempt at a check. */
export interface Reading {
  readonly value: number;
  readonly ci95: Interval;
}

/** What the gate says of one check. */
export type GateVerdict = "pass" | "fail" | "inconclusive";

/** One check with what was measured. */
export interface GateResult extends Reading {
  readonly id: string;
  readonly text: string;
  readonly unit: string;
  readonly limit: number;
  readonly verdict: GateVerdict;
  /** How often the number of samples was doubled because the interval left it open. */
  readonly doublings: number;
}

/** How a check reads its interval. */
export type GateRule =
  /** Fails when all of the interval is above the limit. */
  | "at-most"
  /** A self-test: something worse was planted, and it passes when all of the interval is above. */
  | "must-be-seen"
  /** A self-test: nothing was planted, and it fails when it is called worse all the same. */
  | "must-not-be-seen";

/** Judges one reading. */
export function judgeReading(rule: GateRule, limit: number, { ci95 }: Reading): GateVerdict {
  const { low, high } = ci95;
  if (rule === "must-not-be-seen") return low > limit ? "fail" : "pass";
  if (rule === "must-be-seen") {
    if (low > limit) return "pass";
    return high <= limit ? "fail" : "inconclusive";
  }
  if (high <= limit) return "pass";
  return low > limit ? "fail" : "inconclusive";
}

/** Whether a build goes on: an open question does not stop it, unless it must be `strict`. */
export function isPassed(results: readonly GateResult[], strict: boolean): boolean {
  // A gate that cannot see what was planted says nothing about the rest.
  const isOpen = (each: GateResult): boolean => strict || each.id.startsWith("self-test");
  return results.every(
    (each) => each.verdict === "pass" || (each.verdict === "inconclusive" && !isOpen(each)),
  );
}

/** The last line of the gate: what is open is never left to be taken for passed. */
export function outcomeOf(results: readonly GateResult[], passed: boolean): string {
  const open = results.filter(({ verdict }) => verdict === "inconclusive").map(({ id }) => id);
  const rest = open.length === 0 ? "" : ` Not decided, the limit is inside: ${open.join(", ")}.`;
  return `The gate ${passed ? "passed" : "FAILED"}.${rest}`;
}

/** One entry of github-action-benchmark's `customSmallerIsBetter`. */
export interface ActionBenchmark {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly range: string;
  readonly extra: string;
}

/** The results as github-action-benchmark reads them (tool `customSmallerIsBetter`); self-tests left out. */
export function actionBenchmarks(results: readonly GateResult[]): ActionBenchmark[] {
  return results
    .filter(({ id }) => !id.startsWith("self-test"))
    .map(({ id, text, unit, value, ci95, limit, verdict }) => ({
      name: id,
      unit,
      value,
      range: `${ci95.low.toFixed(3)} to ${ci95.high.toFixed(3)}`,
      extra: `${text}; limit ${limit} ${unit}; ${verdict}`,
    }));
}

/** The limit of a check. Throws when `targets.json` has none. */
export function limitOf(limits: readonly GateLimit[], id: string): GateLimit {
  const found = limits.find((each) => each.id === id);
  if (found === undefined) throw new Error(`bench/targets.json has no gate limit "${id}".`);
  return found;
}
