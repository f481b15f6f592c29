import * as v from "valibot";
import { CodedError } from "../../base/errors.ts";
import type { FlagChange } from "../../migration/flags.ts";
import { judgeFeature, type UnleashStrategy } from "./feature-verdict.ts";
import { toStrategyShare } from "./share.ts";

const variant = v.object({
  name: v.string(),
  weight: v.number(),
  weightType: v.optional(v.string()),
  stickiness: v.optional(v.string()),
});

const strategy = v.object({
  id: v.string(),
  name: v.string(),
  title: v.nullish(v.string()),
  disabled: v.nullish(v.boolean()),
  parameters: v.optional(v.record(v.string(), v.unknown()), {}),
  constraints: v.optional(v.array(v.record(v.string(), v.unknown())), []),
  variants: v.nullish(v.array(variant)),
});

const environment: v.GenericSchema<unknown, RemoteEnvironment> = v.object({
  enabled: v.boolean(),
  strategies: v.optional(v.array(strategy), []),
});

/** A strategy of the Admin API. */
export interface RemoteStrategy extends UnleashStrategy {
  readonly id: string;
  readonly title?: string | null | undefined;
  readonly constraints: readonly Readonly<Record<string, unknown>>[];
}

/** One flag in one environment, as the Admin API tells it. */
export interface RemoteEnvironment {
  readonly enabled: boolean;
  readonly strategies: readonly RemoteStrategy[];
}

/** Throws `FLAGS_UNLEASH_REJECTED` for a reply of another shape. */
export function parseRemoteEnvironment(name: string, reply: unknown): RemoteEnvironment {
  const parsed = v.safeParse(environment, reply);
  if (parsed.success) return parsed.output;
  const at = v.getDotPath(parsed.issues[0]) ?? "the reply";
  throw new CodedError(
    "FLAGS_UNLEASH_REJECTED",
    `Unleash's reply about "${name}" has another shape than expected at ${at}. Is this an Unleash of version 5 to 8?`,
    { status: 502 },
  );
}

const mark = "changeover: ";
const heldMark = `${mark}rolled back by `;
const titleMax = 200;

/** What a strategy is called: the only place in Unleash that keeps a reason. */
export const setTitle = (percentage: number, { by, reason }: FlagChange): string =>
  `${mark}${percentage} % by ${by}: ${reason}`.slice(0, titleMax);
/** The mark of a rollback. */
export const heldTitle = ({ by, reason }: FlagChange): string =>
  `${heldMark}${by}: ${reason}`.slice(0, titleMax);
/** What replaces the mark of a rollback. */
export const rearmedTitle = ({ by, reason }: FlagChange): string =>
  `${mark}re-armed by ${by}: ${reason}`.slice(0, titleMax);
/** What a strategy is called that was made from a flag file. */
export const madeTitle: string = `${mark}made by flags push`;

/** A rollback marked this flag, and nobody has re-armed it since. */
export const isHeld = (remote: RemoteEnvironment): boolean =>
  remote.strategies.some((each) => each.title?.startsWith(heldMark) === true);

/** The largest share that any strategy gives to the candidate; 100 for one that cannot be judged. Pure. */
export function exposureOf(strategies: readonly RemoteStrategy[], routingKey: string): number {
  if (strategies.every((each) => each.disabled === true)) return 0;
  const verdict = judgeFeature({ name: "", enabled: true, strategies }, routingKey);
  // Refused by our own sources, but others may read the flag too.
  return verdict.problem === null ? verdict.percentage : 100;
}

/** The strategy that changes are made to: ours by its title, else the first `flexibleRollout`. Pure. */
export function mainStrategy(remote: RemoteEnvironment): RemoteStrategy | null {
  const fitting = remote.strategies.filter((each) => each.name === "flexibleRollout");
  return fitting.find((each) => each.title?.startsWith(mark) === true) ?? fitting[0] ?? null;
}

/** One step of a JSON Patch (RFC 6902). */
export interface PatchStep {
  readonly op: "add" | "test";
  readonly path: string;
  readonly value: unknown;
}

/** Sets a strategy's share, and its title. Pure. */
export function sharePatch(percentage: number, title: string, stickiness: string): PatchStep[] {
  const { rollout, variants } = toStrategyShare(percentage, stickiness);
  return [
    // `add` of a member that exists replaces it, and unlike `replace` does not fail where it is missing.
    { op: "add", path: "/parameters/rollout", value: rollout },
    { op: "add", path: "/variants", value: variants },
    { op: "add", path: "/disabled", value: false },
    { op: "add", path: "/title", value: title },
  ];
}

/** Fails the patch when the strategy is not as it was read. The server tests before it writes, not atomically. */
export function unchangedSince({ parameters, title }: RemoteStrategy): PatchStep[] {
  return [
    { op: "test", path: "/parameters/rollout", value: parameters?.["rollout"] },
    ...(title == null ? [] : [{ op: "test" as const, path: "/title", value: title }]),
  ];
}

/** Takes a strategy to nothing. Its own switch stays as it is. Pure. */
export function zeroPatch(title: string): PatchStep[] {
  return sharePatch(0, title, "").filter(({ path }) => path !== "/disabled");
}
