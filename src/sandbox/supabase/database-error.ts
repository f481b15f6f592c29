/** An error in the form that the embedded service turns into PostgREST's. */
export type PostgresError = Error & { readonly code: string; readonly detail: string };

/** SQLite's extended result codes for broken constraints, and Postgres' codes for the same. */
const POSTGRES_CODE: Readonly<Record<number, string>> = {
  275: "23514", // SQLITE_CONSTRAINT_CHECK
  787: "23503", // SQLITE_CONSTRAINT_FOREIGNKEY
  1299: "23502", // SQLITE_CONSTRAINT_NOTNULL
  1555: "23505", // SQLITE_CONSTRAINT_PRIMARYKEY
  2067: "23505", // SQLITE_CONSTRAINT_UNIQUE
};

/**
 * What Postgres would have said to a constraint that SQLite saw broken; undefined for other errors.
 * The embedded service itself knows only the error names of another SQLite binding.
 */
export function postgresErrorOf(thrown: unknown): PostgresError | undefined {
  const error = causeOf(thrown);
  const code = POSTGRES_CODE[Number((error as { errcode?: unknown } | null)?.errcode)];
  if (code === undefined || !(error instanceof Error)) return undefined;
  const { message, detail } = inPostgresWords(code, error.message);
  return Object.assign(new Error(message, { cause: error }), { code, detail });
}

function causeOf(thrown: unknown): unknown {
  return thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
}

function inPostgresWords(code: string, sqlite: string): { message: string; detail: string } {
  const named = sqlite.slice(sqlite.indexOf(": ") + 2).split(", ");
  const columns = named.map((name) => name.slice(name.lastIndexOf(".") + 1));
  const [table = ""] = named[0]?.split(".") ?? [];
  if (code === "23505") {
    return {
      message: `duplicate key value violates unique constraint "${[table, ...columns, "key"].join("_")}"`,
      detail: `Key (${columns.join(", ")}) already exists.`,
    };
  }
  if (code === "23502") {
    const message = `null value in column "${columns[0]}" of relation "${table}" violates not-null constraint`;
    return { message, detail: sqlite };
  }
  return { message: sqlite, detail: sqlite };
}
