import type { FilePage, StoredFile } from "../../files/file-manager.ts";
import type { UploadAnswer } from "../../files/file-service.ts";

/** A file as OpenAI's API shows it, with three fields of ours at the end. */
export interface FileObject {
  readonly id: string;
  readonly object: "file";
  readonly bytes: number;
  /** Seconds since the Unix epoch. */
  readonly created_at: number;
  readonly filename: string;
  readonly purpose: string;
  readonly status: "processed";
  readonly provider: string;
  readonly sha256: string;
  readonly mime_type: string;
}

/** The answer to an upload: the file, and where its provider was left to us, which one was chosen and why. */
export interface UploadedObject extends FileObject {
  readonly provider_choice?: {
    readonly provider: string;
    readonly reasons: readonly string[];
  };
}

/** A page of files as OpenAI's API shows it. */
export interface FileList {
  readonly object: "list";
  readonly data: readonly FileObject[];
  readonly first_id: string | null;
  readonly last_id: string | null;
  readonly has_more: boolean;
}

/** A file of ours in that shape. */
export function fileObject(file: StoredFile): FileObject {
  return {
    id: file.id,
    object: "file",
    bytes: file.sizeBytes,
    created_at: Math.floor(Date.parse(file.createdAt) / 1000),
    filename: file.name,
    purpose: file.purpose,
    status: "processed",
    provider: file.provider,
    sha256: file.sha256,
    mime_type: file.mimeType,
  };
}

/** What an upload came to, in that shape. */
export function uploadedObject({ value, choice }: UploadAnswer): UploadedObject {
  const file = fileObject(value);
  return choice === null ? file : { ...file, provider_choice: choice };
}

/** A page of ours in that shape. */
export function fileList(page: FilePage): FileList {
  return {
    object: "list",
    data: page.files.map(fileObject),
    first_id: page.files[0]?.id ?? null,
    last_id: page.files.at(-1)?.id ?? null,
    has_more: page.hasMore,
  };
}
