import * as v from "valibot";
import type { Control, ControlChange, Fault } from "../../app/control.ts";
import type { Path } from "../../migration/call.ts";
import { shortText, valid, wholeNumber } from "../valid-input.ts";

/** A change of one operation's flag. */
export interface FlagCommand {
  readonly values: { readonly percentage?: number; readonly shadow?: number };
  readonly change: ControlChange;
}

/** A rollback or a re-arming. */
export interface ChangeCommand {
  /** An operation, or for a rollback also `all`. */
  readonly operation: string;
  readonly change: ControlChange;
}

/** A fault to set on one path. */
export interface FaultCommand {
  readonly path: Path;
  /** Fields that are left out are 0. */
  readonly fault: Readonly<Partial<Fault>>;
  readonly change: ControlChange;
}

/** Whose routing is to be explained. */
export interface ExplainQuestion {
  readonly operation: string;
  readonly key: string;
}

function numberBetween(min: number, max: number, accepted: string): v.GenericSchema<number> {
  return v.pipe(v.number(accepted), v.minValue(min, accepted), v.maxValue(max, accepted));
}

const operation = shortText(1, 200);
const by = shortText(1, 100);
const reason = shortText(1, 500);
const percentage = v.pipe(
  numberBetween(0, 100, "use a whole number from 0 to 100"),
  v.integer("use a whole number from 0 to 100"),
);

const flagSchema = v.pipe(
  v.strictObject({
    percentage: v.optional(percentage),
    shadow: v.optional(percentage),
    reason: v.optional(reason, "set over the control API"),
    by: v.optional(by, "operator"),
  }),
  v.check(
    (body) => body.percentage !== undefined || body.shadow !== undefined,
    "send percentage, shadow or both",
  ),
);

/** Reads `{percentage?, shadow?, reason?, by?}` with at least one of the two shares. */
export function flagCommand(body: unknown): FlagCommand {
  const { percentage: share, shadow, ...change } = valid(flagSchema, body, "body");
  const values = {
    ...(share === undefined ? {} : { percentage: share }),
    ...(shadow === undefined ? {} : { shadow }),
  };
  return { values, change };
}

const changeSchema = v.strictObject({ operation, reason, by });

/** Reads `{operation, reason, by}`. */
export function changeCommand(body: unknown): ChangeCommand {
  const { operation: name, ...change } = valid(changeSchema, body, "body");
  return { operation: name, change };
}

const rate = v.optional(numberBetween(0, 1, "use a share from 0 to 1"));
/** What a rollout is told, and whether it is only asked. */
export interface RolloutOrder {
  readonly change: ControlChange;
  readonly dryRun: boolean;
}

const rolloutSchema = v.strictObject({ reason, by, dryRun: v.optional(v.boolean(), false) });
const rolloutCommands = ["start", "pause", "resume", "approve", "advance", "abort"] as const;
const commandSchema = v.object({
  command: v.picklist(rolloutCommands, `use one of ${rolloutCommands.join(", ")}`),
});

/** Reads `{reason, by, dryRun?}`. */
export function rolloutOrder(body: unknown): RolloutOrder {
  const { dryRun, ...change } = valid(rolloutSchema, body, "body");
  return { change, dryRun };
}

/** Reads the command at the end of a rollout's address. */
export function rolloutCommand(command: string): (typeof rolloutCommands)[number] {
  return valid(commandSchema, { command }, "address").command;
}

const faultSchema = v.strictObject({
  path: v.picklist(["legacy", "candidate"], "use legacy or candidate"),
  errorRate: rate,
  latencyMs: v.optional(numberBetween(0, 60_000, "use 0 to 60000 milliseconds")),
  unknownErrorRate: rate,
  mismatchRate: rate,
  leakBytes: v.optional(numberBetween(0, 268_435_456, "use 0 to 268435456 bytes")),
  reason: v.optional(reason, "set over the control API"),
  by: v.optional(by, "operator"),
});

/** Reads `{path, reason?, by?}` and the fields of a fault; what is left out is 0. */
export function faultCommand(body: unknown): FaultCommand {
  const { path, reason: why, by: who, ...given } = valid(faultSchema, body, "body");
  const fault = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as Partial<Fault>;
  return { path, fault, change: { by: who, reason: why } };
}

const explainSchema = v.object({ operation, key: shortText(1, 256) });

/** Reads the query `operation` and `key`. */
export function explainQuestion(query: unknown): ExplainQuestion {
  return valid(explainSchema, query, "query");
}

const exportSchema = v.object({
  module: v.optional(shortText(1, 1024)),
  name: v.optional(shortText(1, 200)),
});

/** Reads the query `module` and `name`: where an exported test finds the operation's definition. */
export function exportQuery(query: unknown): Parameters<Control["exportMismatch"]>[1] {
  const { module, name } = valid(exportSchema, query, "query");
  return {
    ...(module === undefined ? {} : { module }),
    ...(name === undefined ? {} : { name }),
  };
}

const sinceAccepted = "use milliseconds since the Unix epoch, or a date like 2026-01-31T10:00:00Z";
const journalSchema = v.object({
  operation: v.optional(operation),
  since: v.optional(
    v.pipe(
      v.string(sinceAccepted),
      v.transform((text) => (/^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text))),
      v.number(sinceAccepted),
    ),
  ),
  limit: v.optional(wholeNumber(1, 1000)),
});

/** Reads the query `operation`, `since` and `limit` (1 to 1000; the newest 100 when missing). */
export function journalQuery(query: unknown): Parameters<Control["journal"]>[0] {
  const { operation: name, since, limit } = valid(journalSchema, query, "query");
  return {
    ...(name === undefined ? {} : { operation: name }),
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(limit === undefined ? {} : { limit }),
  };
}
