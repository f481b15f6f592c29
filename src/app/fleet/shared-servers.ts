import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { CodedError } from "../../base/errors.ts";
import type { Config } from "../config.ts";

/** The Postgres that all instances share. */
export interface SharedPostgres {
  /** Holds a password: never shown. */
  readonly url: string;
  /** For a server that is still starting: its tables are made once this resolves. Null: they are there. */
  readonly starting: Promise<void> | null;
}

/** The Unleash that all instances share. */
export interface SharedUnleash {
  readonly url: string;
  /** Reads flags. */
  readonly token: string;
  /**
   * Writes flags. A promise for a server that is still starting, to which the flag files are pushed once
   * it resolves; null: flags can only be read.
   */
  readonly adminToken: string | Promise<string> | null;
  readonly environment: string;
  readonly project: string;
}

/** Servers that several processes share; what is null is kept in files of the data folder. */
export interface SharedServers {
  readonly postgres: SharedPostgres | null;
  readonly unleash: SharedUnleash | null;
}

/** The configured ones. Throws `CONFIG_INVALID` for an Unleash without a token to read flags with. */
export function configuredServers(config: Config): SharedServers {
  const { postgresUrl, unleashUrl, unleashToken, unleashAdminToken } = config;
  if (unleashUrl !== null && unleashToken === null) {
    throw new CodedError(
      "CONFIG_INVALID",
      "CHANGEOVER_UNLEASH_URL needs CHANGEOVER_UNLEASH_TOKEN, a backend token that reads the flags.",
      { status: 400 },
    );
  }
  return {
    postgres: postgresUrl === null ? null : { url: postgresUrl, starting: null },
    unleash:
      unleashUrl === null || unleashToken === null
        ? null
        : {
            url: unleashUrl,
            token: unleashToken,
            adminToken: unleashAdminToken,
            environment: config.unleashEnvironment,
            project: config.unleashProject,
          },
  };
}

/** This instance's name: the configured one, or one that no other process has. */
export function instanceName({ instance }: Pick<Config, "instance">): string {
  if (instance !== null) return instance;
  const host = hostname()
    .replace(/[^\x21-\x7e]/g, "-")
    .slice(0, 50);
  return `${host}-${process.pid}-${randomBytes(2).toString("hex")}`;
}
