import type { Readable } from "node:stream";
import type { LeftPart, OnDuplicate } from "../../files/file-manager.ts";
import type { Answered, Path } from "../../migration/call.ts";
import type { Throttle } from "./throttled.ts";

/** What the command line shows of a stored file. */
export interface FileFacts {
  readonly id: string;
  readonly name: string;
  readonly sizeBytes: number;
  /** 64 hex digits, lower case. */
  readonly sha256: string;
  readonly mimeType: string;
  readonly provider: string;
  readonly purpose: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

/** An answer together with who gave it. */
export interface Served<T> {
  readonly value: T;
  readonly answered: Answered;
}

/** What an upload came to. */
export interface ServedUpload extends Served<FileFacts> {
  /** Why its provider was chosen, one sentence for each step; empty where it was named. */
  readonly providerReasons: readonly string[];
}

/** How one call is routed when it is not left to the flags. */
export interface Routing {
  readonly path: Path | null;
  readonly key: string | null;
}

/** Bytes to store: a file of this machine, or a stream that can be read once. */
export type UploadBody =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "stream"; readonly stream: Readable };

/** One upload as it was typed. */
export interface UploadOrder {
  readonly body: UploadBody;
  readonly name: string;
  readonly provider: string;
  /** Undefined: the provider's own default. */
  readonly purpose: string | undefined;
  /** What will be asked about the file; only with provider `auto`. */
  readonly question: string | undefined;
  readonly routing: Routing;
  readonly onDuplicate: OnDuplicate;
  readonly throttle: Throttle;
  /** Told how many bytes have been sent so far. */
  readonly progress: (sentBytes: number) => void;
  readonly signal: AbortSignal;
}

/** Which files to list. */
export interface ListOrder {
  /** 1 to 100. */
  readonly limit: number;
  readonly after: string | undefined;
  readonly purpose: string | undefined;
  readonly routing: Routing;
  readonly signal: AbortSignal;
}

/** One file by its id. */
export interface FileOrder {
  readonly id: string;
  readonly routing: Routing;
  readonly signal: AbortSignal;
}

/** A download, from its first byte on or from a later one. */
export interface DownloadOrder extends FileOrder {
  /** Default 0; less than the file's size. */
  readonly start?: number;
}

/** What an upload would come to. */
export type UploadPlan = Pick<
  FileFacts,
  "name" | "sizeBytes" | "mimeType" | "provider" | "purpose"
> &
  Pick<ServedUpload, "providerReasons">;

/** A file that is gone, and what of its content could not be removed yet. */
export interface Removed {
  readonly id: string;
  readonly left?: readonly LeftPart[];
}

/** What file commands work through: a file service in this process, or a gateway. */
export interface FileDoor {
  upload(order: UploadOrder): Promise<ServedUpload>;
  /** Everything that is checked before a byte is sent; nothing is. Throws as `upload` would. */
  plan(order: UploadOrder): Promise<UploadPlan>;
  info(order: FileOrder): Promise<Served<FileFacts>>;
  /** The caller reads the body to its end or destroys it. */
  download(
    order: DownloadOrder,
  ): Promise<Served<{ readonly file: FileFacts; readonly body: Readable }>>;
  list(
    order: ListOrder,
  ): Promise<Served<{ readonly files: readonly FileFacts[]; readonly hasMore: boolean }>>;
  remove(order: FileOrder): Promise<Served<Removed>>;
  close(): Promise<void>;
}
