import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { CodedError } from "../base/errors.ts";

/** A new secret with `prefix` before 32 random bytes in base64url. */
export function newKey(prefix: string): string {
  return `${prefix}${randomBytes(32).toString("base64url")}`;
}

/**
 * The keys kept in `file` (JSON, mode 0600): made by `make` the first time and the same ever after.
 * Throws `SANDBOX_KEY_FILE_BROKEN` when the file is there but lacks one of the keys.
 */
export function keysOf<Name extends string>(
  file: string,
  make: Readonly<Record<Name, () => string>>,
): Readonly<Record<Name, string>> {
  const names = Object.keys(make) as Name[];
  if (existsSync(file)) {
    chmodSync(file, 0o600);
    return readKeys(file, names);
  }
  const keys = Object.fromEntries(names.map((name) => [name, make[name]()]));
  // First beside it, then renamed: a crash leaves no half-written file behind.
  writeFileSync(`${file}.new`, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return keys as Record<Name, string>;
}

function readKeys<Name extends string>(file: string, names: readonly Name[]): Record<Name, string> {
  try {
    const keys: Partial<Record<Name, unknown>> = JSON.parse(readFileSync(file, "utf8"));
    const missing = names.filter((name) => typeof keys[name] !== "string" || keys[name] === "");
    if (missing.length === 0) return keys as Record<Name, string>;
    throw new TypeError(`missing: ${missing.join(", ")}`);
  } catch (cause) {
    throw new CodedError(
      "SANDBOX_KEY_FILE_BROKEN",
      `The key file ${file} cannot be used. Remove it to have new keys made.`,
      { cause },
    );
  }
}
