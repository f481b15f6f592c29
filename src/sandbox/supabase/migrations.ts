import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  appliedVersions,
  listHistory,
  recordVersion,
  type SqliteConnection,
  splitSqlStatements,
} from "@supabase/lite";
import { CodedError } from "../../base/errors.ts";

const MIGRATION_FILE = /^(\d{14})_([a-z0-9_]+)\.sql$/;

/**
 * Applies the files of `folder` (`<14 digits>_<name>.sql`, the naming of the Supabase CLI) that the
 * database has not seen, oldest first, each together with its record in one transaction. Returns the
 * versions applied now. Rejects with `SANDBOX_MIGRATION_FAILED`, naming the file.
 */
export async function applyMigrations(
  connection: SqliteConnection,
  folder: string,
): Promise<string[]> {
  const applied = new Set(await appliedVersions(connection));
  const now: string[] = [];
  for (const file of (await readdir(folder)).sort()) {
    const [, version, name] = MIGRATION_FILE.exec(file) ?? [];
    if (version === undefined || name === undefined || applied.has(version)) continue;
    await applyOne(connection, { version, name, sql: await readFile(join(folder, file), "utf8") });
    now.push(version);
  }
  return now;
}

/**
 * Tells the connection the types and the row-level security of all recorded migrations: SQLite itself
 * remembers neither, and without them every request is refused.
 */
export async function loadSchema(connection: SqliteConnection): Promise<void> {
  const history = await listHistory(connection);
  const recorded = history
    .sort((a, b) => a.version.localeCompare(b.version))
    .flatMap((row) => row.statements);
  const schema = [connection.config.baseSchema ?? "", ...recorded].join("\n\n");
  const translated = await connection.translateDdl(schema);
  const { enums, rls, schema: tables, vars } = translated;
  if (enums === undefined || rls === undefined || tables === undefined || vars === undefined) {
    throw new CodedError(
      "SANDBOX_MIGRATION_FAILED",
      "The recorded migrations cannot be read back.",
    );
  }
  connection.updateDeparseInfo({ ...translated, enums, rls, schema: tables, vars });
}

async function applyOne(
  connection: SqliteConnection,
  migration: { version: string; name: string; sql: string },
): Promise<void> {
  const { version, name, sql } = migration;
  try {
    const { ddl } = await connection.translateDdl(sql, { strict: true });
    await connection.exec("BEGIN");
    try {
      for (const statement of splitSqlStatements(ddl)) await connection.exec(statement);
      await recordVersion(connection, { version, name, statements: [sql] });
      await connection.exec("COMMIT");
    } catch (error) {
      await connection.exec("ROLLBACK");
      throw error;
    }
  } catch (cause) {
    throw new CodedError(
      "SANDBOX_MIGRATION_FAILED",
      `The migration ${version}_${name}.sql cannot be applied: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}
