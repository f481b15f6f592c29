import { routingKeyProperty, shadowFlagOf } from "../features.ts";
import type { FlagConstraint, FlagFile, FlagLink, OperationFlag } from "../flag-file.ts";

/** A tag as Unleash has it. */
export interface FlagTag {
  readonly type: string;
  readonly value: string;
}

/** The tag types that carry what a flag file says, and Unleash has no field for. */
export const tagTypes: Readonly<Record<string, string>> = {
  owner: "Whom to ask about the flag",
  "remove-by": "Date by which the flag should be gone",
};

/** What Unleash should have for a flag file. An operation's file makes two: its own, and its shadow's. */
export interface WantedFlag {
  readonly name: string;
  readonly type: "kill-switch" | "release";
  readonly description: string;
  readonly tags: readonly FlagTag[];
  readonly links: readonly FlagLink[];
  /** The flag that it depends on, or null. */
  readonly parent: string | null;
  readonly groupId: string;
  readonly stickiness: string;
  readonly constraints: readonly FlagConstraint[];
  /** What the file says; live, so that it is only pushed when told. */
  readonly enabled: boolean;
  readonly percentage: number;
  /** What a new flag starts with: 0, and 100 for a kill switch, which only stops others. */
  readonly firstPercentage: number;
}

/** The flags of a folder, kill switches first, since others depend on them. Pure. */
export function wantedFlags(files: readonly FlagFile[]): WantedFlag[] {
  const parents = new Set(
    files.filter((file) => file.kind === "migration").map((file) => file.name),
  );
  const sorted = files.toSorted((a, b) => a.name.localeCompare(b.name));
  const migrations = sorted.flatMap((file) =>
    file.kind === "migration" ? [killSwitch(file)] : [],
  );
  const operations = sorted.flatMap((file) =>
    file.kind === "operation" ? operationFlags(file, parents) : [],
  );
  return [...migrations, ...operations];
}

function killSwitch(file: FlagFile): WantedFlag {
  return {
    ...common(file),
    name: file.name,
    type: "kill-switch",
    parent: null,
    groupId: file.name,
    stickiness: routingKeyProperty,
    constraints: [],
    percentage: 100,
    firstPercentage: 100,
  };
}

function operationFlags(file: OperationFlag, parents: ReadonlySet<string>): WantedFlag[] {
  const migration = file.name.slice(0, file.name.lastIndexOf("."));
  const own: WantedFlag = {
    ...common(file),
    name: file.name,
    type: "release",
    parent: parents.has(migration) ? migration : null,
    groupId: file.groupId,
    stickiness: file.stickiness,
    constraints: file.constraints,
    percentage: file.percentage,
    firstPercentage: 0,
  };
  const shadow: WantedFlag = {
    ...own,
    name: shadowFlagOf(file.name),
    description: `Share of calls of ${file.name} that the other path repeats in the shadow.`,
    groupId: `${file.groupId}.shadow`,
    // Nobody sees a shadow's answer: its share alone says whether there are any.
    enabled: true,
    percentage: file.shadowPercentage,
  };
  return [own, shadow];
}

function common(file: FlagFile): Pick<WantedFlag, "description" | "tags" | "links" | "enabled"> {
  return {
    description: file.purpose,
    tags: [
      { type: "owner", value: file.owner },
      { type: "remove-by", value: file.removeBy },
    ],
    links: file.links ?? [],
    enabled: file.enabled,
  };
}
