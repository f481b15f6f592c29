import type { FlagConstraint, FlagFile } from "../flag-file.ts";
import type { AdminCall, AdminPlace } from "../unleash/admin-api.ts";
import { environmentPath, featurePath, projectPath } from "../unleash/admin-api.ts";
import {
  exposureOf,
  isHeld,
  madeTitle,
  mainStrategy,
  type PatchStep,
  type RemoteStrategy,
  sharePatch,
} from "../unleash/remote-flag.ts";
import { toStrategyShare } from "../unleash/share.ts";
import type { RemoteFlag, RemoteProject } from "./remote-project.ts";
import { tagTypes, type WantedFlag, wantedFlags } from "./wanted-flag.ts";

/** One thing in which the files and Unleash differ. */
export interface FlagDifference {
  readonly flag: string;
  /**
   * `missing` in Unleash, `extra` there, `settings` of a flag that both have, or `live`: the percentage
   * and whether it is on, which change while a rollout goes on and are only pushed and pulled when told.
   */
  readonly kind: "missing" | "extra" | "settings" | "live";
  readonly field: string;
  /** As in the file, and as in Unleash; null: it is not there. */
  readonly file: string | null;
  readonly unleash: string | null;
  /** Why a push leaves it alone; null: it does not. */
  readonly left: string | null;
}

/** A call of the Admin API with its purpose. */
export interface PlannedCall extends AdminCall {
  readonly why: string;
}

/** How far a push or a pull goes. */
export interface FlagPlanOptions extends AdminPlace {
  /** Percentages and on or off too; default false. */
  readonly percentages?: boolean;
}

/** In what files and Unleash differ. Pure. */
export function diffFlags(
  files: readonly FlagFile[],
  remote: RemoteProject,
  options: FlagPlanOptions,
): FlagDifference[] {
  return planFlags(files, remote, options).differences;
}

/**
 * The calls, in their order, that make Unleash as the files say. Pure. A missing flag is created at 0 %
 * and switched on last; a flag that exists keeps its percentage and whether it is on, unless told.
 */
export function adminCalls(
  files: readonly FlagFile[],
  remote: RemoteProject,
  options: FlagPlanOptions,
): PlannedCall[] {
  return planFlags(files, remote, options).calls;
}

interface FlagPlan {
  readonly differences: FlagDifference[];
  readonly calls: PlannedCall[];
}

function planFlags(
  files: readonly FlagFile[],
  remote: RemoteProject,
  options: FlagPlanOptions,
): FlagPlan {
  const plan: FlagPlan = { differences: [], calls: [] };
  const wanted = wantedFlags(files);
  for (const flag of wanted) {
    const there = remote.flags.get(flag.name);
    if (there === undefined) create(flag, plan, options);
    else bringInLine(flag, there, plan, options);
  }
  for (const { name } of remote.flags.values()) {
    if (wanted.some((flag) => flag.name === name)) continue;
    const left = "it is not ours to remove: archive it in Unleash, or pull it";
    plan.differences.push({ ...absent, flag: name, kind: "extra", unleash: "there", left });
  }
  plan.calls.unshift(...preparations(plan, remote, options));
  return plan;
}

const absent = { field: "flag", file: null, unleash: null } as const;

/** What has to be there before the first flag is made. */
function preparations(
  plan: FlagPlan,
  remote: RemoteProject,
  options: FlagPlanOptions,
): PlannedCall[] {
  if (plan.calls.length === 0) return [];
  const calls: PlannedCall[] = Object.entries(tagTypes)
    .filter(([name]) => !remote.tagTypes.includes(name))
    .map(([name, description]) => ({
      method: "POST",
      path: "/tag-types",
      body: { name, description },
      why: `tag type ${name}`,
    }));
  const creates = plan.differences.some(({ kind }) => kind === "missing");
  if (creates && !remote.hasDefaultStrategy) {
    // Otherwise a flag that is switched on without a strategy is on for everyone.
    const parameters = { rollout: "0", stickiness: "routingKey", groupId: "" };
    calls.push({
      method: "POST",
      path: `${projectPath(options)}/environments/${encodeURIComponent(options.environment)}/default-strategy`,
      body: { name: "flexibleRollout", constraints: [], parameters },
      why: "default strategy of the project: 0 %",
    });
  }
  return calls;
}

function create(flag: WantedFlag, plan: FlagPlan, options: FlagPlanOptions): void {
  const { name } = flag;
  plan.differences.push({ ...absent, flag: name, kind: "missing", file: "there", left: null });
  const path = featurePath(options, name);
  plan.calls.push({
    method: "POST",
    path: `${projectPath(options)}/features`,
    body: { name, type: flag.type, description: flag.description, impressionData: false },
    why: `create ${name}`,
  });
  for (const tag of flag.tags) {
    const tagsPath = `/features/${encodeURIComponent(name)}/tags`;
    plan.calls.push({ method: "POST", path: tagsPath, body: tag, why: `${name}: ${tag.type}` });
  }
  for (const link of flag.links) {
    plan.calls.push({ method: "POST", path: `${path}/link`, body: link, why: `${name}: link` });
  }
  if (flag.parent !== null) plan.calls.push(dependency(flag, flag.parent, options));
  const percentage = options.percentages === true ? flag.percentage : flag.firstPercentage;
  plan.calls.push(newStrategy(flag, percentage, options));
  if (flag.enabled) plan.calls.push(turn(name, "on", options));
}

function bringInLine(
  flag: WantedFlag,
  there: RemoteFlag,
  plan: FlagPlan,
  options: FlagPlanOptions,
): void {
  const differ = (
    field: string,
    values: { file: string; unleash: string },
    calls: readonly PlannedCall[],
    rest: Partial<Pick<FlagDifference, "kind" | "left">> = {},
  ): void => {
    plan.differences.push({
      flag: flag.name,
      kind: "settings",
      left: null,
      field,
      ...values,
      ...rest,
    });
    plan.calls.push(...calls);
  };
  const path = featurePath(options, flag.name);
  if (there.description !== flag.description) {
    const body: PatchStep[] = [{ op: "add", path: "/description", value: flag.description }];
    const why = `${flag.name}: description`;
    const values = { file: flag.description, unleash: there.description };
    differ("purpose", values, [{ method: "PATCH", path, body, why }]);
  }
  for (const tag of flag.tags) {
    const present = there.tags.filter((each) => each.type === tag.type);
    if (present.length === 1 && present[0]?.value === tag.value) continue;
    const removedTags = present.filter((each) => each.value !== tag.value);
    const addedTags = present.some((each) => each.value === tag.value) ? [] : [tag];
    const body = { addedTags, removedTags };
    const tagsPath = `/features/${encodeURIComponent(flag.name)}/tags`;
    const why = `${flag.name}: ${tag.type}`;
    const values = { file: tag.value, unleash: present.map((each) => each.value).join(", ") };
    differ(tag.type, values, [{ method: "PUT", path: tagsPath, body, why }]);
  }
  for (const link of flag.links) {
    if (there.links.some(({ url, title }) => url === link.url && title === link.title)) continue;
    const why = `${flag.name}: link`;
    const call: PlannedCall = { method: "POST", path: `${path}/link`, body: link, why };
    differ("link", { file: link.url, unleash: "" }, [call]);
  }
  if (flag.parent !== null && !there.parents.includes(flag.parent)) {
    const values = { file: flag.parent, unleash: there.parents.join(", ") };
    differ("parent", values, [dependency(flag, flag.parent, options)]);
  }
  strategySettings(flag, there, differ, options);
  liveValues(flag, there, differ, options);
}

type Differ = (
  field: string,
  values: { file: string; unleash: string },
  calls: readonly PlannedCall[],
  rest?: Partial<Pick<FlagDifference, "kind" | "left">>,
) => void;

/** Who is in a cohort: changed only while nobody is on the candidate, since it moves keys about. */
function strategySettings(
  flag: WantedFlag,
  { environment }: RemoteFlag,
  differ: Differ,
  options: FlagPlanOptions,
): void {
  const main = mainStrategy(environment);
  if (main === null) {
    const percentage = flag.firstPercentage;
    differ("strategy", { file: "flexibleRollout", unleash: "" }, [
      newStrategy(flag, percentage, options),
    ]);
    return;
  }
  const exposed = environment.enabled ? exposureOf([main], flag.stickiness) : 0;
  const left =
    exposed === 0 || flag.type === "kill-switch"
      ? null
      : `it would move keys between the paths while ${exposed} % are on the candidate`;
  const fields: [field: string, path: string, file: unknown, unleash: unknown][] = [
    ["groupId", "/parameters/groupId", flag.groupId, main.parameters?.["groupId"] ?? ""],
    [
      "stickiness",
      "/parameters/stickiness",
      flag.stickiness,
      main.parameters?.["stickiness"] ?? "",
    ],
    ["constraints", "/constraints", unleashConstraints(flag), plainConstraints(main)],
  ];
  for (const [field, path, file, unleash] of fields) {
    const values = { file: shown(file), unleash: shown(unleash) };
    if (values.file === values.unleash) continue;
    const body: PatchStep[] = [{ op: "add", path, value: file }];
    const call = patchStrategy(flag, main, body, field, options);
    differ(field, values, left === null ? [call] : [], { left });
  }
}

function liveValues(
  flag: WantedFlag,
  { environment }: RemoteFlag,
  differ: Differ,
  options: FlagPlanOptions,
): void {
  const main = mainStrategy(environment);
  const exposed = exposureOf(environment.strategies, flag.stickiness);
  const told = options.percentages === true;
  const untold = told ? null : "live: pushed with --percentages only";
  const raises = (flag.enabled && !environment.enabled) || flag.percentage > exposed;
  const held = isHeld(environment) && raises ? "a rollback holds it: re-arm it first" : null;
  if (main !== null && exposed !== flag.percentage) {
    const body = sharePatch(flag.percentage, madeTitle, flag.stickiness);
    const call = patchStrategy(flag, main, body, `${flag.percentage} %`, options);
    const left = untold ?? held;
    const values = { file: `${flag.percentage} %`, unleash: `${exposed} %` };
    differ("percentage", values, left === null ? [call] : [], { kind: "live", left });
  }
  if (environment.enabled === flag.enabled) return;
  const others = environment.strategies.filter((each) => each !== main);
  const wider =
    flag.enabled && exposureOf(others, flag.stickiness) > flag.percentage
      ? "another strategy of it is open wider"
      : null;
  const left = untold ?? held ?? wider;
  const call = turn(flag.name, flag.enabled ? "on" : "off", options);
  const values = { file: onOff(flag.enabled), unleash: onOff(environment.enabled) };
  differ("enabled", values, left === null ? [call] : [], { kind: "live", left });
}

const onOff = (enabled: boolean): string => (enabled ? "on" : "off");
const shown = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value);

const unleashConstraints = ({ constraints }: WantedFlag): unknown[] =>
  constraints.map((each) => constraintOf(each, false, false));

const plainConstraints = ({ constraints }: RemoteStrategy): unknown[] =>
  constraints.map((each) =>
    constraintOf(
      each as unknown as FlagConstraint,
      each["inverted"] === true,
      each["caseInsensitive"] === true,
    ),
  );

const constraintOf = (
  { contextName, operator, values }: FlagConstraint,
  inverted: boolean,
  caseInsensitive: boolean,
): unknown => ({ contextName, operator, values, inverted, caseInsensitive });

function newStrategy(flag: WantedFlag, percentage: number, options: FlagPlanOptions): PlannedCall {
  const { stickiness, groupId } = flag;
  const { rollout, variants } = toStrategyShare(percentage, stickiness);
  return {
    method: "POST",
    path: `${environmentPath(options, flag.name)}/strategies`,
    body: {
      name: "flexibleRollout",
      title: madeTitle,
      parameters: { rollout, stickiness, groupId },
      constraints: unleashConstraints(flag),
      variants,
    },
    why: `${flag.name}: strategy at ${percentage} %`,
  };
}

function patchStrategy(
  flag: WantedFlag,
  { id }: RemoteStrategy,
  body: readonly PatchStep[],
  what: string,
  options: FlagPlanOptions,
): PlannedCall {
  const path = `${environmentPath(options, flag.name)}/strategies/${encodeURIComponent(id)}`;
  return { method: "PATCH", path, body, why: `${flag.name}: ${what}` };
}

const dependency = (
  { name }: WantedFlag,
  parent: string,
  options: FlagPlanOptions,
): PlannedCall => ({
  method: "POST",
  path: `${featurePath(options, name)}/dependencies`,
  body: { feature: parent, enabled: true },
  why: `${name}: depends on ${parent}`,
});

const turn = (name: string, to: "on" | "off", options: FlagPlanOptions): PlannedCall => ({
  method: "POST",
  path: `${environmentPath(options, name)}/${to}`,
  why: `${name}: ${to}`,
});
