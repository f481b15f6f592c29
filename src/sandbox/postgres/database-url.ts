/** The role that owns everything in the embedded server. */
export const POSTGRES_ROLE = "changeover";
/** The product's own database: journal, lease, latches. */
export const CHANGEOVER_DATABASE = "changeover";
/** Unleash's database. */
export const UNLEASH_DATABASE = "unleash";

/** The address of a database of the embedded server, with the role and its password. */
export function databaseUrl(port: number, password: string, database: string): string {
  return `postgres://${POSTGRES_ROLE}:${password}@127.0.0.1:${port}/${database}?sslmode=disable`;
}
