import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder, readIfThere, replaceFile, withFileLock } from "../base/atomic-file.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";

/** Where mismatches are kept. */
export interface FileMismatchStoreOptions {
  /** The data folder; cases are in its folder `mismatches`. Created when the first one is written. */
  readonly folder: string;
  readonly clock: Clock;
  /** Where problems are reported that no caller waits for. */
  readonly report: (part: string, error: unknown) => void;
  /** Bytes of one case at most; default 65,536. */
  readonly caseBytesMax?: number;
  /** Cases in the folder at most, whoever wrote them; beyond it the oldest file goes. Default 200. */
  readonly casesMax?: number;
}

const caseName = /^([0-9a-f]{12})\.json$/;
const unfinished = /^[0-9a-f]{12}\.json\..*\.tmp$/;

/**
 * One JSON file for each case, replaced as a whole and under a lock: processes on one machine may share
 * the folder. Never more than `casesMax` times `caseBytesMax` bytes.
 */
export class FileMismatchStore {
  readonly #options: Required<FileMismatchStoreOptions>;
  readonly #folder: string;

  constructor(options: FileMismatchStoreOptions) {
    this.#options = { caseBytesMax: 65_536, casesMax: 200, ...options };
    this.#folder = join(options.folder, "mismatches");
  }

  /** Every case that can be read; a file that cannot is reported and left where it is. */
  async load(): Promise<readonly unknown[]> {
    const cases: unknown[] = [];
    for (const name of await this.#names()) {
      if (!caseName.test(name)) continue;
      try {
        const text = await this.#read(name);
        if (text !== null) cases.push(JSON.parse(text));
      } catch (error) {
        this.#options.report("mismatches", error);
      }
    }
    return cases;
  }

  /**
   * Writes what `change` makes of what is kept under `id`, or of undefined. Throws `DISK_CASE_TOO_LARGE`
   * and `BASE_LOCKED`; what was kept stays then.
   */
  async update(id: string, change: (kept: unknown) => object): Promise<void> {
    const path = this.#pathOf(id);
    await makeFolder(this.#folder);
    await this.#alone(async () => {
      const text = await this.#read(`${id}.json`).catch(() => null);
      const changed = `${JSON.stringify(change(parsed(text)), null, 2)}\n`;
      const { caseBytesMax } = this.#options;
      const bytes = Buffer.byteLength(changed);
      if (bytes > caseBytesMax) {
        throw new CodedError(
          "DISK_CASE_TOO_LARGE",
          `The mismatch ${id} has ${bytes} bytes; the limit is ${caseBytesMax}. It is kept in memory only: record less of the input.`,
          { details: { bytes, caseBytesMax } },
        );
      }
      await replaceFile(path, changed);
      await this.#makeRoom();
    });
  }

  async remove(id: string): Promise<void> {
    await rm(this.#pathOf(id), { force: true });
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    return withFileLock(this.#folder, this.#options.clock, work);
  }

  /** Called under the lock: what lies about unfinished then was left by a crash. */
  async #makeRoom(): Promise<void> {
    const names = await this.#names();
    for (const name of names.filter((each) => unfinished.test(each))) {
      await rm(join(this.#folder, name), { force: true });
    }
    const cases = names.filter((name) => caseName.test(name));
    if (cases.length <= this.#options.casesMax) return;
    const ages = await Promise.all(
      cases.map(async (name) => {
        const mtimeMs = await stat(join(this.#folder, name)).then(
          (state) => state.mtimeMs,
          () => 0,
        );
        return { name, mtimeMs };
      }),
    );
    ages.sort((a, b) => a.mtimeMs - b.mtimeMs);
    for (const { name } of ages.slice(0, cases.length - this.#options.casesMax)) {
      await rm(join(this.#folder, name), { force: true });
    }
  }

  async #names(): Promise<readonly string[]> {
    return readdir(this.#folder).catch(() => []);
  }

  /** The text of a case; null when there is none, or when it is too long to be one of ours. */
  async #read(name: string): Promise<string | null> {
    const path = join(this.#folder, name);
    const size = await stat(path).then(
      (state) => state.size,
      () => 0,
    );
    return size > this.#options.caseBytesMax ? null : readIfThere(path);
  }

  #pathOf(id: string): string {
    if (!caseName.test(`${id}.json`)) throw new TypeError("A case's id is twelve hex digits.");
    return join(this.#folder, `${id}.json`);
  }
}

function parsed(text: string | null): unknown {
  try {
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
