import type * as Pg from "pg";
import { CodedError, codeOf, isCodedError } from "../base/errors.ts";

/**
 * Loads the Postgres client, which a plain install of this package does not bring. Rejects with
 * `POSTGRES_PACKAGE_MISSING`.
 */
export async function loadPg(): Promise<typeof Pg> {
  try {
    return await import("pg");
  } catch (error) {
    if (codeOf(error) !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new CodedError(
      "POSTGRES_PACKAGE_MISSING",
      'The package "pg" is not installed. Run: npm install pg',
      { cause: error },
    );
  }
}

type Kind = "unavailable" | "refused" | "not-migrated" | "forbidden" | "failed";

/** Classes and codes of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const states: readonly (readonly [RegExp, Kind])[] = [
  // Broken connections, too many of them, a server that stops or starts, a statement or a lock that
  // took too long, a conflict with another transaction.
  [/^(08|53|57|58|40)/, "unavailable"],
  [/^55P03$/, "unavailable"],
  [/^25006$/, "unavailable"],
  [/^(28...|3D000)$/, "refused"],
  [/^(3F000|42P01|42703|42704|22023)$/, "not-migrated"],
  [/^42501$/, "forbidden"],
];

const sqlState = /^[0-9A-Z]{5}$/;

function kindOf(error: unknown): Kind {
  const code = codeOf(error);
  // What has no SQLSTATE did not come from the server: sockets, name look-ups, time limits.
  if (code === undefined || !sqlState.test(code)) return "unavailable";
  return states.find(([pattern]) => pattern.test(code))?.[1] ?? "failed";
}

/** `host:port/database` of a Postgres address: what may be shown of it. */
export function shownAddress(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname || "localhost"}:${port || "5432"}${pathname}`;
}

/** Throws `CONFIG_INVALID` for what is no Postgres address. The value is not shown: it holds a password. */
export function checkAddress(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed !== null && /^postgres(ql)?:$/.test(parsed.protocol)) return url;
  throw new CodedError(
    "CONFIG_INVALID",
    "The address of Postgres is not accepted: use one like postgres://user:password@host:5432/database, with special characters of the password percent-encoded.",
    { status: 400 },
  );
}

/** What went wrong: an instance's daily work, or the making of the tables, which a person asks for. */
type Work = "running" | "migrating";

const advice: Readonly<Record<Work, Readonly<Record<"unavailable" | "forbidden", string>>>> = {
  running: {
    unavailable: "It is tried again by itself.",
    forbidden:
      "The login must be a member of the role changeover_app: GRANT changeover_app TO <login>.",
  },
  migrating: {
    unavailable: "Check that it runs and can be reached from here, and do it again.",
    forbidden:
      "Use the login that owns the database and may create roles (CREATEROLE); or, where another login made the role changeover_app, let that one GRANT changeover_app TO <login> first.",
  },
};

/**
 * What a failed query or connection means, as a coded error that names the server and never a password.
 * A coded error is returned as it is.
 */
export function postgresFailure(error: unknown, url: string, work: Work = "running"): CodedError {
  if (isCodedError(error)) return error;
  const at = shownAddress(url);
  const said = messageOf(error);
  const details = { address: at, sqlState: codeOf(error) };
  switch (kindOf(error)) {
    case "unavailable":
      return new CodedError(
        "POSTGRES_UNAVAILABLE",
        `Postgres at ${at} cannot be reached or did not answer in time (${said}). ${advice[work].unavailable}`,
        { status: 503, retryable: true, retryAfterSeconds: 1, cause: error, details },
      );
    case "refused":
      return new CodedError(
        "POSTGRES_REFUSED",
        `Postgres at ${at} refuses the login (${said}). Check user, password and database of its address.`,
        { status: 503, cause: error, details },
      );
    case "not-migrated":
      return new CodedError(
        "POSTGRES_NOT_MIGRATED",
        `Postgres at ${at} lacks tables or roles of the fleet (${said}). Run changeover fleet migrate, or migrateFleet(), as the owner of the database.`,
        { status: 503, cause: error, details },
      );
    case "forbidden":
      return new CodedError(
        "POSTGRES_FORBIDDEN",
        `Postgres at ${at} does not allow it (${said}). ${advice[work].forbidden}`,
        { status: 503, cause: error, details },
      );
    case "failed":
      return new CodedError("POSTGRES_FAILED", `Postgres at ${at} failed (${said}).`, {
        cause: error,
        details,
      });
  }
}

/** At most 200 characters. Several addresses that all failed make an error without a message. */
function messageOf(error: unknown): string {
  const { message = "" } = error as { message?: string };
  return (message || (codeOf(error) ?? "no reason given")).slice(0, 200);
}
