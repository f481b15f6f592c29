import type { Readable } from "node:stream";
import type { FileSource, Progress, ProviderName } from "../file-manager.ts";

/** One upload to a provider; size, type, name and purpose were checked against its profile before. */
export interface ProviderUpload {
  readonly source: FileSource;
  readonly name: string;
  readonly mimeType: string;
  readonly purpose: string;
}

/** A file as its provider describes it. */
export interface ProviderFile {
  readonly id: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly purpose: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

/** Which part of a list is asked for. */
export interface ProviderPageRequest {
  readonly purpose: string;
  /** 1 to 100; default 100. */
  readonly limit?: number;
  /** The last id of the page before. */
  readonly after?: string;
}

export interface ProviderPage {
  readonly files: readonly ProviderFile[];
  readonly hasMore: boolean;
}

/**
 * What a provider gives out for a file. `extracted-text` is what its parser made of the file, an
 * artefact of its own that never equals the bytes that were uploaded; `bytes` are those.
 */
export interface ProviderContent {
  readonly kind: "extracted-text" | "bytes";
  /** The caller reads it to its end or destroys it. */
  readonly body: Readable;
}

/**
 * Port: an AI provider's file API. Errors are coded (`FILES_PROVIDER_…`) with `status`, `retryable`
 * and the provider's name in `details`; a key never appears in them.
 */
export interface Provider {
  readonly name: Exclude<ProviderName, "none">;
  /** Checks the size the provider reports back; throws `FILES_INTEGRITY` when it differs. */
  upload(upload: ProviderUpload, signal: AbortSignal, progress?: Progress): Promise<ProviderFile>;
  /** Null when the provider does not have it. A provider that documents no get by id looks in its list. */
  info(id: string, purpose: string, signal: AbortSignal): Promise<ProviderFile | null>;
  /** All files of a purpose, however many pages that takes. */
  list(purpose: string, signal: AbortSignal): Promise<readonly ProviderFile[]>;
  /** One page. Throws `FILES_NOT_FOUND` when `after` is no file of a provider that lists all at once. */
  page(request: ProviderPageRequest, signal: AbortSignal): Promise<ProviderPage>;
  /** All files that count against the same limits as those of `purpose`. */
  counted(purpose: string, signal: AbortSignal): Promise<readonly ProviderFile[]>;
  /**
   * What the provider gives out for a file. Throws `FILES_NOT_FOUND` when there is none, and
   * `FILES_PROVIDER_REJECTED` when it gives nothing out for files of that purpose.
   */
  content(id: string, signal: AbortSignal): Promise<ProviderContent>;
  /** One cheap request with our key: resolves when the provider is up and takes the key. */
  probe(signal: AbortSignal): Promise<void>;
  /** Succeeds when the file is gone, also when it was not there. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
