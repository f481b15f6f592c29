import type { StoredFile } from "../../../files/file-manager.ts";
import { reprDigest } from "../digest.ts";

/** The tag of a content: its SHA-256 in quotes. */
export function etagOf(file: StoredFile): string {
  return `"${file.sha256}"`;
}

/**
 * What every answer with a file's content carries. The bytes are a stranger's: they are offered for
 * saving, under their own type and no other, and run no script should a browser show them after all.
 */
export function contentHeaders(file: StoredFile): Record<string, string> {
  return {
    "content-type": file.mimeType,
    "content-disposition": attachment(file.name),
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "cache-control": "private, no-cache",
    "accept-ranges": "bytes",
    etag: etagOf(file),
    "repr-digest": reprDigest(file.sha256),
  };
}

/**
 * A `Content-Disposition` that saves under the file's own name (RFC 6266): the exact name as UTF-8 in
 * percent encoding (RFC 8187) and, for clients that cannot read that, one in plain ASCII.
 */
export function attachment(name: string): string {
  const plain = name.normalize("NFKD").replace(/\p{M}/gu, "");
  const fallback = plain.replace(/[^\x20-\x7e]|["\\%/;]/gu, "_");
  return `attachment; filename="${fallback}"; filename*=UTF-8''${extendedValue(name)}`;
}

/** `encodeURIComponent` leaves `'`, `(`, `)` and `*` as they are, which RFC 8187 does not allow. */
function extendedValue(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
