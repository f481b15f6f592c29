import { createHash } from "node:crypto";

/**
 * The id of the file that an object becomes: always the same for the same object and owner, so that a
 * second run finds what the first one did. A UUID of version 8 (RFC 9562: made by our own rule).
 */
export function adoptedFileId(owner: string, key: string): string {
  const hash = createHash("sha256").update(JSON.stringify(["changeover backfill", owner, key]));
  const hex = hash.digest("hex").slice(0, 32);
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return parts.join("-");
}

/** What makes two backfills the same work. */
export interface BackfillIdentity {
  /** The Supabase project's address. */
  readonly url: string;
  readonly bucket: string;
  readonly owner: string;
  readonly prefix: string;
  readonly purpose: string;
  readonly validateOnly: boolean;
}

/** 24 hex digits that name a backfill's queue: machines that are asked for the same share one. */
export function backfillDigest(identity: BackfillIdentity): string {
  const { url, bucket, owner, prefix, purpose, validateOnly } = identity;
  const asked = JSON.stringify([url, bucket, owner, prefix, purpose, validateOnly]);
  return createHash("sha256").update(asked).digest("hex").slice(0, 24);
}
