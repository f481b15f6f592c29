import type {
  FilePage,
  FileRequest,
  ListRequest,
  ProviderName,
  StoredFile,
} from "../file-manager.ts";
import type { ContentKey } from "../storage/object-key.ts";

/** One row of `contents`: bytes that are stored once. */
export interface Content extends ContentKey {
  /** UUID, lower case; made by us. */
  readonly id: string;
  readonly storageKey: string;
  readonly providerFileId: string | null;
  readonly sizeBytes: number;
  /** ISO 8601 with milliseconds, UTC. */
  readonly createdAt: string;
}

/** One row of `files`: what an owner sees. */
export interface FileEntry {
  /** UUID, lower case; made by us. */
  readonly id: string;
  readonly owner: string;
  readonly contentId: string;
  readonly name: string;
  readonly purpose: string;
  readonly provider: ProviderName;
  /** The owner's own: whoever stored the same bytes before may have called them something else. */
  readonly mimeType: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly createdAt: string;
  readonly accessedAt: string;
}

/** What came of removing a content's row: it is `in-use` when a file points at it. */
export type ContentRemoval = "removed" | "absent" | "in-use";

/** A content with whether any file points at it. */
export interface VerifiedContent extends Content {
  readonly isUsed: boolean;
}

/** Which contents to list. */
export interface ContentPageRequest {
  /** The last id of the page before; null for the first one. */
  readonly after: string | null;
  /** 1 to 1,000. */
  readonly limit: number;
}

/** A content as one owner may ask for it. */
export interface OwnedContent {
  readonly owner: string;
  readonly contentId: string;
}

/** A file together with the content it points at. */
export interface CatalogFile {
  readonly file: StoredFile;
  readonly content: Content;
}

/**
 * Port: the rows that say what is stored and whose it is. Whatever reads or changes a file is filtered
 * by its owner. Failures are `FILES_BACKEND_UNAVAILABLE` or `FILES_BACKEND_REJECTED`; an abort rejects
 * with the signal's reason.
 */
export interface Catalog {
  findContent(key: ContentKey, signal: AbortSignal): Promise<Content | null>;
  findContentById(id: string, signal: AbortSignal): Promise<Content | null>;
  /** Does any content name this file at its provider? */
  hasProviderFile(
    file: { readonly provider: ProviderName; readonly providerFileId: string },
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Contents of all owners in the order of their ids; fewer than `limit` are the last ones. */
  listContents(page: ContentPageRequest, signal: AbortSignal): Promise<readonly VerifiedContent[]>;
  /** Adds a row unless one of the same key is there; answers the row that is there afterwards. */
  addContent(content: Content, signal: AbortSignal): Promise<Content>;
  /** Removes a row that no file points at. */
  removeContent(id: string, signal: AbortSignal): Promise<ContentRemoval>;
  /** False when the content is not there any more: somebody removed it in between. */
  addFile(entry: FileEntry, signal: AbortSignal): Promise<boolean>;
  /** Null for an unknown id, and for a file of another owner. */
  findFile(request: FileRequest, signal: AbortSignal): Promise<CatalogFile | null>;
  /** The owner's oldest file that points at a content, or null. */
  findFileOf(of: OwnedContent, signal: AbortSignal): Promise<StoredFile | null>;
  /** Throws `FILES_NOT_FOUND` when `after` names no file of this owner. */
  list(request: ListRequest, signal: AbortSignal): Promise<FilePage>;
  /** False when there was no such file of this owner. */
  removeFile(request: FileRequest, signal: AbortSignal): Promise<boolean>;
  markAccessed(request: FileRequest, at: string, signal: AbortSignal): Promise<void>;
  /** So many requests are about to come at once: opens connections for them ahead, where it can. */
  prepare?(count: number): void;
  close(): Promise<void>;
}

/** What an owner sees of an entry and its content. */
export function storedFile(entry: FileEntry, content: Content): StoredFile {
  const { id, owner, name, purpose, provider, mimeType, metadata, createdAt, accessedAt } = entry;
  const { sizeBytes, sha256, providerFileId } = content;
  return {
    id,
    owner,
    name,
    sizeBytes,
    mimeType,
    sha256,
    provider,
    purpose,
    providerFileId,
    metadata,
    createdAt,
    accessedAt,
  };
}
