import { CodedError } from "../../base/errors.ts";
import { FlagsAsCode } from "../../flags/as-code/flags-as-code.ts";
import type { Config } from "../config.ts";

export type { FlagDifference, PlannedCall } from "../../flags/as-code/flag-plan.ts";

/** The flag files of this configuration and its Unleash. Throws `CONFIG_INVALID` without one. */
export function flagsAsCode(config: Config): FlagsAsCode {
  const { flagsDir, unleashUrl, unleashAdminToken, unleashProject, unleashEnvironment } = config;
  if (unleashUrl === null || unleashAdminToken === null) {
    throw new CodedError(
      "CONFIG_INVALID",
      "Set CHANGEOVER_UNLEASH_URL and CHANGEOVER_UNLEASH_ADMIN_TOKEN: there is no Unleash to compare the flag files with.",
      { status: 400 },
    );
  }
  return new FlagsAsCode({
    folder: flagsDir,
    url: unleashUrl,
    token: unleashAdminToken,
    project: unleashProject,
    environment: unleashEnvironment,
  });
}
