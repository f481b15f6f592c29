import type { Clock } from "../../base/clock.ts";
import { type Logger, silentLogger } from "../../base/logger.ts";
import type { Resources } from "../../base/resources.ts";
import { FileJournal } from "../../disk/file-journal.ts";
import { FlagsAsCode } from "../../flags/as-code/flags-as-code.ts";
import { fileFlags } from "../../flags/file-flags.ts";
import { unleashControl } from "../../flags/unleash/unleash-control.ts";
import { unleashFlags } from "../../flags/unleash/unleash-flags.ts";
import type { FlagSource } from "../../migration/flags.ts";
import type { Fleet } from "../../migration/fleet.ts";
import type { Journal } from "../../migration/journal.ts";
import { migrateFleet } from "../../postgres/migrate.ts";
import { openPostgres } from "../../postgres/open-postgres.ts";
import type { Config } from "../config.ts";
import type { RolloutParts } from "../rollout/open-rollout.ts";
import { ControlledFlags, lateControl } from "./late-control.ts";
import { SharedJournal } from "./shared-journal.ts";
import {
  instanceName,
  type SharedPostgres,
  type SharedServers,
  type SharedUnleash,
} from "./shared-servers.ts";

/** What a process shares with others, or has for itself. */
export interface SharedParts extends Pick<RolloutParts, "fleet" | "rolloutStore" | "lease"> {
  readonly flags: FlagSource;
  readonly journal: Journal;
}

/** What they are opened with. */
export interface SharedOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Closes what was opened here, after whatever is added later. */
  readonly resources: Resources;
}

/**
 * Opens flags, journal, fleet and rollout store: on the servers that are given, and in the data folder
 * where none is. Waits for no server; rejects with `FLAGS_…`, `POSTGRES_PACKAGE_MISSING` and
 * `CONFIG_INVALID` for what waiting cannot mend.
 */
export async function openShared(
  { postgres, unleash }: SharedServers,
  options: SharedOptions,
): Promise<SharedParts> {
  const { config, clock } = options;
  const own = new FileJournal({ folder: config.dataDir, clock });
  const fleet = postgres === null ? { journal: own } : await joinFleet(postgres, own, options);
  const flags = unleash === null ? flagsFromFiles(options) : flagsFromUnleash(unleash, options);
  return { ...fleet, flags };
}

type FleetParts = Omit<SharedParts, "flags"> & { readonly fleet: Fleet };

async function joinFleet(
  { url, starting }: SharedPostgres,
  own: Journal,
  { config, clock, logger, resources }: SharedOptions,
): Promise<FleetParts> {
  const report = (part: string, error: unknown): void =>
    logger.warn({ part, err: error }, "The fleet's Postgres is in trouble");
  const ports = await openPostgres({ url, instance: instanceName(config), clock, report });
  resources.add("postgres", () => ports.close(), 2500);
  starting
    ?.then(() => migrateFleet(url))
    .catch((error: unknown) => logger.error({ err: error }, "The fleet's tables were not made"));
  const journal = new SharedJournal({ shared: ports.journal, own, clock, report });
  resources.add("journal", () => journal.close(), 2500);
  const { fleet, rollouts: rolloutStore, lease } = ports;
  return { journal, fleet, rolloutStore, lease };
}

function flagsFromFiles({ config, clock, logger }: SharedOptions): FlagSource {
  return fileFlags({
    folder: config.flagsDir,
    stateFolder: config.dataDir,
    staleMs: config.flagsStaleMs,
    clock,
    logger,
  });
}

function flagsFromUnleash(unleash: SharedUnleash, options: SharedOptions): FlagSource {
  const { config, clock, logger } = options;
  const { url, token, adminToken, environment, project } = unleash;
  const reading = {
    ...{ url, token, environment, clock, logger },
    appName: "changeover",
    staleMs: config.flagsStaleMs,
  };
  if (typeof adminToken === "string") {
    return unleashFlags({ ...reading, admin: { token: adminToken, project } });
  }
  // Until a server that starts has been up once, its refusals are no news.
  const quiet = adminToken === null ? logger : { ...silentLogger, info: logger.info };
  const flags = unleashFlags({ ...reading, logger: quiet });
  if (adminToken === null) return flags;
  const control = adminToken.then(async (secret) => {
    await pushFiles({ ...unleash, adminToken: secret }, options);
    return unleashControl({ url, token: secret, project, environment, clock, logger });
  });
  return new ControlledFlags(flags, lateControl(control, clock));
}

/** What is missing is made, at 0 %; what is there stays as it is. */
async function pushFiles(
  { url, adminToken: token, project, environment }: SharedUnleash & { adminToken: string },
  { config, logger }: SharedOptions,
): Promise<void> {
  try {
    const folder = config.flagsDir;
    const sync = new FlagsAsCode({ folder, url, token, project, environment });
    const { calls } = await sync.push();
    if (calls.length > 0) logger.info({ calls: calls.length }, "Flag files were pushed to Unleash");
  } catch (error) {
    logger.error({ err: error }, "Flag files could not be pushed; try `changeover flags push`");
  }
}
