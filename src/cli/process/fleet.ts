import type { Config, FlagsFrom } from "../../app/config.ts";
import type { SharedServers } from "../../app/fleet/shared-servers.ts";
import type { Clock } from "../../base/clock.ts";
import { codeOf, toError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { FleetBackend } from "../../sandbox/fleet-backend.ts";
import { withPackage } from "./optional-package.ts";

export type { FlagsFrom };

/** What `--flags` may name. */
export const flagsChoices: readonly FlagsFrom[] = ["unleash", "file"];

/** Where flags come from when neither `--flags` nor `CHANGEOVER_FLAGS` says so. */
export const DEFAULT_FLAGS_FROM: FlagsFrom = "unleash";

/** The embedded Postgres and Unleash, or why there are none. */
export interface OpenFleet {
  /** Null: flags come from files. */
  readonly fleet: FleetBackend | null;
  /** A line for the user when it was meant to run and cannot. */
  readonly note: string | null;
}

/** What makes the default fall back to files; whoever typed `--flags unleash` gets the error. */
const FALLS_BACK: readonly (string | undefined)[] = [
  "CLI_PACKAGE_MISSING",
  "SANDBOX_PACKAGE_MISSING",
  "SANDBOX_POSTGRES_USER",
];

/**
 * Starts the embedded Postgres and Unleash when flags are to come from there. `typed` is what `--flags`
 * named, or undefined. Rejects with what `startFleetBackend` does; without `--flags unleash` a machine
 * that cannot run them falls back to files, and `note` says so.
 */
export async function openFleet(
  config: Config,
  typed: FlagsFrom | undefined,
  { logger, clock }: { readonly logger: Logger; readonly clock: Clock },
): Promise<OpenFleet> {
  const { dataDir, flagsFrom, unleashUrl, postgresUrl } = config;
  const asked = typed ?? flagsFrom;
  // Whoever has servers of their own gets no embedded ones beside them.
  const own = asked === null && (unleashUrl !== null || postgresUrl !== null);
  if (own || (asked ?? DEFAULT_FLAGS_FROM) === "file") return { fleet: null, note: null };
  try {
    const { startFleetBackend } = await withPackage(
      "the embedded Unleash",
      () => import("../../sandbox/fleet-backend.ts"),
    );
    return { fleet: await startFleetBackend({ dataDir, logger, clock }), note: null };
  } catch (error) {
    if (asked === "unleash" || !FALLS_BACK.includes(codeOf(error))) throw error;
    return { fleet: null, note: `Flags come from files: ${toError(error).message}` };
  }
}

/** The embedded servers as an app takes them; both may still be starting. */
export function serversOf({ addresses, postgresReady, unleash }: FleetBackend): SharedServers {
  const { url, clientToken: token, environment, project } = addresses.unleash;
  const adminToken = unleash.then((access) => access.adminToken);
  return {
    postgres: { url: addresses.postgres.url, starting: postgresReady },
    unleash: { url, token, adminToken, environment, project },
  };
}
