import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { CodedError, codeOf } from "../../base/errors.ts";

/** Writes a file that must not exist yet. Rejects with `CLI_FILE_EXISTS`, and then changes nothing. */
export async function writeNewFile(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: "wx" });
  } catch (error) {
    throw codeOf(error) === "EEXIST" ? fileExists(file) : error;
  }
}

/** Throws `CLI_FILE_EXISTS` before the work that {@link writeNewFile} would write the result of. */
export function refuseExisting(file: string): void {
  if (existsSync(file)) throw fileExists(file);
}

const fileExists = (file: string): CodedError =>
  new CodedError("CLI_FILE_EXISTS", `${file} exists already. Name another file.`, { status: 409 });
