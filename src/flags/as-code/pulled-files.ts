import { isDeepStrictEqual } from "node:util";
import { shadowFlagOf } from "../features.ts";
import type { FlagConstraint, FlagFile, OperationFlag } from "../flag-file.ts";
import { exposureOf, mainStrategy } from "../unleash/remote-flag.ts";
import type { RemoteFlag, RemoteProject } from "./remote-project.ts";
import { wantedFlags } from "./wanted-flag.ts";

/** What a pull comes to. */
export interface PulledFiles {
  /** Files that change or are new, with their whole content. */
  readonly files: readonly { readonly fileName: string; readonly text: string }[];
  /** Flags that cannot be told as a file, and why. */
  readonly skipped: readonly { readonly flag: string; readonly why: string }[];
}

/**
 * The flag files as Unleash has the flags: owner, purpose, removal date, links, group, stickiness and
 * constraints; with `percentages`, shares and on or off too. Pure. Flags of Unleash without a file get
 * one where their tags `owner` and `remove-by` say whose they are.
 */
export function pulledFiles(
  files: readonly FlagFile[],
  remote: RemoteProject,
  { percentages = false }: { readonly percentages?: boolean } = {},
): PulledFiles {
  const changed: { fileName: string; text: string }[] = [];
  const skipped: { flag: string; why: string }[] = [];
  const keep = (file: FlagFile): void => {
    changed.push({ fileName: `${file.name}.json`, text: printFlagFile(file) });
  };
  for (const file of files) {
    const flag = remote.flags.get(file.name);
    if (flag === undefined) continue;
    const pulled = asPulled(file, flag, remote, percentages);
    const problem = notTellable(pulled, flag);
    if (problem !== null) skipped.push({ flag: file.name, why: problem });
    else if (!isDeepStrictEqual(pulled, file)) keep(pulled);
  }
  const known = new Set(wantedFlags(files).map(({ name }) => name));
  for (const flag of remote.flags.values()) {
    if (known.has(flag.name) || isShadowOfAnother(flag.name, remote)) continue;
    const file = newFile(flag);
    const problem = file === null ? "it has no tags owner and remove-by" : notTellable(file, flag);
    if (file === null || problem !== null) skipped.push({ flag: flag.name, why: problem ?? "" });
    else keep(asPulled(file, flag, remote, true));
  }
  return { files: changed, skipped };
}

const order = [
  "$schema",
  "kind",
  "name",
  "purpose",
  "owner",
  "removeBy",
  "links",
  "enabled",
  "percentage",
  "shadowPercentage",
  "groupId",
  "stickiness",
  "constraints",
] as const;

function printFlagFile(file: FlagFile): string {
  const fields: Readonly<Record<string, unknown>> = { ...file };
  const isEmpty = (value: unknown): boolean =>
    value === undefined || (Array.isArray(value) && value.length === 0);
  const told = order.filter((name) => !isEmpty(fields[name]));
  const inOrder = Object.fromEntries(told.map((name) => [name, fields[name]]));
  return `${JSON.stringify(inOrder, null, 2)}\n`;
}

const isShadowOfAnother = (name: string, remote: RemoteProject): boolean =>
  [...remote.flags.keys()].some((other) => shadowFlagOf(other) === name);

const tagOf = ({ tags }: RemoteFlag, type: string): string | undefined =>
  tags.find((tag) => tag.type === type)?.value;

function asPulled(
  file: FlagFile,
  flag: RemoteFlag,
  remote: RemoteProject,
  percentages: boolean,
): FlagFile {
  const { links: _, ...rest } = file;
  const common = {
    ...rest,
    purpose: flag.description === "" ? file.purpose : flag.description,
    owner: tagOf(flag, "owner") ?? file.owner,
    removeBy: tagOf(flag, "remove-by") ?? file.removeBy,
    ...(flag.links.length === 0 ? {} : { links: flag.links }),
  };
  const { enabled } = flag.environment;
  if (common.kind === "migration") return { ...common, ...(percentages ? { enabled } : {}) };
  const main = mainStrategy(flag.environment);
  const settings: OperationFlag =
    main === null
      ? common
      : {
          ...common,
          groupId: String(main.parameters?.["groupId"] ?? common.groupId),
          stickiness: String(main.parameters?.["stickiness"] ?? common.stickiness),
          constraints: main.constraints.map(plain),
        };
  if (!percentages) return settings;
  const shadow = remote.flags.get(shadowFlagOf(file.name))?.environment;
  const shadowStrategies = shadow?.enabled === true ? shadow.strategies : [];
  return {
    ...settings,
    enabled,
    percentage: exposureOf(flag.environment.strategies, settings.stickiness),
    shadowPercentage: exposureOf(shadowStrategies, settings.stickiness),
  };
}

const plain = (constraint: Readonly<Record<string, unknown>>): FlagConstraint => ({
  contextName: String(constraint["contextName"]),
  operator: constraint["operator"] as FlagConstraint["operator"],
  values: (constraint["values"] as string[] | undefined) ?? [],
});

/** Why a file cannot say what Unleash says; null: it can. */
function notTellable(file: FlagFile, { environment }: RemoteFlag): string | null {
  if (file.kind === "migration") return null;
  if (!Number.isInteger(file.percentage) || !Number.isInteger(file.shadowPercentage)) {
    return "its share is below one percent, which a file cannot say";
  }
  if (environment.strategies.length > 1) return "it has several strategies, a file has one";
  const [strategy] = environment.strategies;
  const odd = strategy?.constraints.some(
    (each) =>
      each["inverted"] === true ||
      each["caseInsensitive"] === true ||
      (each["operator"] !== "IN" && each["operator"] !== "NOT_IN"),
  );
  return odd === true ? "it has constraints other than IN and NOT_IN" : null;
}

function newFile(flag: RemoteFlag): FlagFile | null {
  const owner = tagOf(flag, "owner");
  const removeBy = tagOf(flag, "remove-by");
  if (owner === undefined || removeBy === undefined) return null;
  return {
    $schema: "./flag.schema.json",
    kind: "operation",
    name: flag.name,
    purpose: flag.description === "" ? flag.name : flag.description,
    owner,
    removeBy,
    enabled: flag.environment.enabled,
    percentage: 0,
    shadowPercentage: 0,
    groupId: flag.name.slice(0, flag.name.lastIndexOf(".")),
    stickiness: "routingKey",
    constraints: [],
  };
}
