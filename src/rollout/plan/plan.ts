import * as v from "valibot";
import { CodedError } from "../../base/errors.ts";
import { checkOperationName } from "../../migration/operation.ts";
import { builtInProfiles } from "./profiles.ts";
import { isTimeZone, type QuietTime, weekMoment } from "./quiet.ts";

/** A percentage held for a time and a number of samples, and what must be true to go on. */
export interface Stage {
  /** The candidate's share of keys: a whole number from 0 to 100. */
  readonly percentage: number;
  /** The share of keys whose calls are shadowed, 0 to 100; default 0. */
  readonly shadowPercentage: number;
  /** Seconds that the stage is held at least; time on hold or paused does not count. */
  readonly holdSeconds: number;
  /** Candidate calls that it takes at least; at 0 %, comparisons. */
  readonly samples: number;
  /** A person must approve before the stage is left; default false. */
  readonly approval: boolean;
  /** A drill of the operation must have passed within so many days; null: none is asked for. */
  readonly drillMaxAgeDays: number | null;
  /** The share of candidate calls that succeeded, at least, from 0 to 1; null: not asked. */
  readonly successRateMin: number | null;
  /** The share of candidate calls that failed, at most, from 0 to 1; null: not asked. */
  readonly errorRateMax: number | null;
  /** The candidate's mean time to answer over legacy's, at most; null: not asked. */
  readonly latencyFactorMax: number | null;
}

/** A stage as it is written: what has a default may be left out. */
export type StageInput = Pick<Stage, "percentage" | "holdSeconds" | "samples"> &
  Partial<Stage> & {
    /** The stage is for operations of this kind only. */
    readonly only?: "read" | "write";
  };

/** What one operation's rollout goes by. */
export interface OperationPlan {
  /** The profile's name. */
  readonly name: string;
  readonly stages: readonly Stage[];
  readonly quiet: readonly QuietTime[];
  /** Operations whose rollouts must have reached a percentage before this one leaves 0 %. */
  readonly after: readonly { readonly operation: string; readonly reach: number }[];
}

/** The rollout plan of all operations. */
export interface RolloutPlan {
  /** The plan of an operation, also of one that the file does not name: by the default profile. */
  of(operation: string, kind: "read" | "write"): OperationPlan;
}

const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const percentage = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(100));
const orNull = <T>(schema: v.GenericSchema<T>) => v.optional(v.nullable(schema), null);

const stageSchema = v.strictObject({
  percentage,
  shadowPercentage: v.optional(percentage, 0),
  holdSeconds: v.pipe(v.number(), v.minValue(0), v.maxValue(90 * 86_400)),
  samples: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(1_000_000_000)),
  approval: v.optional(v.boolean(), false),
  drillMaxAgeDays: orNull(v.pipe(v.number(), v.gtValue(0), v.maxValue(366))),
  successRateMin: orNull(share),
  errorRateMax: orNull(share),
  latencyFactorMax: orNull(v.pipe(v.number(), v.gtValue(0), v.maxValue(100))),
  only: v.optional(v.picklist(["read", "write"])),
});

type ParsedStage = v.InferOutput<typeof stageSchema>;

/** 0 % first, then upwards to 100 %: for reads as well as for writes. */
function isWalk(stages: readonly ParsedStage[]): boolean {
  return (["read", "write"] as const).every((kind) => {
    const walk = stages.filter(({ only }) => only === undefined || only === kind);
    const rising = walk.every(
      (stage, index) => index === 0 || stage.percentage > (walk[index - 1]?.percentage ?? 0),
    );
    return walk[0]?.percentage === 0 && walk.at(-1)?.percentage === 100 && rising;
  });
}

const stagesSchema = v.pipe(
  v.array(stageSchema),
  v.minLength(2),
  v.maxLength(20),
  v.check(
    (stages) => isWalk(stages),
    "the stages must begin at 0 %, rise with each, and end at 100 %, for reads and for writes",
  ),
);

const moment = v.pipe(v.string(), v.regex(weekMoment, 'use a day and a time like "Fri 15:00"'));

const quietSchema = v.strictObject({
  from: moment,
  to: moment,
  timeZone: v.pipe(
    v.string(),
    v.check(isTimeZone, 'use a time zone of the IANA database, like "Europe/Berlin" or "UTC"'),
  ),
});

const operationName = v.pipe(
  v.string(),
  v.check((name) => {
    try {
      checkOperationName(name);
      return true;
    } catch {
      return false;
    }
  }, "use an operation's full name, like files.upload"),
);

const profileName = v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,40}$/));

const planSchema = v.strictObject({
  $schema: v.optional(v.string()),
  profile: v.optional(profileName, "strict"),
  profiles: v.optional(v.record(profileName, stagesSchema), {}),
  quiet: v.optional(v.pipe(v.array(quietSchema), v.maxLength(20)), []),
  order: v.optional(
    v.pipe(
      v.array(
        v.strictObject({
          operations: v.pipe(v.array(operationName), v.minLength(1), v.maxLength(100)),
          profile: v.optional(profileName),
          reach: v.optional(v.pipe(percentage, v.minValue(1)), 50),
        }),
      ),
      v.maxLength(100),
    ),
    [],
  ),
});

type ParsedPlan = v.InferOutput<typeof planSchema>;

/**
 * Reads a rollout plan, as of `flags/rollout.json`. Throws `ROLLOUT_INVALID_PLAN`, naming every field that
 * is wrong or unknown.
 */
export function parsePlan(value: unknown): RolloutPlan {
  const parsed = v.safeParse(planSchema, value);
  const problems = parsed.success ? contradictions(parsed.output) : parsed.issues.map(problemOf);
  if (!parsed.success || problems.length > 0) {
    throw new CodedError(
      "ROLLOUT_INVALID_PLAN",
      `The rollout plan is not valid: ${problems.join("; ")}. Correct or remove these fields.`,
      { status: 400, details: { problems } },
    );
  }
  const plan = parsed.output;
  const profiles = profilesOf(plan);
  return {
    of: (operation, kind) => {
      const index = plan.order.findIndex(({ operations }) => operations.includes(operation));
      const name = plan.order[index]?.profile ?? plan.profile;
      const stages = profiles.get(name) ?? [];
      const earlier = index === -1 ? [] : plan.order.slice(0, index);
      return {
        name,
        stages: stages.filter(({ only }) => only === undefined || only === kind).map(withoutOnly),
        quiet: plan.quiet,
        after: earlier.flatMap(({ operations, reach }) =>
          operations.map((each) => ({ operation: each, reach })),
        ),
      };
    },
  };
}

function profilesOf({ profiles }: ParsedPlan): ReadonlyMap<string, readonly ParsedStage[]> {
  const builtIn = Object.entries(builtInProfiles).map(
    ([name, stages]) => [name, v.parse(stagesSchema, stages)] as const,
  );
  return new Map([...builtIn, ...Object.entries(profiles)]);
}

/** What each field alone allows, and all of them together do not. */
function contradictions(plan: ParsedPlan): string[] {
  const known = profilesOf(plan);
  const named = [plan.profile, ...plan.order.flatMap(({ profile }) => profile ?? [])];
  const unknown = named
    .filter((name) => !known.has(name))
    .map((name) => `profile: there is no "${name}", only ${[...known.keys()].join(", ")}`);
  const names = plan.order.flatMap(({ operations }) => operations);
  const twice = names
    .filter((name, index) => names.indexOf(name) !== index)
    .map((name) => `order: ${name} is named twice`);
  return [...unknown, ...twice];
}

function problemOf(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  return path === null ? issue.message : `${path}: ${issue.message}`;
}

function withoutOnly({ only: _only, ...stage }: ParsedStage): Stage {
  return stage;
}

/** The plan that holds when nobody wrote one: the strict profile for every operation. */
export const defaultPlan: RolloutPlan = parsePlan({});
