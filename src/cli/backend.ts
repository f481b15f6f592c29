import type { Backend, ProviderAccess } from "../app/backend.ts";
import type { Config } from "../app/config.ts";
import { configuredBackend, configuredProvider } from "../app/configured-backend.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { FleetBackend } from "../sandbox/fleet-backend.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { type FlagsFrom, type OpenFleet, openFleet } from "./process/fleet.ts";
import { withPackage } from "./process/optional-package.ts";

/** A backend to work on, and how it came about. Whoever opened it closes it. */
export interface OpenBackend {
  readonly backend: Backend;
  /** Set when the embedded backend was started for it. */
  readonly sandbox: Sandbox | null;
  /** The embedded Postgres and Unleash, when flags come from there; Unleash may still be starting. */
  readonly fleet: FleetBackend | null;
  /** Why flags come from files although they were to come from Unleash; else null. */
  readonly note: string | null;
  /** Stops everything that was started for it. */
  close(): Promise<void>;
}

/** What a backend is opened with. */
export interface BackendOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** What `--flags` named; undefined when it was not typed. */
  readonly flags?: FlagsFrom | undefined;
}

/**
 * The configured Supabase project (`SUPABASE_URL`), or the embedded backend, started now; and beside it
 * the embedded Postgres and Unleash when flags come from there. Rejects with what `startSandbox` and
 * `startFleetBackend` do, and with `CLI_PACKAGE_MISSING`; nothing is left running then.
 */
export async function openBackend(config: Config, options: BackendOptions): Promise<OpenBackend> {
  const [base, fleet] = await Promise.allSettled([
    openBase(config, options),
    openFleet(config, options.flags, options),
  ]);
  if (base.status === "rejected" || fleet.status === "rejected") {
    if (base.status === "fulfilled") await base.value.sandbox?.close();
    if (fleet.status === "fulfilled") await fleet.value.fleet?.close();
    throw [base, fleet].find((each) => each.status === "rejected")?.reason;
  }
  return joined(base.value, fleet.value);
}

type Base = Pick<OpenBackend, "backend" | "sandbox">;

function joined({ backend, sandbox }: Base, { fleet, note }: OpenFleet): OpenBackend {
  const close = async (): Promise<void> => {
    await Promise.all([sandbox?.close(), fleet?.close()]);
  };
  return { backend, sandbox, fleet, note, close };
}

async function openBase(config: Config, { logger, clock }: BackendOptions): Promise<Base> {
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
      kimi: configuredProvider(config.kimiUrl, config.kimiKey) ?? standIn(kimi),
      glm: configuredProvider(config.glmUrl, config.glmKey) ?? standIn(glm),
    },
  };
}

function standIn({ baseUrl, apiKey }: ProviderAccess): ProviderAccess {
  return { baseUrl, apiKey };
}
