import { writeFile } from "node:fs/promises";
import { CodedError, codeOf } from "../../base/errors.ts";

/** Writes a file that must not exist yet. Rejects with `CLI_FILE_EXISTS`, and then changes nothing. */
export async function writeNewFile(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: "wx" });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    throw new CodedError("CLI_FILE_EXISTS", `${file} exists already. Name another file.`, {
      status: 409,
    });
  }
}
