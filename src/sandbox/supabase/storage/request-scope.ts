import { AsyncLocalStorage } from "node:async_hooks";
import type { Readable } from "node:stream";
import type { Blob } from "./blob-store.ts";
import type { ByteSelection, SelectionHeaders } from "./byte-range.ts";
import type { ObjectFacts } from "./object-rows.ts";
import type { StorageFailure } from "./storage-error.ts";

/**
 * What one request and the storage adapter tell each other past the embedded service in between: it
 * hands neither ranges nor user metadata through, and would turn every body into a web stream.
 */
export interface RequestScope {
  /** The body of an upload. */
  readonly source?: Readable;
  readonly userMetadata?: Readonly<Record<string, unknown>> | null;
  readonly selectionHeaders: SelectionHeaders;
  /** Set once the body is on disk, also when the row could not be written then. */
  stored?: Blob;
  /** Set by a read: what to send. */
  found?: { readonly facts: ObjectFacts; readonly selection: ByteSelection };
  /** Set when the adapter knows a better answer than the service will give. */
  failure?: StorageFailure;
  /** Blobs that may have lost their last row. */
  readonly released: Set<string>;
}

/** The scope of the request that is running. */
export const requestScope: AsyncLocalStorage<RequestScope> = new AsyncLocalStorage();

/** A scope for one request. */
export function newScope(
  selectionHeaders: SelectionHeaders = {},
  upload: Pick<RequestScope, "source" | "userMetadata"> = {},
): RequestScope {
  return { ...upload, selectionHeaders, released: new Set() };
}

/** The current request's scope; throws outside of one. */
export function currentScope(): RequestScope {
  const scope = requestScope.getStore();
  if (scope === undefined) throw new TypeError("Objects are reachable through HTTP requests only.");
  return scope;
}
