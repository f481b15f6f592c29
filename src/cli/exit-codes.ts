import { codeOf, isCodedError } from "../base/errors.ts";

/** The name of an exit code. */
export type ExitName =
  | "done"
  | "failed"
  | "usage"
  | "refused"
  | "notFound"
  | "unavailable"
  | "partly"
  | "busy"
  | "interrupted"
  | "terminated";

/** What each exit code of the command line means; printed by `changeover --help`. */
export const exitCodes: Readonly<Record<ExitName, { code: number; meaning: string }>> = {
  done: { code: 0, meaning: "done" },
  failed: { code: 1, meaning: "failed" },
  usage: { code: 2, meaning: "wrong usage or bad input" },
  refused: { code: 3, meaning: "refused by the guard, or held by a rollback" },
  notFound: { code: 4, meaning: "nothing found" },
  unavailable: { code: 5, meaning: "a backend, provider or gateway is not available" },
  partly: { code: 6, meaning: "partly done: some files failed" },
  busy: { code: 7, meaning: "in use, busy or full: the same command may work later" },
  interrupted: { code: 130, meaning: "interrupted (Ctrl-C)" },
  terminated: { code: 143, meaning: "terminated (SIGTERM)" },
};

/** Error codes that say more than their status does; first table that is asked. */
const byErrorCode: Readonly<Record<string, ExitName>> = {
  BASE_LOCKED: "busy",
  CLI_ALREADY_RUNNING: "busy",
  CLI_BACKEND_DIED: "unavailable",
  CLI_DEMO_START: "unavailable",
  CLI_DEMO_TRAFFIC: "unavailable",
  CLI_DRILL_CALL: "unavailable",
  CLI_DRILL_REFUSED: "refused",
  CLI_GATEWAY_UNREACHABLE: "unavailable",
  CLI_INTERRUPTED: "interrupted",
  CLI_NOT_RUNNING: "notFound",
  CLI_STARTING: "busy",
  CLI_TERMINATED: "terminated",
  CONFIG_INVALID: "usage",
  FILES_BUSY: "busy",
  FILES_DIGEST_MISMATCH: "failed",
  FILES_INTEGRITY: "failed",
  FILES_PROVIDER_QUOTA: "unavailable",
  FILES_PROVIDER_UNAUTHORISED: "failed",
  FILES_SOURCE_CHANGED: "failed",
  FILES_SPOOL_FULL: "busy",
  FILES_UNREADABLE: "usage",
  FLAGS_HELD: "refused",
  FLAGS_OFF: "refused",
  FLAGS_UNLEASH_CHANGE_REQUEST: "refused",
  FLAGS_UNLEASH_FORBIDDEN: "failed",
  FLAGS_UNLEASH_REJECTED: "failed",
  FLAGS_UNLEASH_UNAUTHORISED: "failed",
  FLAGS_UNKNOWN: "usage",
  GATEWAY_LISTEN_FAILED: "usage",
  GATEWAY_PORT_BUSY: "busy",
  MIGRATION_OVERLOADED: "busy",
  MIGRATION_UNKNOWN_OPERATION: "usage",
  SANDBOX_FOLDER_IN_USE: "busy",
  SANDBOX_PORT_UNAVAILABLE: "busy",
  SANDBOX_START_FAILED: "unavailable",
};

/** For every other coded error: by the HTTP status it would be answered with. */
const byStatus: readonly (readonly [status: number, exit: ExitName])[] = [
  [404, "notFound"],
  [409, "failed"],
  [423, "refused"],
  [429, "busy"],
  [502, "unavailable"],
  [503, "unavailable"],
  [504, "unavailable"],
  [507, "busy"],
];

/** Why a command that threw `error` failed, as the name of an exit code. */
export function exitOf(error: unknown): ExitName {
  const known = byErrorCode[codeOf(error) ?? ""];
  if (known !== undefined) return known;
  if (!isCodedError(error)) return "failed";
  const row = byStatus.find(([status]) => status === error.status);
  if (row !== undefined) return row[1];
  return error.status >= 400 && error.status < 500 ? "usage" : "failed";
}

/** The exit code of work on several things, of which some may have failed. */
export function exitOfMany(done: number, failures: readonly unknown[]): ExitName {
  if (failures.length === 0) return "done";
  if (done > 0) return "partly";
  const exits = new Set(failures.map(exitOf));
  const [only] = exits;
  return exits.size === 1 && only !== undefined ? only : "failed";
}
