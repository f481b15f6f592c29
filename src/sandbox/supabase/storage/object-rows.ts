import type { DatabaseSync } from "node:sqlite";

/** What our adapter wrote into an object's metadata column, beside what the storage service adds. */
export interface ObjectFacts {
  readonly blob: string;
  readonly size: number;
  readonly eTag: string;
  readonly mimetype: string;
  readonly cacheControl: string;
  /** ISO 8601. */
  readonly lastModified: string;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
}

/** Reads the storage service's own tables: which blob an object is, and whether anyone needs a blob. */
export interface ObjectRows {
  find(bucket: string, name: string): ObjectFacts | undefined;
  isUsed(blob: string): boolean;
  /** The bucket's own size limit in bytes; undefined when it has none. */
  sizeLimit(bucket: string): number | undefined;
  /** The types a bucket takes, null for any; undefined when there is no such bucket. */
  mimeTypes(bucket: string): readonly string[] | null | undefined;
}

/** The rows of `database`; the storage tables must exist already. */
export function objectRows(database: DatabaseSync): ObjectRows {
  const one = database.prepare(
    `SELECT metadata FROM "storage.objects" WHERE bucket_id = ? AND name = ?`,
  );
  const used = database.prepare(
    `SELECT 1 FROM "storage.objects" WHERE json_extract(metadata, '$.blob') = ? LIMIT 1`,
  );
  const limit = database.prepare(`SELECT file_size_limit FROM "storage.buckets" WHERE id = ?`);
  const types = database.prepare(`SELECT allowed_mime_types FROM "storage.buckets" WHERE id = ?`);
  return {
    find: (bucket, name) => {
      const metadata = one.get(bucket, name)?.["metadata"];
      return typeof metadata === "string" ? (JSON.parse(metadata) as ObjectFacts) : undefined;
    },
    isUsed: (blob) => used.get(blob) !== undefined,
    sizeLimit: (bucket) => {
      const bytes = limit.get(bucket)?.["file_size_limit"];
      return typeof bytes === "number" ? bytes : undefined;
    },
    mimeTypes: (bucket) => {
      const row = types.get(bucket);
      if (row === undefined) return undefined;
      const list = row["allowed_mime_types"];
      return typeof list === "string" ? (JSON.parse(list) as readonly string[]) : null;
    },
  };
}
