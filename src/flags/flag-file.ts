import * as v from "valibot";
import { CodedError } from "../base/errors.ts";

const name = v.pipe(
  v.string(),
  v.regex(
    /^[a-z0-9-]{1,40}(\.[a-z0-9-]{1,40}){0,3}$/,
    "use lower-case letters, digits, dashes and dots",
  ),
);
const share = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(100));
const sticky = v.pipe(
  v.string(),
  v.check(
    (value) => value !== "default" && value !== "random",
    '`default` and `random` change their answer from call to call; use "routingKey"',
  ),
);

const common = {
  $schema: v.optional(v.string()),
  name,
  purpose: v.pipe(v.string(), v.minLength(1)),
  owner: v.pipe(v.string(), v.minLength(1)),
  removeBy: v.pipe(v.string(), v.isoDate("use a date like 2027-06-30")),
  links: v.optional(
    v.array(
      v.strictObject({
        url: v.pipe(v.string(), v.regex(/^https?:\/\/\S+$/, "use an http or https address")),
        title: v.pipe(v.string(), v.minLength(1)),
      }),
    ),
  ),
  enabled: v.boolean(),
};

const constraint = v.strictObject({
  contextName: v.string(),
  operator: v.picklist(["IN", "NOT_IN"]),
  values: v.array(v.string()),
});

const schema: v.GenericSchema<unknown, FlagFile> = v.variant("kind", [
  v.strictObject({ ...common, kind: v.literal("migration") }),
  v.strictObject({
    ...common,
    kind: v.literal("operation"),
    percentage: share,
    shadowPercentage: share,
    groupId: v.pipe(v.string(), v.minLength(1)),
    stickiness: sticky,
    constraints: v.optional(v.array(constraint), []),
  }),
]);

/** A constraint on a context property, as Unleash has it. */
export interface FlagConstraint {
  readonly contextName: string;
  readonly operator: "IN" | "NOT_IN";
  readonly values: string[];
}

/** A page about a flag. */
export interface FlagLink {
  readonly url: string;
  readonly title: string;
}

interface CommonFields {
  readonly $schema?: string | undefined;
  readonly name: string;
  /** Why the flag exists. */
  readonly purpose: string;
  /** Whom to ask. */
  readonly owner: string;
  /** The date by which the flag should be gone, YYYY-MM-DD. */
  readonly removeBy: string;
  /** Pages about it, such as its runbook. */
  readonly links?: readonly FlagLink[] | undefined;
  readonly enabled: boolean;
}

/** A migration's kill switch: off means every operation of it is off. */
export interface MigrationFlag extends CommonFields {
  readonly kind: "migration";
}

/** An operation's flag: the share of keys on the candidate, and the share that is shadowed. */
export interface OperationFlag extends CommonFields {
  readonly kind: "operation";
  /** Whole number, 0 to 100. */
  readonly percentage: number;
  /** Whole number, 0 to 100. */
  readonly shadowPercentage: number;
  /** Operations of one migration share it, so that their cohorts nest. */
  readonly groupId: string;
  /** The context property that keys are hashed by: `routingKey`. */
  readonly stickiness: string;
  readonly constraints: FlagConstraint[];
}

/** One file of `flags/`. */
export type FlagFile = MigrationFlag | OperationFlag;

/** Throws `FLAGS_INVALID_FILE`, naming the file, the field, its value and what is expected. */
export function parseFlagFile(fileName: string, text: string): FlagFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(fileName, `it is not JSON (${(error as Error).message})`, error);
  }
  const parsed = v.safeParse(schema, json);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const at = v.getDotPath(issue) ?? "the file";
  throw invalid(fileName, `${at}: ${issue.message}, received ${issue.received}`);
}

function invalid(fileName: string, what: string, cause?: unknown): CodedError {
  return new CodedError("FLAGS_INVALID_FILE", `${fileName} is not a valid flag file: ${what}.`, {
    status: 400,
    cause,
    details: { fileName },
  });
}
