import { CodedError } from "../base/errors.ts";

/**
 * A whole percentage from 0 to 100, from a number or its decimal text. Throws `FLAGS_INVALID_PERCENTAGE`
 * for anything else ("150", "abc", "0.5"): Unleash reads some of those as 0 % and some as 100 %.
 */
export function parsePercentage(value: unknown): number {
  const number =
    typeof value === "string" && /^\d{1,3}$/.test(value.trim()) ? Number(value) : value;
  if (typeof number === "number" && Number.isInteger(number) && number >= 0 && number <= 100) {
    return number;
  }
  throw new CodedError(
    "FLAGS_INVALID_PERCENTAGE",
    `${JSON.stringify(value)} is not a percentage. Use a whole number from 0 to 100.`,
    { status: 400, details: { value: String(value).slice(0, 40) } },
  );
}
