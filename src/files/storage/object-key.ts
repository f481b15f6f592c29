import type { ProviderName } from "../file-manager.ts";

/** What makes two uploads the same content: the bytes, where they go, and what for. */
export interface ContentKey {
  /** SHA-256 in hex, lower case. */
  readonly sha256: string;
  readonly provider: ProviderName;
  readonly purpose: string;
}

/** A content key as one string, for locks and logs. */
export function contentKeyText(key: ContentKey): string {
  return `${key.provider}/${key.purpose}/${key.sha256}`;
}

/**
 * Where an object lies in the bucket: `<provider>/<purpose>/<first two hex digits>/<sha256>/<content id>`.
 * The hash says what is inside; the id of the row that will own the object keeps two processes that store
 * the same bytes at once from writing, or removing, each other's object.
 */
export function objectKey(key: ContentKey, contentId: string): string {
  const { provider, purpose, sha256 } = key;
  return [provider, purpose, sha256.slice(0, 2), sha256, contentId].join("/");
}

/** A key as the path of a URL; the slashes between its parts stay. */
export function encodeKey(key: string): string {
  return key.split("/").map(encodeURIComponent).join("/");
}
