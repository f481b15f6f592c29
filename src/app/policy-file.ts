import { readFile } from "node:fs/promises";
import { CodedError, codeOf } from "../base/errors.ts";
import type { PolicyInput } from "../changeover.ts";
import { parsePolicy } from "../changeover.ts";

/** The guard's policy from a JSON file; no file means the built-in one. Throws `GUARD_INVALID_POLICY`. */
export async function readGuardPolicy(path: string | null): Promise<PolicyInput> {
  if (path === null) return {};
  try {
    return parsePolicy(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    if (codeOf(error) === "GUARD_INVALID_POLICY") throw error;
    throw new CodedError(
      "GUARD_INVALID_POLICY",
      `${path} cannot be read as a guard policy (${codeOf(error) ?? "it is not JSON"}).`,
      { status: 400, cause: error },
    );
  }
}
