import { createProvider, type ProviderOptions } from "../create-provider.ts";
import { type SteadyOptions, SteadyProvider } from "./steady-provider.ts";

/** How to reach a provider, and how to treat it. */
export interface SteadyProviderOptions
  extends Omit<ProviderOptions, "transport" | "connections">,
    SteadyOptions {}

/**
 * The streaming client of Kimi's or GLM's file API with limits, retries, health and quota. It opens as
 * many connections as requests of both kinds may run at once. Throws `FILES_PROVIDER_MISCONFIGURED`.
 */
export function createSteadyProvider(options: SteadyProviderOptions): SteadyProvider {
  const { uploads = 8, requests = 4 } = options.limits ?? {};
  const connections = uploads + requests;
  const provider = createProvider({ ...options, transport: "streaming", connections });
  return new SteadyProvider(provider, {
    predictTotals: options.bytesPerSecond === undefined,
    ...options,
  });
}
