/**
 * Files for scripts that do not await: each call stands still until it is done, while a worker thread
 * does the work through both paths and the flags, as everywhere. Not for servers.
 */
import {
  type DeletedFile,
  duplicateChoices,
  type OnDuplicate,
  type StoredFile,
} from "./files/file-manager.ts";
import { ask, stop } from "./sync/channel.ts";
import { checkBlocking } from "./sync/context.ts";

export type { DeletedFile, OnDuplicate, StoredFile } from "./files/file-manager.ts";

/** What any call may be told. */
export interface SyncOptions {
  /** Whose file it is; default `local`, the owner of everything when no keys are configured. */
  readonly owner?: string;
  /** The routing key: the same key stays on the same path. Default: a new one for each call. */
  readonly key?: string;
  /** Milliseconds until it is given up; default 600,000, at least 1. */
  readonly timeoutMs?: number;
  /** Stand still although this process is a server or runs changeover calls. Default false. */
  readonly allowBlocking?: boolean;
}

/** What an upload may be told. */
export interface SyncUploadOptions extends SyncOptions {
  /** Default: the file's own name. */
  readonly name?: string;
  /** `kimi`, `glm`, `none` or `auto`; default `none`. */
  readonly provider?: string;
  /** Default: the provider's own default purpose. */
  readonly purpose?: string;
  /** Default: found from content and name. */
  readonly mimeType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Default `force`. */
  readonly onDuplicate?: OnDuplicate;
}

/**
 * Stores a file of this machine. Reads its settings from the environment (`SUPABASE_URL`,
 * `SUPABASE_SECRET_KEY`, `CHANGEOVER_…`). Throws what `FileService.upload` rejects with,
 * `FILES_SYNC_IN_ASYNC_CONTEXT` inside a changeover call or scope and in a process that listens on a
 * TCP port, `FILES_SYNC_NO_BACKEND`, `FILES_SYNC_PACKAGE_MISSING`, `FILES_SYNC_TIMEOUT` and
 * `FILES_SYNC_NO_ANSWER`.
 */
export function uploadSync(path: string, options: SyncUploadOptions = {}): StoredFile {
  checkContext("uploadSync()", "files.upload()", options);
  const { name = null, provider = null, purpose = null, mimeType = null } = options;
  const { metadata = {}, onDuplicate = "force" } = options;
  if (!duplicateChoices.includes(onDuplicate)) {
    const choices = duplicateChoices.join(", ");
    throw new RangeError(`onDuplicate is one of ${choices}, not ${JSON.stringify(onDuplicate)}.`);
  }
  const said = { path, name, provider, purpose, mimeType, metadata, onDuplicate };
  const request = { kind: "upload", ...said, ...whose(options) } as const;
  return ask(request, timeoutOf(options)) as StoredFile;
}

/**
 * Fetches a file, checked against its SHA-256, and puts it at `destination`, whose name appears when it
 * is complete; a file of that name is replaced. Throws as {@link uploadSync} does.
 */
export function downloadSync(
  id: string,
  destination: string,
  options: SyncOptions = {},
): StoredFile {
  checkContext("downloadSync()", "files.download()", options);
  const request = { kind: "download", id, destination, ...whose(options) } as const;
  return ask(request, timeoutOf(options)) as StoredFile;
}

/** Deletes a file. Throws as {@link uploadSync} does. */
export function deleteSync(id: string, options: SyncOptions = {}): DeletedFile {
  checkContext("deleteSync()", "files.delete()", options);
  return ask({ kind: "delete", id, ...whose(options) }, timeoutOf(options)) as DeletedFile;
}

/**
 * Closes connections and ends the worker. A script need not call it: the worker does not keep the
 * process alive. `timeoutMs` (default 10,000): a few seconds after it the worker ends all the same, and
 * `FILES_SYNC_NO_ANSWER` is thrown.
 */
export function closeSync(timeoutMs = 10_000): void {
  stop(timeoutMs);
}

function checkContext(called: string, instead: string, { allowBlocking }: SyncOptions): void {
  if (allowBlocking !== true) checkBlocking(called, instead);
}

function whose({ owner = "local", key }: SyncOptions): { owner: string; key: string | null } {
  return { owner, key: key ?? null };
}

function timeoutOf({ timeoutMs = 600_000 }: SyncOptions): number {
  if (timeoutMs >= 1 && timeoutMs <= 2 ** 31 - 1) return timeoutMs;
  throw new RangeError(`timeoutMs is from 1 to 2147483647, not ${timeoutMs}.`);
}
