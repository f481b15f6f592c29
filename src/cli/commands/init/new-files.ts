import { chmod, lstat, mkdir, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { FirstFile } from "../../../app/init/first-files.ts";
import { CodedError, codeOf, toError } from "../../../base/errors.ts";

/** Files of a project are read by others than who wrote them: by a build, by a service. */
const fileMode = 0o644;
const folderMode = 0o755;

/**
 * Writes all files below `folder`, which is made where missing, or none: rejects with `CLI_FILE_EXISTS`
 * when one is there already, and with `CLI_CANNOT_WRITE` when one cannot be written, and has then removed
 * the others again.
 */
export async function writeNewFiles(folder: string, files: readonly FirstFile[]): Promise<void> {
  const paths = files.map(({ path }) => join(folder, path));
  const there = await Promise.all(paths.map(isThere)).catch((error: unknown) => {
    throw cannotWrite(folder, error);
  });
  const taken = files.filter((_file, index) => there[index]).map(({ path }) => path);
  if (taken.length > 0) throw exists(folder, taken);
  const written: string[] = [];
  const made: string[] = [];
  try {
    for (const [index, path] of paths.entries()) {
      await makeFolder(dirname(path), made);
      await writeFile(path, files[index]?.text ?? "", { flag: "wx" });
      written.push(path);
      await chmod(path, fileMode);
    }
  } catch (error) {
    await Promise.all(written.map((path) => rm(path, { force: true })));
    // Only what is empty: somebody may have put something there meanwhile.
    for (const each of made.toReversed()) await rmdir(each).catch(() => undefined);
    throw cannotWrite(folder, error);
  }
}

async function makeFolder(folder: string, made: string[]): Promise<void> {
  if (await isThere(folder)) return;
  await makeFolder(dirname(folder), made);
  await mkdir(folder);
  made.push(folder);
  await chmod(folder, folderMode);
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

function exists(folder: string, taken: readonly string[]): CodedError {
  return new CodedError(
    "CLI_FILE_EXISTS",
    `${taken.join(", ")} in ${folder} is there already, and nothing was written. Name another folder, --migration or --operation.`,
    { status: 409 },
  );
}

function cannotWrite(folder: string, cause: unknown): CodedError {
  const reason = codeOf(cause) ?? toError(cause).message;
  return new CodedError(
    "CLI_CANNOT_WRITE",
    `The files cannot be written in ${folder} (${reason}), and none was. Check the folder, its rights and the space.`,
    { status: 400, cause },
  );
}
