import type { Answered, CallOptions } from "../migration/call.ts";
import type { MigratedFunction } from "../migration/operation.ts";
import type {
  DeletedFile,
  Download,
  DownloadRequest,
  FilePage,
  FileRequest,
  FileSource,
  ListRequest,
  Progress,
  StoredFile,
  UploadRequest,
} from "./file-manager.ts";

/** The five operations of the file system, each behind the facade. */
export interface MigratedFiles {
  readonly upload: MigratedFunction<UploadRequest, StoredFile>;
  readonly download: MigratedFunction<DownloadRequest, Download>;
  readonly info: MigratedFunction<FileRequest, StoredFile>;
  readonly list: MigratedFunction<ListRequest, FilePage>;
  readonly delete: MigratedFunction<FileRequest, DeletedFile>;
}

/** What a person or a program says about an upload; everything but the bytes may be left out. */
export interface UploadInput {
  readonly owner: string;
  readonly name: string;
  /** Default: the provider's own default purpose. */
  readonly purpose?: string;
  /** Default: `none`. */
  readonly provider?: string;
  /** Default: found from content and name. */
  readonly mimeType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly source: FileSource;
  readonly progress?: Progress;
}

/** An answer together with who gave it. */
export interface Answer<T> {
  readonly value: T;
  readonly answered: Answered;
}

/**
 * The door of the file system, for the gateway and for the command line: checks names, purposes, types
 * and limits before any path sees the call, then sends it through the facade. Throws coded errors only;
 * an error carries `answered` facts under the same request id in the log.
 */
export interface FileService {
  upload(input: UploadInput, options?: CallOptions): Promise<Answer<StoredFile>>;
  download(request: DownloadRequest, options?: CallOptions): Promise<Answer<Download>>;
  info(request: FileRequest, options?: CallOptions): Promise<Answer<StoredFile>>;
  list(request: ListRequest, options?: CallOptions): Promise<Answer<FilePage>>;
  delete(request: FileRequest, options?: CallOptions): Promise<Answer<DeletedFile>>;
}
