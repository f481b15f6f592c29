import { readStrategyShare, type ShareVariant } from "./share.ts";

/** The part of a feature of Unleash's client API that decides about a key. */
export interface UnleashFeature {
  readonly name: string;
  readonly enabled: boolean;
  readonly strategies?: readonly UnleashStrategy[] | undefined;
  readonly dependencies?: readonly UnleashDependency[] | undefined;
}

/** A strategy of either API. */
export interface UnleashStrategy {
  readonly name: string;
  /** The Admin API lists those that are switched off too. */
  readonly disabled?: boolean | null | undefined;
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  readonly variants?: readonly ShareVariant[] | null | undefined;
}

/** A feature that another one needs to be on (or off). */
export interface UnleashDependency {
  readonly feature: string;
  readonly enabled?: boolean | undefined;
}

/** What a feature comes to. */
export interface FeatureVerdict {
  /** The largest share that any of its strategies gives to the candidate, 0 to 100; 0 for one that is refused. */
  readonly percentage: number;
  /** The share is told by the variant `candidate`, because it is below one percent. */
  readonly byVariant: boolean;
  /** Why the feature is refused, so that every key stays on legacy; null: it may be used. */
  readonly problem: string | null;
}

const nothing: FeatureVerdict = { percentage: 0, byVariant: false, problem: null };

/**
 * Judges whether a feature may steer traffic: every strategy must give a key the same answer each time
 * and keep those it has when its share grows. Pure. Several strategies are OR-ed by Unleash, so that the
 * largest share is told.
 */
export function judgeFeature(feature: UnleashFeature, routingKey: string): FeatureVerdict {
  const strategies = (feature.strategies ?? []).filter((strategy) => strategy.disabled !== true);
  if (strategies.length === 0) {
    return feature.enabled
      ? refused("it is on for everyone, without a strategy; give it a flexibleRollout strategy")
      : nothing;
  }
  let verdict = nothing;
  for (const strategy of strategies) {
    const problem = unsafe(strategy, routingKey);
    if (problem !== null) return refused(problem);
    const share = readStrategyShare(strategy.parameters?.["rollout"], strategy.variants ?? []);
    if ("problem" in share) return refused(share.problem);
    if (share.byVariant && strategies.length > 1) {
      return refused("a share by variants, below one percent, must be its only strategy");
    }
    if (share.percentage >= verdict.percentage) verdict = { ...share, problem: null };
  }
  return verdict;
}

const refused = (problem: string): FeatureVerdict => ({ ...nothing, problem });

function unsafe(strategy: UnleashStrategy, routingKey: string): string | null {
  if (strategy.name !== "flexibleRollout") {
    return `its strategy "${strategy.name}" is not supported; use flexibleRollout`;
  }
  const { stickiness, groupId } = strategy.parameters ?? {};
  const wrong = stickinessProblem(stickiness, routingKey);
  if (wrong !== null) return wrong;
  if (typeof groupId !== "string" || groupId === "") {
    return "its strategy has no groupId, so cohorts would not nest; name the migration";
  }
  const [first] = strategy.variants ?? [];
  // The SDK takes the first variant's stickiness for all of them.
  if (first?.stickiness === undefined) return null;
  return stickinessProblem(first.stickiness, routingKey);
}

function stickinessProblem(stickiness: unknown, routingKey: string): string | null {
  if (stickiness === routingKey) return null;
  const shown = typeof stickiness === "string" && stickiness !== "" ? stickiness : "missing";
  const why =
    shown === "missing" || shown === "default" || shown === "random"
      ? "changes its answer from call to call"
      : "is a property that calls do not have";
  return `its stickiness is ${shown}, which ${why}; use "${routingKey}"`;
}

/** Is everything that a feature depends on as it needs it? A missing feature is not. Pure. */
export function dependenciesHold(
  feature: UnleashFeature,
  find: (name: string) => UnleashFeature | undefined,
): boolean {
  return (feature.dependencies ?? []).every(({ feature: name, enabled = true }) => {
    const parent = find(name);
    return parent !== undefined && parent.enabled === enabled;
  });
}
