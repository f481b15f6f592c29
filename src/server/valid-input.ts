import * as v from "valibot";
import { invalidRequest } from "./errors.ts";

/** Checks a body or a query. Throws `GATEWAY_INVALID_REQUEST` naming the first thing that is wrong. */
export function valid<T>(schema: v.GenericSchema<unknown, T>, input: unknown, what: string): T {
  const parsed = v.safeParse(schema, input);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const param = v.getDotPath(issue) ?? what;
  throw invalidRequest(
    param,
    `\`${param}\`${shown(issue.input)} is not accepted: ${issue.message}.`,
  );
}

/** What was given, short enough for a sentence; nothing where it is no single value. */
function shown(given: unknown): string {
  if (typeof given === "number" || typeof given === "boolean") return ` (${given})`;
  return typeof given === "string" ? ` (${JSON.stringify(given.slice(0, 40))})` : "";
}

/** A whole number written as text, as queries have it. */
export function wholeNumber(min: number, max: number): v.GenericSchema<string, number> {
  const accepted = `use a whole number from ${min} to ${max}`;
  return v.pipe(
    v.string(accepted),
    v.regex(/^\d{1,15}$/, accepted),
    v.transform(Number),
    v.minValue(min, accepted),
    v.maxValue(max, accepted),
  );
}

/** Text of `min` to `max` characters. */
export function shortText(min: number, max: number): v.GenericSchema<string, string> {
  const accepted = `use text of ${min} to ${max} characters`;
  return v.pipe(v.string(accepted), v.minLength(min, accepted), v.maxLength(max, accepted));
}
