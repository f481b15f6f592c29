import type { ProviderFile } from "./provider-files.ts";
import type { RateState } from "./request-limits.ts";

/** Why a stand-in refuses a request. */
export type Refusal =
  | "no-key"
  | "wrong-key"
  | "not-multipart"
  | "no-file"
  | "no-purpose"
  | "bad-purpose"
  | "empty-file"
  | "too-large"
  | "bad-type"
  | "too-many-files"
  | "quota-spent"
  | "too-fast"
  | "too-many-at-once"
  | "arrears"
  | "not-found"
  | "no-content"
  | "no-route";

/** The numbers and names that error messages quote. */
export interface RefusalFacts {
  readonly purpose?: string;
  readonly bytes?: number;
  readonly limitBytes?: number;
  readonly maxFiles?: number;
  readonly fileName?: string;
  readonly fileId?: string;
  /** The limit that a rate or a number of requests at once has passed. */
  readonly limit?: number;
  readonly retryAfterSeconds?: number;
}

/** An error as it goes over the wire. */
export interface WireError {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a provider documents for one purpose. */
export interface PurposeRule {
  /** The largest file in bytes; "MB" in the documentation is read as MiB. */
  readonly maxBytes: number;
  /** The largest image in bytes, where images have a limit of their own. */
  readonly maxImageBytes?: number;
  /** How many files of this purpose may exist at a time. */
  readonly maxFiles: number;
  /** File name extensions in lower case, without the dot; null: any. */
  readonly extensions: ReadonlySet<string> | null;
  /** What `GET /files/{id}/content` gives. */
  readonly content: "extracted-text" | "bytes" | "refused";
  /** The page that says so. */
  readonly source: string;
}

/** One provider's file API as data: everything in which the two differ. */
export interface ProviderWire {
  readonly name: "kimi" | "glm";
  readonly title: string;
  /** The path of the base URL. */
  readonly basePath: string;
  readonly purposes: Readonly<Record<string, PurposeRule>>;
  /** Limits over all purposes together. */
  readonly maxFiles: number;
  readonly maxTotalBytes: number;
  /** Is `GET /files/{id}` documented? */
  readonly retrieves: boolean;
  /** `all`: the whole list; `of-purpose`: nothing without a purpose, and paged. */
  readonly lists: "all" | "of-purpose";
  /** The header that carries a request's id. */
  readonly requestIdHeader: string;
  /** The headers that tell how much of a rate limit is left, where they are documented. */
  rateHeaders(rate: RateState): Readonly<Record<string, string>>;
  newFileId(): string;
  fileObject(file: ProviderFile): unknown;
  refuse(refusal: Refusal, facts: RefusalFacts): WireError;
  /** The documented body for a status that a fault asks for. */
  fault(status: number): WireError;
}

/** 1 MiB in bytes. */
export const MIB: number = 1024 * 1024;

/** A set of extensions from one line of text. */
export function extensions(list: string): ReadonlySet<string> {
  return new Set(list.split(" "));
}

/** The extension of a file name in lower case, without the dot; empty when it has none. */
export function extensionOf(fileName: string): string {
  const dot = fileName.lastIndexOf(".");
  return dot < 0 ? "" : fileName.slice(dot + 1).toLowerCase();
}
