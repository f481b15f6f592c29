import type { Dirent, Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { CodedError, codeOf } from "../../base/errors.ts";
import { missing, notAFile, unreadable } from "../../files/errors.ts";

/** One thing to upload, or why it cannot be. */
export type UploadInput =
  | {
      readonly kind: "file";
      /** What was typed, or found in a folder. */
      readonly input: string;
      readonly path: string;
      readonly name: string;
      readonly sizeBytes: number;
    }
  | {
      readonly kind: "stdin";
      readonly input: "-";
      readonly name: string;
      readonly sizeBytes: null;
    }
  | { readonly kind: "refused"; readonly input: string; readonly error: unknown };

/** How inputs are read. */
export interface ExpandOptions {
  readonly name?: string;
  readonly recursive?: boolean;
}

/** The most files that one command takes from folders. */
const FILES_MAX = 100_000;

/**
 * What was typed as files to upload. Folders give all their files with `recursive` and are refused
 * with a hint without it. Never rejects: what cannot be read is one of the answers.
 */
export async function expandInputs(
  words: readonly string[],
  options: ExpandOptions,
): Promise<UploadInput[]> {
  const inputs: UploadInput[] = [];
  for (const word of words) {
    if (word === "-") {
      inputs.push({ kind: "stdin", input: "-", name: options.name ?? "-", sizeBytes: null });
      continue;
    }
    inputs.push(...(await expandPath(word, options)));
  }
  return inputs;
}

async function expandPath(word: string, options: ExpandOptions): Promise<UploadInput[]> {
  try {
    const stats = await statOf(word);
    if (!stats.isDirectory()) return [inputOf(word, stats, options.name)];
    if (options.recursive !== true) throw isFolder(word);
    return await expandFolder(word);
  } catch (error) {
    return [{ kind: "refused", input: word, error }];
  }
}

async function expandFolder(folder: string): Promise<UploadInput[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter(isOrdinary).map((entry) => join(entry.parentPath, entry.name));
  if (paths.length === 0) throw emptyFolder(folder);
  if (paths.length > FILES_MAX) throw tooMany(folder, paths.length);
  const inputs: UploadInput[] = [];
  for (const path of paths.sort()) {
    try {
      inputs.push(inputOf(path, await statOf(path)));
    } catch (error) {
      inputs.push({ kind: "refused", input: path, error });
    }
  }
  return inputs;
}

/** Links are not followed below a folder: they may lead out of it, or in a circle. */
function isOrdinary(entry: Dirent): boolean {
  return entry.isFile();
}

function inputOf(path: string, stats: Stats, name?: string): UploadInput {
  return {
    kind: "file",
    input: path,
    path,
    name: name ?? basename(resolve(path)),
    sizeBytes: stats.size,
  };
}

async function statOf(path: string): Promise<Stats> {
  if (path.includes("\0") || path === "") throw missing(path);
  try {
    return await stat(path);
  } catch (error) {
    const code = codeOf(error);
    throw code === "ENOENT" || code === "ENOTDIR" ? missing(path, error) : unreadable(path, error);
  }
}

function isFolder(path: string): CodedError {
  const { message, status } = notAFile(path, "a folder");
  const hint = "For all files below it: upload --recursive.";
  return new CodedError("FILES_NOT_A_FILE", `${message} ${hint}`, { status });
}

function emptyFolder(path: string): CodedError {
  return new CodedError("CLI_FOLDER_EMPTY", `There are no files below ${JSON.stringify(path)}.`, {
    status: 400,
  });
}

function tooMany(path: string, count: number): CodedError {
  return new CodedError(
    "CLI_TOO_MANY_FILES",
    `There are ${count} files below ${JSON.stringify(path)}; one command takes at most ${FILES_MAX}. Upload its folders one at a time.`,
    { status: 400, details: { count, limit: FILES_MAX } },
  );
}
