import { type PolicyInput, parsePolicy } from "../../changeover.ts";
import type { OperationPlan, Stage } from "../../rollout/plan/plan.ts";

/** How much shorter a rollout is to be held, for a demonstration. Whole seconds. */
export interface Shortening {
  /** Seconds that a stage is held at most. */
  readonly holdSeconds: number;
  /** Seconds of calm after which the guard calls a path healthy, at most. */
  readonly calmSeconds: number;
}

/** A plan and a policy for a rollout of minutes, and everything in them that is not as it was. */
export interface ShortenedPlan {
  /** As a plan file has it. */
  readonly plan: { readonly profile: string; readonly profiles: Record<string, readonly Stage[]> };
  readonly stages: readonly Stage[];
  /** As a policy file has it. */
  readonly policy: PolicyInput;
  /** One sentence for each change, for people; what is not named is as it was. */
  readonly changes: readonly string[];
}

/**
 * The same percentages, shadow shares, samples, rates and approvals, held for seconds instead of hours. What
 * takes longer than a demonstration by its nature is left out, and said so: quiet times, the order of
 * operations, an earlier drill, and the latency rule, which measures legacy for five minutes first. Pure;
 * throws `GUARD_INVALID_POLICY`.
 */
export function shortenPlan(
  { name, stages, quiet, after }: OperationPlan,
  given: PolicyInput,
  { holdSeconds, calmSeconds }: Shortening,
): ShortenedPlan {
  const policy = parsePolicy(given);
  const short = stages.map((stage) => ({
    ...stage,
    holdSeconds: Math.min(stage.holdSeconds, holdSeconds),
    drillMaxAgeDays: null,
  }));
  const { healthyAfterSeconds } = policy.engine;
  const holds = stages.map(({ percentage, holdSeconds: held }) => `${percentage} % ${held} s`);
  const changes = [
    `Each stage is held for ${holdSeconds} s at most, where plan ${name} says: ${holds.join(", ")}.`,
    healthyAfterSeconds > calmSeconds &&
      `The guard calls a path healthy after ${calmSeconds} s of calm, where its policy says ${healthyAfterSeconds} s.`,
    policy.latency.enabled &&
      "The guard's latency rule is off: it measures legacy for 5 minutes before it judges.",
    quiet.length > 0 && "The plan's quiet times are left out.",
    after.length > 0 && "The order of operations is left out: only one is rolled out.",
    stages.some(({ drillMaxAgeDays }) => drillMaxAgeDays !== null) &&
      "The gate that asks for an earlier drill is left out.",
  ];
  return {
    plan: { profile: name, profiles: { [name]: short } },
    stages: short,
    policy: {
      ...policy,
      engine: { ...policy.engine, healthyAfterSeconds: Math.min(healthyAfterSeconds, calmSeconds) },
      latency: { ...policy.latency, enabled: false },
    },
    changes: changes.filter((change) => change !== false),
  };
}
