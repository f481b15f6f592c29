import type { Clock } from "../../base/clock.ts";
import { SupabaseCatalog } from "../catalog/supabase-catalog.ts";
import type { ErrorProvider } from "../provider-errors.ts";
import type { ProviderProfile } from "../providers/profiles.ts";
import type { Provider } from "../providers/provider.ts";
import { StreamingStorage } from "../storage/streaming-storage.ts";
import { type SupabaseAccess, SupabaseConnection } from "../storage/supabase-connection.ts";
import { type VerifyOptions, type VerifyReport, verifyFiles } from "./verification.ts";

/** What {@link openVerification} connects. */
export interface VerificationSetup {
  readonly supabase: SupabaseAccess;
  /** The providers there are; closed with the verification. Empty: rows and objects only. */
  readonly providers: readonly Provider[];
  /** Whose purposes are looked at. */
  readonly profiles: readonly ProviderProfile[];
  readonly clock: Clock;
  /** Default true. False: provider files are neither looked at nor removed on their own. */
  readonly withProviders?: boolean;
}

/** Runs one verification on Supabase over connections of its own. */
export async function verifyOnSupabase(
  { supabase, providers, profiles, clock, withProviders = true }: VerificationSetup,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const connection = new SupabaseConnection(supabase, { clock, connections: 4, timeoutMs: 30_000 });
  const catalog = new SupabaseCatalog(connection);
  const storage = new StreamingStorage(supabase, { clock });
  const purposes: Partial<Record<ErrorProvider, readonly string[]>> = {};
  for (const profile of profiles) {
    if (profile.provider !== "none") purposes[profile.provider] = Object.keys(profile.purposes);
  }
  try {
    const parts = { catalog, storage, providers, purposes, withProviders, clock };
    return await verifyFiles(parts, options);
  } finally {
    await Promise.all([catalog, storage, ...providers].map((each) => each.close()));
  }
}
