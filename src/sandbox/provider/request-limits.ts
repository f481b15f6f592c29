import type { Refusal, RefusalFacts } from "./wire.ts";

/** Limits of an account, which differ from one account to the next; null: none. */
export interface AccountLimits {
  readonly requestsPerSecond: number | null;
  readonly concurrentRequests: number | null;
  /** Lower than the documented one. */
  readonly maxFiles: number | null;
  /** Lower than the documented one, in bytes. */
  readonly maxTotalBytes: number | null;
}

const NO_LIMITS: AccountLimits = {
  requestsPerSecond: null,
  concurrentRequests: null,
  maxFiles: null,
  maxTotalBytes: null,
};

/** The names of the limits, and how large each may be set. */
const FIELDS: Readonly<Record<keyof AccountLimits, number>> = {
  requestsPerSecond: 10_000,
  concurrentRequests: 10_000,
  maxFiles: 100_000,
  maxTotalBytes: Number.MAX_SAFE_INTEGER,
};

/** Reads limits from JSON; what is left out has none. A text says what is wrong. */
export function parseAccountLimits(json: unknown): AccountLimits | string {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return "Limits are an object.";
  }
  const limits: Record<string, number> = {};
  for (const [field, value] of Object.entries(json)) {
    const max = Object.hasOwn(FIELDS, field) ? FIELDS[field as keyof AccountLimits] : undefined;
    const known = Object.keys(FIELDS).join(", ");
    if (max === undefined) return `There is no limit ${field.slice(0, 40)}; known are ${known}.`;
    if (!Number.isInteger(value) || value < 1 || value > max) {
      return `${field} is a whole number from 1 to ${max}.`;
    }
    limits[field] = value;
  }
  return { ...NO_LIMITS, ...limits };
}

/** How much of the request rate is left. */
export interface RateState {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until there is room again. */
  readonly resetSeconds: number;
}

/** Why a request does not get in, with the numbers for the message. */
export interface LimitRefusal {
  readonly refusal: Refusal;
  readonly facts: RefusalFacts;
}

const WINDOW_MS = 1000;

/** Counts the requests of the last second and those that are running. */
export class RequestLimits {
  #limits: AccountLimits = NO_LIMITS;
  #running = 0;
  /** When requests of the last second were let in; never more than the limit. */
  #admittedMs: number[] = [];

  get limits(): AccountLimits {
    return this.#limits;
  }

  /** Replaces all limits; without an argument there are none. */
  set(limits: AccountLimits = NO_LIMITS): void {
    this.#limits = limits;
    this.#admittedMs = [];
  }

  /** Lets a request in, which then has to `leave`, or says why not. */
  enter(nowMs: number): LimitRefusal | undefined {
    const { requestsPerSecond: perSecond, concurrentRequests: atOnce } = this.#limits;
    this.#admittedMs = this.#admittedMs.filter((at) => nowMs - at < WINDOW_MS);
    if (perSecond !== null && this.#admittedMs.length >= perSecond) {
      return { refusal: "too-fast", facts: { limit: perSecond, retryAfterSeconds: 1 } };
    }
    if (atOnce !== null && this.#running >= atOnce) {
      return { refusal: "too-many-at-once", facts: { limit: atOnce, retryAfterSeconds: 1 } };
    }
    if (perSecond !== null) this.#admittedMs.push(nowMs);
    this.#running += 1;
    return undefined;
  }

  leave(): void {
    this.#running -= 1;
  }

  /** Undefined when no rate is limited. */
  rate(): RateState | undefined {
    const { requestsPerSecond: limit } = this.#limits;
    if (limit === null) return undefined;
    const remaining = Math.max(0, limit - this.#admittedMs.length);
    return { limit, remaining, resetSeconds: WINDOW_MS / 1000 };
  }
}
