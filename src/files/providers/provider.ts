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
  list(purpose: string, signal: AbortSignal): Promise<readonly ProviderFile[]>;
  /** Succeeds when the file is gone, also when it was not there. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
