import { access, chmod, constants, mkdir, stat } from "node:fs/promises";
import { CodedError, codeOf } from "../../base/errors.ts";

/**
 * Makes sure that the data folder exists, is a folder, and can be written. A new one gets mode 0700.
 * Throws `CLI_DATA_FOLDER` with what is wrong and what to do.
 */
export async function openDataFolder(path: string): Promise<void> {
  try {
    const made = await mkdir(path, { recursive: true, mode: 0o700 });
    if (made !== undefined) await chmod(path, 0o700);
    const stats = await stat(path);
    if (!stats.isDirectory()) throw problem(path, "is not a folder");
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    if (codeOf(cause) === "CLI_DATA_FOLDER") throw cause;
    const exists = codeOf(cause) === "EEXIST" || codeOf(cause) === "ENOTDIR";
    const why = exists
      ? "is not a folder, or lies below a file"
      : `cannot be used (${codeOf(cause) ?? "unknown error"})`;
    throw problem(path, why, cause);
  }
}

/** Can other users of the machine look into the folder? Always false where modes mean nothing. */
export async function isOpenToOthers(path: string): Promise<boolean> {
  if (process.platform === "win32") return false;
  return ((await stat(path)).mode & 0o077) !== 0;
}

function problem(path: string, why: string, cause?: unknown): CodedError {
  return new CodedError(
    "CLI_DATA_FOLDER",
    `The data folder ${path} ${why}. Name another one with --data-dir or CHANGEOVER_DATA_DIR, or give this user the right to read and write it.`,
    { status: 400, cause },
  );
}
