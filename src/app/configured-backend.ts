import type { Backend, ProviderAccess } from "./backend.ts";
import type { Config } from "./config.ts";

/** The backend that the settings name, or null when the embedded one is meant. */
export function configuredBackend(config: Config): Backend | null {
  const { supabaseUrl, supabaseKey, supabaseBucket, kimiUrl, kimiKey, glmUrl, glmKey } = config;
  if (supabaseUrl === null || supabaseKey === null) return null;
  return {
    supabase: { url: supabaseUrl, secretKey: supabaseKey, bucket: supabaseBucket },
    kimi: configuredProvider(kimiUrl, kimiKey),
    glm: configuredProvider(glmUrl, glmKey),
  };
}

/** A provider whose address and key are both set, else null. */
export function configuredProvider(
  baseUrl: string | null,
  apiKey: string | null,
): ProviderAccess | null {
  return baseUrl === null || apiKey === null ? null : { baseUrl, apiKey };
}
