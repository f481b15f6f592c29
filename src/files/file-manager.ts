import type { Readable } from "node:stream";
import type { Call } from "../migration/call.ts";

/** Where a file's content lives beside our own storage: an AI provider, or nowhere (`none`). */
export type ProviderName = "kimi" | "glm" | "none";

export const providerNames: readonly ProviderName[] = ["kimi", "glm", "none"];

/** Stands for a provider that is chosen by what is known of the file and of the providers. */
export const autoProvider = "auto";

/** Whom a file may belong to: 1 to 100 letters, digits or `._@-`, as keys files name owners. */
export const ownerPattern: RegExp = /^[A-Za-z0-9._@-]{1,100}$/;

/** What users see of one stored file. Several files may share one content; nobody can tell. */
export interface StoredFile {
  /** UUID, lower case. */
  readonly id: string;
  readonly owner: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
  /** 64 hex digits, lower case. */
  readonly sha256: string;
  readonly provider: ProviderName;
  readonly purpose: string;
  /** The provider's own id, or null for `none`. */
  readonly providerFileId: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** ISO 8601 with milliseconds, UTC. */
  readonly createdAt: string;
  readonly accessedAt: string;
}

/** Bytes `start` to `end`, both included, counted from 0. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Where the bytes of an upload come from. A source can be opened more than once, always at the same
 * bytes: both paths, a retry and a shadow read it for themselves.
 */
export interface FileSource {
  readonly sizeBytes: number;
  /** The file's path when it is an ordinary file of this machine, else null. */
  readonly path: string | null;
  /** SHA-256 in hex when it is known already (a spooled body was hashed on its way in), else null. */
  readonly sha256: string | null;
  /** Changes whenever the bytes may have: path, size, modification time and inode. Null when unknown. */
  readonly identity: string | null;
  /** A fresh stream of all bytes, or of a range. The caller destroys it. */
  open(range?: ByteRange): Readable;
  /** Throws `FILES_SOURCE_CHANGED` when the bytes are no longer those that were announced. */
  verifyUnchanged(): Promise<void>;
  /**
   * Keeps bytes that would go away with their owner's release (a staged body) readable until the
   * returned function is called. Sources whose bytes stay by themselves have none.
   */
  retain?(): () => void;
}

/** One upload. Names, purposes, types and limits were checked before a path sees it. */
export interface UploadRequest {
  readonly owner: string;
  readonly name: string;
  readonly purpose: string;
  readonly provider: ProviderName;
  readonly mimeType: string;
  readonly source: FileSource;
  readonly metadata: Readonly<Record<string, string>>;
  /** Told how many bytes have been sent so far. */
  readonly progress?: Progress;
  /**
   * Keep what has arrived when the caller gives up, so that a later upload of the same bytes goes on
   * there (streaming path, large files). Default false: an abort leaves nothing behind.
   */
  readonly keepPartial?: boolean;
  /** What to do when this owner has a file of the same bytes already; default `force`. */
  readonly onDuplicate?: OnDuplicate;
}

/**
 * `force` adds another file (its bytes are stored once all the same), `return` answers the file that is
 * there, `error` refuses with `FILES_DUPLICATE`. Files of other owners never count.
 */
export type OnDuplicate = "force" | "return" | "error";

export const duplicateChoices: readonly OnDuplicate[] = ["force", "return", "error"];

/** One file of one owner. */
export interface FileRequest {
  readonly owner: string;
  readonly id: string;
}

/** A download, whole or of a range that may reach past the end. */
export interface DownloadRequest extends FileRequest {
  readonly range?: { readonly start: number; readonly end: number | null };
}

/** What a download answers; the body has `range`, or all of the file where that is null. */
export interface Download {
  readonly file: StoredFile;
  readonly range: ByteRange | null;
  readonly body: Readable;
}

/** One page of an owner's files, newest first unless asked otherwise. */
export interface ListRequest {
  readonly owner: string;
  /** 1 to 100 files a page. */
  readonly limit: number;
  /** The last id of the page before. */
  readonly after?: string;
  readonly order?: "asc" | "desc";
  readonly purpose?: string;
}

export interface FilePage {
  readonly files: readonly StoredFile[];
  readonly hasMore: boolean;
}

/** A part of a deleted file that could not be removed. */
export type LeftPart = "row" | "provider-file" | "object";

export interface DeletedFile {
  readonly id: string;
  readonly deleted: true;
  /**
   * What of its content could not be removed now; absent when nothing is left. Nobody can reach it any
   * more, and `changeover verify --fix` removes it.
   */
  readonly left?: readonly LeftPart[];
}

/** How far an upload is; called often, so it must be cheap. */
export type Progress = (sentBytes: number) => void;

/**
 * The migrated system. Both paths implement it, and one contract suite holds both to it. Every method
 * throws coded errors only (`FILES_…`): a file that does not exist, and one of another owner, are both
 * `FILES_NOT_FOUND`.
 */
export interface FileManager {
  /** Stores the bytes once, at the provider too where there is one, and adds a file. */
  upload(request: UploadRequest, call: Call): Promise<StoredFile>;
  /** `FILES_RANGE_NOT_SATISFIABLE` when the range starts past the end. */
  download(request: DownloadRequest, call: Call): Promise<Download>;
  info(request: FileRequest, call: Call): Promise<StoredFile>;
  list(request: ListRequest, call: Call): Promise<FilePage>;
  /**
   * Removes the file, and its content with it when no other file shares it. The answer names what could
   * not be removed (`left`); the file itself is gone then too.
   */
  delete(request: FileRequest, call: Call): Promise<DeletedFile>;
  /** Closes what it holds open. */
  close(): Promise<void>;
}
