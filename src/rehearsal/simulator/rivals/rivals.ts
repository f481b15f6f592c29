import type { SimulatedPolicy } from "../simulated-policy.ts";
import { FailedChecks } from "./failed-checks.ts";
import { NaiveThreshold } from "./naive-threshold.ts";
import { RollingBreaker } from "./rolling-breaker.ts";
import { SequentialJudge } from "./sequential-judge.ts";

/** One of each rival, new. */
export function makeRivals(): readonly SimulatedPolicy[] {
  return [new NaiveThreshold(), new RollingBreaker(), new FailedChecks(), new SequentialJudge()];
}

/** The names under which the rivals appear in results, in the order of `makeRivals`. */
export const rivalNames: readonly string[] = makeRivals().map(({ name }) => name);
