import { open, readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { fileMode, makeFolder, syncFolder, withFileLock } from "../base/atomic-file.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError, codeOf } from "../base/errors.ts";
import {
  type Journal,
  type JournalEntry,
  type JournalQuery,
  selectEntries,
} from "../migration/journal.ts";

/** Where a journal is kept, and its limits. */
export interface FileJournalOptions {
  /** The data folder; created where missing. */
  readonly folder: string;
  readonly clock: Clock;
  /** Bytes from which on the file is put aside and a new one begun; default 16 MiB. */
  readonly rotateBytes?: number;
  /** Bytes that one reading looks at most, from the newest back; default 16 MiB. */
  readonly readBytesMax?: number;
  /** Bytes that one entry may have; default 256 KiB. */
  readonly entryBytesMax?: number;
}

const current = "journal.ndjson";
const rotated = /^journal-\d{8}T\d{9}Z-\d+\.ndjson$/;
const mib = 1024 * 1024;

const entrySchema = v.object({
  at: v.string(),
  operation: v.string(),
  kind: v.picklist([
    "trip",
    "rollback",
    "rearm",
    "flag",
    "rollout",
    "verdict",
    "fault",
    "start",
    "stop",
  ]),
  actor: v.object({ type: v.picklist(["person", "rule", "system"]), name: v.string() }),
  from: v.nullable(v.string()),
  to: v.nullable(v.string()),
  why: v.string(),
  evidence: v.record(v.string(), v.unknown()),
});

/**
 * History in a file of one JSON object for each line. An entry is one write at the end of the file and is
 * on the disk when `append` resolves; several processes may append. What a crash left of a line is
 * skipped when reading. Files that are full are kept under a dated name and never removed.
 */
export class FileJournal implements Journal {
  readonly #options: Required<FileJournalOptions>;
  #tornLines = 0;

  constructor(options: FileJournalOptions) {
    this.#options = {
      rotateBytes: 16 * mib,
      readBytesMax: 16 * mib,
      entryBytesMax: mib / 4,
      ...options,
    };
  }

  /** Lines that the last reading could not understand. */
  get tornLines(): number {
    return this.#tornLines;
  }

  /** Throws `DISK_JOURNAL_ENTRY_TOO_LARGE`, `DISK_JOURNAL_WRITE`, and what the file system throws. */
  async append(entry: JournalEntry): Promise<void> {
    const { folder, entryBytesMax } = this.#options;
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    if (line.byteLength > entryBytesMax) {
      throw new CodedError(
        "DISK_JOURNAL_ENTRY_TOO_LARGE",
        `A journal entry of ${line.byteLength} bytes is over the limit of ${entryBytesMax}. Keep less evidence.`,
        { details: { bytes: line.byteLength, entryBytesMax } },
      );
    }
    await makeFolder(folder);
    await this.#rotateIfFull();
    const handle = await open(join(folder, current), "a+", fileMode);
    try {
      const { size } = await handle.stat();
      const torn = size > 0 && !(await endsLine(handle, size));
      const bytes = torn ? Buffer.concat([Buffer.from("\n"), line]) : line;
      const { bytesWritten } = await handle.write(bytes);
      if (bytesWritten !== bytes.byteLength) {
        throw new CodedError(
          "DISK_JOURNAL_WRITE",
          `Only ${bytesWritten} of ${bytes.byteLength} bytes of a journal entry fitted on the disk. Make room.`,
          { retryable: true, status: 507 },
        );
      }
      await handle.sync();
      if (size === 0) await syncFolder(folder);
    } finally {
      await handle.close();
    }
  }

  async read(query: JournalQuery = {}): Promise<readonly JournalEntry[]> {
    const { folder } = this.#options;
    const wanted = query.limit ?? 100;
    let left = this.#options.readBytesMax;
    let found: readonly JournalEntry[] = [];
    this.#tornLines = 0;
    for (const file of await this.#filesNewestFirst()) {
      if (left <= 0 || found.length >= wanted) break;
      const tail = await readTail(join(folder, file), left);
      left -= tail.bytes;
      const entries = selectEntries(this.#parse(tail.lines), query);
      found = [...entries, ...found].slice(-wanted);
    }
    return found;
  }

  #parse(lines: readonly string[]): JournalEntry[] {
    const entries: JournalEntry[] = [];
    for (const line of lines) {
      if (line === "") continue;
      const parsed = v.safeParse(entrySchema, parseJson(line));
      if (parsed.success) entries.push(parsed.output);
      else this.#tornLines += 1;
    }
    return entries;
  }

  async #filesNewestFirst(): Promise<string[]> {
    try {
      const names = await readdir(this.#options.folder);
      const old = names.filter((name) => rotated.test(name)).sort();
      return [...old, ...names.filter((name) => name === current)].reverse();
    } catch (error) {
      if (codeOf(error) === "ENOENT") return [];
      throw error;
    }
  }

  async #rotateIfFull(): Promise<void> {
    const { folder, clock, rotateBytes } = this.#options;
    const path = join(folder, current);
    if ((await sizeOf(path)) < rotateBytes) return;
    await withFileLock(join(folder, "journal"), clock, async () => {
      // Another process may have done it while this one waited.
      if ((await sizeOf(path)) < rotateBytes) return;
      const at = new Date(clock.now()).toISOString().replace(/[-:.]/g, "");
      const names = new Set(await readdir(folder));
      let number = process.pid;
      while (names.has(`journal-${at}-${number}.ndjson`)) number += 1;
      await rename(path, join(folder, `journal-${at}-${number}.ndjson`));
      await syncFolder(folder);
    });
  }
}

type Handle = Awaited<ReturnType<typeof open>>;

async function endsLine(handle: Handle, size: number): Promise<boolean> {
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] === 0x0a;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return 0;
    throw error;
  }
}

/** The whole lines within the last `bytesMax` bytes of a file. */
async function readTail(
  path: string,
  bytesMax: number,
): Promise<{ lines: string[]; bytes: number }> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    const bytes = Math.min(size, bytesMax);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, size - bytes);
    const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
    if (bytes < size) lines.shift();
    return { lines, bytes };
  } finally {
    await handle.close();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
