import { rangeNotSatisfiable } from "../../../files/errors.ts";

/** What a `Range` header asks for; `suffix` means the last so many bytes. */
export type WantedRange =
  | { readonly kind: "whole" }
  | { readonly kind: "from"; readonly start: number; readonly end: number | null }
  | { readonly kind: "suffix"; readonly length: number };

const whole: WantedRange = { kind: "whole" };

/**
 * Reads a `Range` header (RFC 9110, section 14). Several ranges, other units and ranges that end
 * before they start are ignored, as the RFC allows: the answer is then the whole file.
 */
export function wantedRange(header: string | undefined): WantedRange {
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(header ?? "");
  if (match === null) return whole;
  const [, first = "", last = ""] = match;
  if (first === "") return last === "" ? whole : { kind: "suffix", length: bounded(last) };
  const start = bounded(first);
  if (last === "") return { kind: "from", start, end: null };
  const end = bounded(last);
  return end < start ? whole : { kind: "from", start, end };
}

/** The range as a download takes it, for a file of `sizeBytes`. Throws `FILES_RANGE_NOT_SATISFIABLE`. */
export function downloadRange(
  wanted: WantedRange,
  sizeBytes: number,
): { start: number; end: number | null } | null {
  if (wanted.kind === "whole") return null;
  if (wanted.kind === "from") return { start: wanted.start, end: wanted.end };
  if (wanted.length === 0 || sizeBytes === 0) throw rangeNotSatisfiable(sizeBytes, sizeBytes);
  return { start: Math.max(0, sizeBytes - wanted.length), end: null };
}

/** Does an `If-None-Match` header name this quoted tag? The comparison is the weak one. */
export function namesTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const tags = header.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes("*") || tags.includes(etag);
}

function bounded(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}
