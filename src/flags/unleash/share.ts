import { CodedError } from "../../base/errors.ts";

/** The variant of a strategy that stands for the candidate, where the share is below one percent. */
export const candidateVariant = "candidate";

/** A strategy variant as Unleash has it. The server sorts variants by name. */
export interface ShareVariant {
  readonly name: string;
  readonly weight: number;
  readonly weightType?: string | undefined;
  readonly stickiness?: string | undefined;
}

/** The two places of a `flexibleRollout` strategy that say how many keys it takes. */
export interface StrategyShare {
  readonly rollout: string;
  readonly variants: readonly ShareVariant[];
}

/**
 * A share from 0 to 100: a whole percentage, or one of 0.1 to 0.9. Throws `FLAGS_INVALID_PERCENTAGE` for
 * anything else.
 */
export function parseShare(value: unknown): number {
  const number =
    typeof value === "string" && /^(\d{1,3}|0\.\d)$/.test(value.trim()) ? Number(value) : value;
  if (typeof number === "number" && number >= 0 && number <= 100) {
    const step = number < 1 ? 10 : 1;
    if (Number.isInteger(number * step)) return number;
  }
  throw new CodedError(
    "FLAGS_INVALID_PERCENTAGE",
    `${JSON.stringify(value)} is not a percentage. Use a whole number from 0 to 100, or 0.1 to 0.9.`,
    { status: 400, details: { value: String(value).slice(0, 40) } },
  );
}

/**
 * How a strategy says a share. Unleash's rollout has whole percents only, so that a smaller share is a
 * part of the first percent, chosen by a strategy variant: whoever is in at 0.1 % is in at 0.5, 1 and 10 %
 * too. `candidate` comes first in the alphabet, which is what keeps the parts of one percent nested.
 */
export function toStrategyShare(percentage: number, stickiness: string): StrategyShare {
  if (percentage === 0 || percentage >= 1) return { rollout: String(percentage), variants: [] };
  const weight = Math.round(percentage * 1000);
  return {
    rollout: "1",
    variants: [
      { name: candidateVariant, weight, weightType: "fix", stickiness },
      { name: "legacy", weight: 1000 - weight, weightType: "variable", stickiness },
    ],
  };
}

/** What a strategy's share comes to, or why it cannot be trusted. */
export type ShareReading =
  | { readonly percentage: number; readonly byVariant: boolean }
  | { readonly problem: string };

/** Reads a share back. Never throws: a flag edited by hand may say anything. */
export function readStrategyShare(
  rollout: unknown,
  variants: readonly ShareVariant[],
): ShareReading {
  const whole = wholePercentage(rollout);
  if (whole === null) {
    return {
      problem: `rollout is ${JSON.stringify(rollout)?.slice(0, 40)}, which is no whole number from 0 to 100`,
    };
  }
  const at = variants.findIndex((variant) => variant.name === candidateVariant);
  if (at < 0) return { percentage: whole, byVariant: false };
  if (at > 0) return { problem: `its variant "${candidateVariant}" is not the first one` };
  const total = variants.reduce((sum, variant) => sum + variant.weight, 0);
  if (!(total > 0)) return { problem: "its variants have no weight" };
  const part = (variants[0]?.weight ?? 0) / total;
  return { percentage: Math.round(whole * part * 1000) / 1000, byVariant: true };
}

function wholePercentage(rollout: unknown): number | null {
  const number =
    typeof rollout === "string" && /^\d{1,3}$/.test(rollout) ? Number(rollout) : rollout;
  const fits =
    typeof number === "number" && Number.isInteger(number) && number >= 0 && number <= 100;
  return fits ? number : null;
}
