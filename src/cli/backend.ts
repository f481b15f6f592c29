import type { Backend, ProviderAccess } from "../app/backend.ts";
import type { Config } from "../app/config.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { withPackage } from "./process/optional-package.ts";

/** A backend to work on, and how it came about. */
export interface OpenBackend {
  readonly backend: Backend;
  /** Set when the embedded backend was started for it; whoever opened it closes it. */
  readonly sandbox: Sandbox | null;
}

/**
 * The configured Supabase project (`SUPABASE_URL`), or the embedded backend, started now. Rejects with
 * what `startSandbox` does, and with `CLI_PACKAGE_MISSING`.
 */
export async function openBackend(
  config: Config,
  { logger, clock }: { readonly logger: Logger; readonly clock: Clock },
): Promise<OpenBackend> {
  const configured = configuredBackend(config);
  if (configured !== null) return { backend: configured, sandbox: null };
  const { startSandbox } = await withPackage(
    "the embedded backend",
    () => import("../sandbox/sandbox.ts"),
  );
  const { dataDir, maxFileBytes } = config;
  const sandbox = await startSandbox({ dataDir, logger, clock, maxObjectBytes: maxFileBytes });
  const { supabase, kimi, glm } = sandbox.addresses;
  const { url, secretKey, bucket } = supabase;
  return {
    sandbox,
    backend: {
      supabase: { url, secretKey, bucket },
      kimi: provider(config.kimiUrl, config.kimiKey) ?? standIn(kimi),
      glm: provider(config.glmUrl, config.glmKey) ?? standIn(glm),
    },
  };
}

/** The backend that the settings name, or null when the embedded one is meant. */
export function configuredBackend(config: Config): Backend | null {
  const { supabaseUrl, supabaseKey, supabaseBucket, kimiUrl, kimiKey, glmUrl, glmKey } = config;
  if (supabaseUrl === null || supabaseKey === null) return null;
  return {
    supabase: { url: supabaseUrl, secretKey: supabaseKey, bucket: supabaseBucket },
    kimi: provider(kimiUrl, kimiKey),
    glm: provider(glmUrl, glmKey),
  };
}

function provider(baseUrl: string | null, apiKey: string | null): ProviderAccess | null {
  return baseUrl === null || apiKey === null ? null : { baseUrl, apiKey };
}

function standIn({ baseUrl, apiKey }: ProviderAccess): ProviderAccess {
  return { baseUrl, apiKey };
}
