import { type Clock, sleep } from "../../base/clock.ts";
import type { Health } from "../providers/health/health.ts";
import type { ProviderProfile } from "../providers/profiles.ts";
import type { SteadyProvider } from "../providers/steady/steady-provider.ts";
import { noProvider } from "./no-provider.ts";
import {
  type Candidate,
  type Selection,
  type SelectionRequest,
  selectProvider,
} from "./selection.ts";

/** A selection that found somebody. */
export type Selected = Selection & { readonly choice: NonNullable<Selection["choice"]> };

/** What a {@link ProviderSelector} chooses among. */
export interface ProviderSelectorOptions {
  /** The limits of every provider that is set up, `none` among them where that may be chosen. */
  readonly profiles: readonly ProviderProfile[];
  readonly providers: readonly SteadyProvider[];
  readonly clock: Clock;
  /**
   * How long an upload waits to hear how a provider is, in milliseconds; default 3,000. After it, what was
   * known last counts: a provider that hangs must not hold up uploads to the others.
   */
  readonly healthWaitMs?: number;
}

/** Gathers what is known of every provider and chooses one (see {@link selectProvider}). */
export class ProviderSelector {
  readonly #options: ProviderSelectorOptions;

  constructor(options: ProviderSelectorOptions) {
    this.#options = options;
  }

  /**
   * Who would take this file, and why. Asks providers for their health where that is not known well
   * enough. Throws `FILES_NO_PROVIDER` with all reasons when nobody would.
   */
  async choose(request: SelectionRequest, signal: AbortSignal): Promise<Selected> {
    const candidates = await Promise.all(
      this.#options.profiles.map((profile) => this.#candidate(profile, request, signal)),
    );
    const selection = selectProvider(request, candidates);
    const { choice, reasons, mayChange } = selection;
    if (choice !== null) return { ...selection, choice };
    throw noProvider(
      reasons.map(({ provider, text }) => `${provider} ${text}`),
      { mayChange },
    );
  }

  async #candidate(
    profile: ProviderProfile,
    request: SelectionRequest,
    signal: AbortSignal,
  ): Promise<Candidate> {
    const provider = this.#options.providers.find(({ name }) => name === profile.provider);
    const throughput = provider?.status.throughput ?? { bytesPerSecond: null, samples: 0 };
    if (provider === undefined) {
      // Our own storage alone: whether that is well is found out by using it.
      const health = profile.provider === "none" ? "up" : "down";
      return { profile, health, healthReason: "it is not set up", quota: null, throughput };
    }
    const { state: health, reason: healthReason } = await this.#healthOf(provider, signal);
    const quota = provider.quota(request.purpose ?? profile.defaultPurpose);
    return { profile, health, healthReason, quota, throughput };
  }

  async #healthOf(provider: SteadyProvider, signal: AbortSignal): Promise<Health> {
    const { clock, healthWaitMs = 3000 } = this.#options;
    const over = new AbortController();
    const late = async (): Promise<Health> => {
      await sleep(clock, healthWaitMs, AbortSignal.any([signal, over.signal]), true);
      const { health } = provider.status;
      const reason = `it did not say how it is within ${healthWaitMs} ms`;
      return health.state === "unknown" ? { ...health, state: "down", reason } : health;
    };
    try {
      return await Promise.race([provider.checkHealth(signal), late()]);
    } finally {
      over.abort();
    }
  }
}
