import type { Clock } from "../../../base/clock.ts";
import { type CodedError, isCodedError } from "../../../base/errors.ts";
import { untilAborted } from "../steady/until-aborted.ts";
import {
  type Health,
  type HealthLimits,
  type HealthSign,
  nextHealth,
  unknownHealth,
} from "./health.ts";

/** What a {@link HealthWatch} needs. */
export interface HealthWatchOptions {
  /** One cheap request; throws coded errors. */
  readonly probe: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly limits: HealthLimits;
  /** How long a probe's result is good for, in milliseconds. */
  readonly ttlMs: number;
}

/** Knows how a provider is, from probes and from what its requests come to. */
export class HealthWatch {
  readonly #options: HealthWatchOptions;
  #health: Health;
  #probing: Promise<void> | null = null;

  constructor(options: HealthWatchOptions) {
    this.#options = options;
    this.#health = unknownHealth(options.clock.now());
  }

  /** What was known last, without asking. */
  get current(): Health {
    return this.#health;
  }

  /**
   * The health, asked anew when it is older than its time to live; callers at the same time share one
   * probe. Rejects only with the signal's reason.
   */
  async check(signal: AbortSignal): Promise<Health> {
    signal.throwIfAborted();
    const { clock, ttlMs } = this.#options;
    const { checkedMs } = this.#health;
    if (checkedMs !== null && clock.now() - checkedMs < ttlMs) return this.#health;
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = null;
    });
    await untilAborted(signal, this.#probing);
    return this.#health;
  }

  /** An answer came; `ms` null where its time says nothing. */
  answered(ms: number | null): void {
    this.#see({ kind: "answered", ms });
  }

  /** A request failed; what says nothing about the provider is ignored. */
  failed(error: unknown): void {
    const sign = signOf(error);
    if (sign !== null) this.#see(sign);
  }

  /** Shared by several callers, so that no one's patience ends it; the provider's own limit does. */
  async #probe(): Promise<void> {
    const { clock, probe } = this.#options;
    const startedMs = clock.monotonicMs();
    try {
      await probe(new AbortController().signal);
      this.answered(clock.monotonicMs() - startedMs);
    } catch (error) {
      this.failed(error);
    }
  }

  #see(sign: HealthSign): void {
    const { clock, limits } = this.#options;
    this.#health = nextHealth(this.#health, sign, clock.now(), limits);
  }
}

/** What our error codes say about a provider; a refused file says that it works. */
const signs: Readonly<Record<string, HealthSign["kind"]>> = {
  FILES_PROVIDER_UNAVAILABLE: "failed",
  FILES_PROVIDER_THROTTLED: "throttled",
  FILES_PROVIDER_UNAUTHORISED: "unauthorised",
  FILES_PROVIDER_REJECTED: "answered",
  FILES_PROVIDER_QUOTA: "answered",
};

function signOf(error: unknown): HealthSign | null {
  if (!isCodedError(error)) return null;
  // A spent balance comes as a 429; a full account as a 400, and then everything else still works.
  const isSpent = error.code === "FILES_PROVIDER_QUOTA" && error.details["providerStatus"] === 429;
  const kind = isSpent ? "throttled" : signs[error.code];
  if (kind === undefined) return null;
  return kind === "answered" ? { kind, ms: null } : { kind, reason: reasonOf(error) };
}

function reasonOf({ code, details }: CodedError): string {
  const status = details["providerStatus"];
  return typeof status === "number" ? `${code} (HTTP ${status})` : code;
}
