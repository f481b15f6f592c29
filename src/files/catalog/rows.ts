import type { ProviderName } from "../file-manager.ts";
import { type CatalogFile, type Content, type FileEntry, storedFile } from "./catalog.ts";

/** A row of `contents` on the wire. */
export interface ContentRow {
  readonly id: string;
  readonly sha256: string;
  readonly provider: ProviderName;
  readonly purpose: string;
  readonly storage_key: string;
  readonly provider_file_id: string | null;
  readonly size_bytes: number;
  readonly created_at: string;
}

/** A row of `files` on the wire. */
export interface FileRow {
  readonly id: string;
  readonly owner: string;
  readonly content_id: string;
  readonly name: string;
  readonly purpose: string;
  readonly provider: ProviderName;
  readonly mime_type: string;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly created_at: string;
  readonly accessed_at: string;
}

/** A row of `files` with its content inside. */
export interface JoinedRow extends FileRow {
  readonly content: ContentRow;
}

/** What {@link JoinedRow} is selected with. */
export const joinedColumns = "*, content:contents!inner(*)";

export function contentOf(row: ContentRow): Content {
  return {
    id: row.id,
    sha256: row.sha256,
    provider: row.provider,
    purpose: row.purpose,
    storageKey: row.storage_key,
    providerFileId: row.provider_file_id,
    // Postgres' bigint may come as text.
    sizeBytes: Number(row.size_bytes),
    createdAt: isoTime(row.created_at),
  };
}

export function rowOfContent(content: Content): ContentRow {
  return {
    id: content.id,
    sha256: content.sha256,
    provider: content.provider,
    purpose: content.purpose,
    storage_key: content.storageKey,
    provider_file_id: content.providerFileId,
    size_bytes: content.sizeBytes,
    created_at: content.createdAt,
  };
}

export function rowOfEntry(entry: FileEntry): FileRow {
  return {
    id: entry.id,
    owner: entry.owner,
    content_id: entry.contentId,
    name: entry.name,
    purpose: entry.purpose,
    provider: entry.provider,
    mime_type: entry.mimeType,
    metadata: entry.metadata,
    // Always written out: a default of SQLite's would be text in another form, which sorts wrongly.
    created_at: entry.createdAt,
    accessed_at: entry.accessedAt,
  };
}

export function fileOf(row: JoinedRow): CatalogFile {
  const content = contentOf(row.content);
  const entry: FileEntry = {
    id: row.id,
    owner: row.owner,
    contentId: row.content_id,
    name: row.name,
    purpose: row.purpose,
    provider: row.provider,
    mimeType: row.mime_type,
    metadata: row.metadata ?? {},
    createdAt: isoTime(row.created_at),
    accessedAt: isoTime(row.accessed_at),
  };
  return { file: storedFile(entry, content), content };
}

/** Postgres answers `…+00:00` with as many digits as it likes; we say `….123Z`. */
function isoTime(text: string): string {
  return new Date(text).toISOString();
}
