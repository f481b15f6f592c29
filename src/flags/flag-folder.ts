import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { CodedError, codeOf, toError } from "../base/errors.ts";
import type { FlagProblem } from "../migration/flags.ts";
import {
  type FlagFile,
  type MigrationFlag,
  type OperationFlag,
  parseFlagFile,
} from "./flag-file.ts";

/** A flag file is small; anything larger is not one. */
const fileBytesMax = 64 * 1024;
const filesMax = 200;

interface Seen {
  /** Modification time, size and inode: what a look compares before it reads. */
  stamp: string;
  flag: FlagFile | null;
  problem: string | null;
}

/** The flag files of a folder; remembers each file's last good content. */
export class FlagFolder {
  readonly #folder: string;
  readonly #seen = new Map<string, Seen>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  get operations(): OperationFlag[] {
    return this.#flags().filter((flag) => flag.kind === "operation");
  }

  get migrations(): MigrationFlag[] {
    return this.#flags().filter((flag) => flag.kind === "migration");
  }

  get problems(): FlagProblem[] {
    return [...this.#seen]
      .filter(([, seen]) => seen.problem !== null)
      .map(([name, seen]) => ({ subject: name, message: seen.problem ?? "" }));
  }

  /** Throws `FLAGS_FOLDER_UNREADABLE` when there is no such folder. */
  async check(): Promise<void> {
    try {
      await readdir(this.#folder);
    } catch (error) {
      throw new CodedError(
        "FLAGS_FOLDER_UNREADABLE",
        `The flag folder ${this.#folder} cannot be read (${codeOf(error) ?? "unknown error"}). Create it, or name another one.`,
        { cause: error },
      );
    }
  }

  /** Reads what changed since the last look; true when anything did. Rejects when the folder is gone. */
  async look(): Promise<boolean> {
    const names = (await readdir(this.#folder)).filter(isFlagFile).sort().slice(0, filesMax);
    let changed = false;
    for (const name of this.#seen.keys()) {
      if (names.includes(name)) continue;
      this.#seen.delete(name);
      changed = true;
    }
    for (const name of names) changed = (await this.#lookAt(name)) || changed;
    return changed;
  }

  async #lookAt(name: string): Promise<boolean> {
    const path = join(this.#folder, name);
    const before = this.#seen.get(name);
    try {
      const { mtimeMs, size, ino } = await stat(path);
      const stamp = `${mtimeMs}/${size}/${ino}`;
      if (before?.stamp === stamp) return false;
      const flag = size > fileBytesMax ? tooLarge(name, size) : await readFlag(path);
      this.#seen.set(name, { stamp, flag, problem: null });
      return true;
    } catch (error) {
      const problem = toError(error).message;
      const changed = before?.problem !== problem;
      // The last good content stays in force; an empty stamp makes the next look try again.
      this.#seen.set(name, { stamp: "", flag: before?.flag ?? null, problem });
      return changed;
    }
  }

  #flags(): FlagFile[] {
    return [...this.#seen.values()].map((seen) => seen.flag).filter((flag) => flag !== null);
  }
}

const isFlagFile = (name: string): boolean =>
  name.endsWith(".json") && !name.endsWith(".schema.json") && name !== "rollout.json";

async function readFlag(path: string): Promise<FlagFile> {
  const name = basename(path);
  const flag = parseFlagFile(name, await readFile(path, "utf8"));
  if (`${flag.name}.json` === name) return flag;
  throw new CodedError(
    "FLAGS_INVALID_FILE",
    `${name} holds a flag named "${flag.name}": call the file ${flag.name}.json, so that one flag has one file.`,
    { status: 400, details: { fileName: name } },
  );
}

function tooLarge(name: string, size: number): never {
  throw new CodedError(
    "FLAGS_INVALID_FILE",
    `${name} has ${size} bytes; a flag file has at most ${fileBytesMax}.`,
    { status: 400, details: { fileName: name, size, limit: fileBytesMax } },
  );
}
