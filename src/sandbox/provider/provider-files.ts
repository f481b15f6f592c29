import { createReadStream, type ReadStream } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A file that a stand-in keeps. */
export interface ProviderFile {
  readonly id: string;
  readonly fileName: string;
  readonly purpose: string;
  readonly mimeType: string;
  /** Counted while it arrived. */
  readonly bytes: number;
  /** Of what arrived, in hexadecimal. */
  readonly sha256: string;
  /** Unix time in seconds, as both providers show it. */
  readonly createdAt: number;
}

const FILE_ID = /^[a-z0-9-]{1,64}$/;

/** The stand-in's files: contents and one JSON record each on disk, the records also in memory. */
export class ProviderFiles {
  readonly #folder: string;
  readonly #files: Map<string, ProviderFile>;

  private constructor(folder: string, files: Map<string, ProviderFile>) {
    this.#folder = folder;
    this.#files = files;
  }

  /** Reads the records below `folder` (created when missing) and removes what a crash left half done. */
  static async open(folder: string): Promise<ProviderFiles> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const names = new Set(await readdir(folder));
    const records: ProviderFile[] = [];
    for (const name of names) {
      const id = name.replace(/\.(json|bin)$/, "");
      const isWhole = names.has(`${id}.json`) && names.has(`${id}.bin`);
      if (!isWhole) await rm(join(folder, name), { force: true });
      else if (name.endsWith(".json")) {
        const record = recordIn(await readFile(join(folder, name), "utf8"));
        if (record !== null) records.push(record);
        else {
          await rm(join(folder, name), { force: true });
          await rm(join(folder, `${id}.bin`), { force: true });
        }
      }
    }
    records.sort((a, b) => a.createdAt - b.createdAt);
    return new ProviderFiles(folder, new Map(records.map((file) => [file.id, file])));
  }

  /** A path for bytes that are just arriving; `add` moves them to their place. */
  arrivalPath(id: string): string {
    return `${this.#pathOf(id)}.part`;
  }

  /** Keeps a file whose bytes are at its arrival path. */
  async add(file: ProviderFile): Promise<void> {
    await rename(this.arrivalPath(file.id), `${this.#pathOf(file.id)}.bin`);
    const record = `${this.#pathOf(file.id)}.json`;
    // Beside it and renamed: a process that is killed in the middle leaves no half record.
    await writeFile(`${record}.part`, JSON.stringify(file), { mode: 0o600 });
    await rename(`${record}.part`, record);
    this.#files.set(file.id, file);
  }

  /** Removes what arrived under `id` and was not kept. */
  async discard(id: string): Promise<void> {
    await rm(this.arrivalPath(id), { force: true });
  }

  /** False when there is no such file. */
  async remove(id: string): Promise<boolean> {
    if (!this.#files.delete(id)) return false;
    await rm(`${this.#pathOf(id)}.json`, { force: true });
    await rm(`${this.#pathOf(id)}.bin`, { force: true });
    return true;
  }

  find(id: string): ProviderFile | undefined {
    return this.#files.get(id);
  }

  /** All files, the oldest first. */
  all(): ProviderFile[] {
    return [...this.#files.values()];
  }

  /** The first bytes of a file as text, `maxBytes` at most. */
  async text(id: string, maxBytes: number): Promise<string> {
    const chunks: Buffer[] = [];
    const end = maxBytes - 1;
    for await (const chunk of createReadStream(`${this.#pathOf(id)}.bin`, { end }))
      chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
  }

  read(id: string): ReadStream {
    return createReadStream(`${this.#pathOf(id)}.bin`);
  }

  #pathOf(id: string): string {
    if (!FILE_ID.test(id)) throw new TypeError("A file's id has letters, digits and dashes only.");
    return join(this.#folder, id);
  }
}

/** Null for a record that is cut off: its upload was never answered. */
function recordIn(text: string): ProviderFile | null {
  try {
    return JSON.parse(text) as ProviderFile;
  } catch {
    return null;
  }
}
