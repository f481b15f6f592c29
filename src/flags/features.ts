import { migrationOf } from "../migration/operation.ts";
import type { FlagFile, OperationFlag } from "./flag-file.ts";

/** The part of Unleash's client API feature that we produce (schema of `/api/client/features`). */
export interface ClientFeature {
  readonly name: string;
  readonly enabled: boolean;
  readonly strategies: readonly ClientStrategy[];
  readonly dependencies: readonly { readonly feature: string; readonly enabled: boolean }[];
}

/** A `flexibleRollout` strategy as the SDKs evaluate it. */
export interface ClientStrategy {
  readonly name: "flexibleRollout";
  readonly parameters: {
    readonly rollout: string;
    readonly stickiness: string;
    readonly groupId: string;
  };
  readonly constraints: readonly {
    readonly contextName: string;
    readonly operator: string;
    readonly values: readonly string[];
    readonly inverted: boolean;
    readonly caseInsensitive: boolean;
  }[];
}

/** The name of the context property that carries the routing key. */
export const routingKeyProperty = "routingKey";

/** The name of the flag that shadows an operation. */
export const shadowFlagOf = (operation: string): string => `${operation}.shadow`;

/** The features of Unleash's client API that a folder of flags stands for. Pure. */
export function clientFeatures(files: readonly FlagFile[]): ClientFeature[] {
  const features = files.flatMap((file) =>
    file.kind === "migration" ? [migrationFeature(file)] : [],
  );
  const parents = new Set(features.map((feature) => feature.name));
  const operations = files.flatMap((file) => {
    if (file.kind === "migration") return [];
    const parent = migrationOf(file.name);
    return operationFeatures(file, parents.has(parent) ? parent : null);
  });
  return [...features, ...operations];
}

/** A migration's kill switch: off means every operation of it is off. */
function migrationFeature(flag: { name: string; enabled: boolean }): ClientFeature {
  return { name: flag.name, enabled: flag.enabled, strategies: [], dependencies: [] };
}

/** An operation's two features: its percentage, and its shadow. Pure. */
function operationFeatures(flag: OperationFlag, parent: string | null): ClientFeature[] {
  const { stickiness, constraints } = flag;
  const strategy = (percentage: number, groupId: string): ClientStrategy => ({
    name: "flexibleRollout",
    parameters: { rollout: String(percentage), stickiness, groupId },
    constraints: constraints.map((each) => ({ ...each, inverted: false, caseInsensitive: false })),
  });
  const dependencies = parent === null ? [] : [{ feature: parent, enabled: true }];
  return [
    {
      name: flag.name,
      enabled: flag.enabled,
      strategies: [strategy(flag.percentage, flag.groupId)],
      dependencies,
    },
    {
      name: shadowFlagOf(flag.name),
      enabled: flag.shadowPercentage > 0,
      // Another group, so that the shadowed keys are a sample of both paths and not just the canaries.
      strategies: [strategy(flag.shadowPercentage, `${flag.groupId}.shadow`)],
      dependencies,
    },
  ];
}
