import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { CodedError, codeOf } from "../../base/errors.ts";
import { missing, notAFile, unreadable } from "../../files/errors.ts";

/**
 * Throws before a long piece of work what reading a file that was named would throw in it: `FILES_MISSING`,
 * `FILES_NOT_A_FILE` or `FILES_UNREADABLE`.
 */
export async function requireReadable(file: string): Promise<void> {
  const found = await stat(file).catch((error: unknown): never => {
    const code = codeOf(error);
    throw code === "ENOENT" || code === "ENOTDIR" ? missing(file, error) : unreadable(file, error);
  });
  if (found.isDirectory()) throw notAFile(file, "a folder");
  await access(file, constants.R_OK).catch((error: unknown): never => {
    throw unreadable(file, error);
  });
}

/** Throws `CLI_CANNOT_WRITE` before a long piece of work whose result could not be written to `file`. */
export async function requireWritable(file: string): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found?.isDirectory() === true) throw cannotWrite(file, "it is a folder");
  await access(found === null ? dirname(file) : file, constants.W_OK).catch(
    (error: unknown): never => {
      throw cannotWrite(file, codeOf(error) ?? "not allowed", error);
    },
  );
}

/** `CLI_CANNOT_WRITE`, with the reason. */
function cannotWrite(file: string, why: string, cause?: unknown): CodedError {
  return new CodedError(
    "CLI_CANNOT_WRITE",
    `${JSON.stringify(file)} cannot be written (${why}). Name another file.`,
    { status: 400, cause },
  );
}
