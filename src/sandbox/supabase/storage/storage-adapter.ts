import type { App } from "@supabase/lite";
import { type BlobStore, BlobTooLarge } from "./blob-store.ts";
import { selectBytes } from "./byte-range.ts";
import type { ObjectFacts, ObjectRows } from "./object-rows.ts";
import { currentScope } from "./request-scope.ts";
import { storageFailure } from "./storage-error.ts";

/** The interface through which the embedded service reaches its bytes. */
export type StorageAdapter = NonNullable<App["_storageAdapter"]>;
type ObjectMetadata = Awaited<ReturnType<StorageAdapter["headObject"]>>;

const NOTHING = new Uint8Array(0);

/** What the adapter works on. */
export interface StorageAdapterParts {
  readonly blobs: BlobStore;
  readonly rows: ObjectRows;
  /** The limit for buckets without one of their own. */
  readonly maxObjectBytes: number;
}

/**
 * Keeps objects as blobs on disk. An object's row names its blob, so that row and bytes change in one
 * step: whoever loses a race has written a blob that no row names, which is removed after the request.
 * Bytes flow past the service, from the request to the disk and back (see `RequestScope`).
 */
export function createStorageAdapter(parts: StorageAdapterParts): StorageAdapter {
  const { rows } = parts;
  const release = (bucket: string, name: string): void => {
    const facts = rows.find(bucket, name);
    if (facts !== undefined) currentScope().released.add(facts.blob);
  };
  return {
    driver: null,
    uploadObject: (bucket, name, _version, _body, type, cacheControl) =>
      upload(parts, { bucket, name, type, cacheControl }),
    getObject: async (bucket, name) => {
      const facts = rows.find(bucket, name);
      const scope = currentScope();
      if (facts === undefined) throw new TypeError("The object is gone.");
      scope.found = {
        facts,
        selection: selectBytes(scope.selectionHeaders, facts.size, facts.eTag),
      };
      return { metadata: metadataOf(facts), httpStatusCode: 200, body: Buffer.from(NOTHING) };
    },
    headObject: async (bucket, name) => {
      const facts = rows.find(bucket, name);
      if (facts === undefined) throw new TypeError("The object is gone.");
      return metadataOf(facts);
    },
    deleteObject: async (bucket, name) => release(bucket, name),
    deleteObjects: async (bucket, names) => {
      for (const name of names) release(bucket, name);
    },
    // A copy is a second row for the same blob.
    copyObject: async (bucket, name) => {
      const facts = rows.find(bucket, name);
      if (facts === undefined) throw new TypeError("The object is gone.");
      return { httpStatusCode: 200, eTag: facts.eTag, lastModified: new Date() };
    },
    privateAssetUrl: async () => {
      throw new TypeError("The sandbox does not transform images.");
    },
  };
}

async function upload(
  parts: StorageAdapterParts,
  object: { bucket: string; name: string; type: string; cacheControl: string },
): Promise<ObjectMetadata> {
  const scope = currentScope();
  const limit = parts.rows.sizeLimit(object.bucket) ?? parts.maxObjectBytes;
  try {
    if (scope.stored === undefined) {
      if (scope.source === undefined) throw new TypeError("An upload has a body.");
      scope.stored = await parts.blobs.write(scope.source, limit);
    }
  } catch (error) {
    if (error instanceof BlobTooLarge) scope.failure = storageFailure("EntityTooLarge");
    throw error;
  }
  scope.released.add(scope.stored.id);
  const replaced = parts.rows.find(object.bucket, object.name);
  if (replaced !== undefined) scope.released.add(replaced.blob);
  const facts: ObjectFacts = {
    blob: scope.stored.id,
    size: scope.stored.size,
    eTag: `"${scope.stored.md5}"`,
    mimetype: object.type,
    cacheControl: object.cacheControl,
    lastModified: new Date().toISOString(),
    userMetadata: scope.userMetadata ?? null,
  };
  return {
    ...facts,
    lastModified: new Date(facts.lastModified),
    contentLength: facts.size,
  } as ObjectMetadata;
}

function metadataOf(facts: ObjectFacts): ObjectMetadata {
  return {
    cacheControl: facts.cacheControl,
    contentLength: facts.size,
    size: facts.size,
    mimetype: facts.mimetype,
    eTag: facts.eTag,
    lastModified: new Date(facts.lastModified),
  };
}
