import * as v from "valibot";
import { CodedError } from "../base/errors.ts";
import type { OperationFlag } from "./flag-file.ts";

interface Values {
  readonly enabled: boolean;
  readonly percentage: number;
  readonly shadowPercentage: number;
}

/** What was decided at run time about one flag; lives in the data folder, beside the flag files. */
export interface OverlayEntry extends Values {
  /** A rollback's entry beats the file until it is re-armed; a person's until the file is edited. */
  readonly kind: "set" | "rollback";
  /** What the file said when this was written: an edit of the file after that wins. */
  readonly base: Values;
  readonly by: string;
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}

const values = { enabled: v.boolean(), percentage: v.number(), shadowPercentage: v.number() };

const schema: v.GenericSchema<unknown, { version: 1; flags: Record<string, OverlayEntry> }> =
  v.strictObject({
    version: v.literal(1),
    flags: v.record(
      v.string(),
      v.strictObject({
        ...values,
        kind: v.picklist(["set", "rollback"]),
        base: v.strictObject(values),
        by: v.string(),
        reason: v.string(),
        at: v.string(),
      }),
    ),
  });

/** Run-time state by operation name. */
export type Overlay = Readonly<Record<string, OverlayEntry>>;

/** Throws `FLAGS_INVALID_STATE`: guessing here could undo a rollback. */
export function parseOverlay(path: string, text: string): Overlay {
  try {
    return v.parse(schema, JSON.parse(text)).flags;
  } catch (error) {
    throw new CodedError(
      "FLAGS_INVALID_STATE",
      `${path} cannot be read as flag state, so every flag is treated as off. Repair it, or move it away to start again from the flag files.`,
      { cause: error },
    );
  }
}

export function printOverlay(overlay: Overlay): string {
  return `${JSON.stringify({ version: 1, flags: overlay }, null, 2)}\n`;
}

/** The three values of a flag that can change at run time. */
export function baseOf(flag: OperationFlag): OverlayEntry["base"] {
  const { enabled, percentage, shadowPercentage } = flag;
  return { enabled, percentage, shadowPercentage };
}

/** What holds for a flag now, and where it comes from. Pure. */
export function effective(
  flag: OperationFlag,
  entry: OverlayEntry | undefined,
): { flag: OperationFlag; origin: string } {
  if (entry === undefined || isOutdated(flag, entry)) return { flag, origin: "flag file" };
  const { enabled, percentage, shadowPercentage } = entry;
  const what = entry.kind === "rollback" ? "rolled back" : "set";
  return {
    flag: { ...flag, enabled: enabled && flag.enabled, percentage, shadowPercentage },
    origin: `${what} by ${entry.by} at ${entry.at}`,
  };
}

function isOutdated(flag: OperationFlag, entry: OverlayEntry): boolean {
  if (entry.kind === "rollback") return false;
  const { base } = entry;
  return (
    base.enabled !== flag.enabled ||
    base.percentage !== flag.percentage ||
    base.shadowPercentage !== flag.shadowPercentage
  );
}
