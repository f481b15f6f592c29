/** How a provider is. `unknown` until it was asked for the first time. */
export type HealthState = "unknown" | "up" | "slow" | "throttled" | "unauthorised" | "down";

/** A provider's health, and since when and why. */
export interface Health {
  readonly state: HealthState;
  /** When this state began, in milliseconds since 1970. */
  readonly sinceMs: number;
  /** When it was last seen to be so; null before the first time. */
  readonly checkedMs: number | null;
  /** How long the last answer took, in milliseconds; null when none came. */
  readonly answerMs: number | null;
  /** Why it is not `up`, in one sentence; empty when it is. */
  readonly reason: string;
  /** Failures in a row. */
  readonly failures: number;
}

/** What one request showed. */
export type HealthSign =
  /** Answered properly; `ms` is null where the time says nothing about the provider (an upload). */
  | { readonly kind: "answered"; readonly ms: number | null }
  | { readonly kind: "throttled"; readonly reason: string }
  | { readonly kind: "unauthorised"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string };

/** Where the states begin. */
export interface HealthLimits {
  /** An answer to a small request that takes longer than this is slow, in milliseconds. Default 2,000. */
  readonly slowMs: number;
  /** Failures in a row from which a provider that worked is down. Default 2. */
  readonly failuresToDown: number;
}

export const defaultHealthLimits: HealthLimits = { slowMs: 2000, failuresToDown: 2 };

/** Before anything is known. */
export function unknownHealth(nowMs: number): Health {
  return {
    state: "unknown",
    sinceMs: nowMs,
    checkedMs: null,
    answerMs: null,
    reason: "it has not been asked yet",
    failures: 0,
  };
}

/**
 * The health after one more sign. A provider that worked is down only when it fails again; one that was
 * never seen to work is down at once. Pure.
 */
export function nextHealth(
  health: Health,
  sign: HealthSign,
  nowMs: number,
  limits: HealthLimits = defaultHealthLimits,
): Health {
  const failures = sign.kind === "failed" ? health.failures + 1 : 0;
  const { state, reason } = judged(health, sign, failures, limits);
  return {
    state,
    sinceMs: state === health.state ? health.sinceMs : nowMs,
    checkedMs: nowMs,
    answerMs: sign.kind === "answered" ? (sign.ms ?? health.answerMs) : null,
    reason,
    failures,
  };
}

function judged(
  health: Health,
  sign: HealthSign,
  failures: number,
  { slowMs, failuresToDown }: HealthLimits,
): Pick<Health, "state" | "reason"> {
  if (sign.kind === "failed") {
    const worked = health.state === "up" || health.state === "slow" || health.state === "throttled";
    if (worked && failures < failuresToDown) return { state: health.state, reason: sign.reason };
    return { state: "down", reason: sign.reason };
  }
  if (sign.kind !== "answered") return { state: sign.kind, reason: sign.reason };
  if (sign.ms === null) {
    // An upload that went through proves that the provider works, and not that it is quick again.
    return health.state === "slow" ? health : { state: "up", reason: "" };
  }
  if (sign.ms <= slowMs) return { state: "up", reason: "" };
  const reason = `it answered after ${Math.round(sign.ms)} ms; the limit is ${slowMs} ms`;
  return { state: "slow", reason };
}
