import { randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { CodedError, codeOf } from "../base/errors.ts";
import { ownerPattern } from "../files/file-manager.ts";

/** Name of the file in the data folder that holds the operator token. */
export const operatorTokenFile = "operator-token";

/**
 * The token of the control API: the configured one, else the one in the data folder, which is made up on
 * first use and readable by its owner only.
 */
export async function readOperatorToken(
  dataDir: string,
  configured: string | null,
): Promise<string> {
  if (configured !== null) return configured;
  const path = join(dataDir, operatorTokenFile);
  const token = randomBytes(24).toString("base64url");
  try {
    const file = await open(path, "wx", 0o600);
    await file.writeFile(`${token}\n`).finally(() => file.close());
    return token;
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    const kept = (await readFile(path, "utf8")).trim();
    if (kept.length >= 16) return kept;
    throw new CodedError(
      "CONFIG_INVALID_TOKEN_FILE",
      `${path} holds no operator token of at least 16 characters. Remove it, and a new one is made.`,
      { cause: error },
    );
  }
}

const keyMap: v.GenericSchema<unknown, Record<string, string>> = v.record(
  v.pipe(v.string(), v.minLength(8, "a key has at least 8 characters")),
  v.pipe(v.string(), v.regex(ownerPattern, "an owner is 1 to 100 letters, digits or ._@-")),
);

/** Bearer keys and their owners, or null without a file. Throws `CONFIG_INVALID_KEYS_FILE`. */
export async function readOwners(
  keysFile: string | null,
): Promise<ReadonlyMap<string, string> | null> {
  if (keysFile === null) return null;
  try {
    const owners = v.parse(keyMap, JSON.parse(await readFile(keysFile, "utf8")));
    return new Map(Object.entries(owners));
  } catch (error) {
    // Neither a key nor its place in the file may end up in a log.
    const why =
      error instanceof v.ValiError ? error.issues[0].message : (codeOf(error) ?? "not JSON");
    throw new CodedError(
      "CONFIG_INVALID_KEYS_FILE",
      `${keysFile} is not a JSON object of bearer keys and owners: ${why}.`,
      { status: 400 },
    );
  }
}

/** Addresses of servers and the keys to them, null where one is not set. */
export interface ServerAccess {
  readonly supabaseUrl: string | null;
  readonly supabaseKey: string | null;
  readonly kimiUrl: string | null;
  readonly kimiKey: string | null;
  readonly glmUrl: string | null;
  readonly glmKey: string | null;
}

/**
 * What is wrong with settings that mean nothing without each other, one sentence each. A provider's key
 * alone is left in peace: many machines have one in their environment for other programs.
 */
export function accessProblems(access: ServerAccess): string[] {
  const { supabaseUrl, supabaseKey, kimiUrl, kimiKey, glmUrl, glmKey } = access;
  const pairs = [
    ["SUPABASE_URL", supabaseUrl, "SUPABASE_SECRET_KEY", supabaseKey],
    ["KIMI_BASE_URL", kimiUrl, "KIMI_API_KEY", kimiUrl === null ? null : kimiKey],
    ["GLM_BASE_URL", glmUrl, "GLM_API_KEY", glmUrl === null ? null : glmKey],
  ] as const;
  return pairs
    .filter(([, address, , key]) => (address === null) !== (key === null))
    .map(([address, , key]) => `${address} and ${key} go together: set both or neither`);
}
