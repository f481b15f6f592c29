/** Which bytes of an object a request asks for. */
export type ByteSelection =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unchanged" }
  | { readonly kind: "unsatisfiable" };

/** The headers that choose the bytes, as received. */
export interface SelectionHeaders {
  readonly range?: string | undefined;
  readonly ifRange?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

/**
 * Reads `If-None-Match`, `If-Range` and `Range` (RFC 9110, sections 13 and 14) for an object of `size`
 * bytes with the quoted `etag`. Several ranges, another unit or nonsense are ignored, as the RFC allows.
 */
export function selectBytes(headers: SelectionHeaders, size: number, etag: string): ByteSelection {
  if (headers.ifNoneMatch !== undefined && matchesEtag(headers.ifNoneMatch, etag)) {
    return { kind: "unchanged" };
  }
  const match = /^bytes=(\d*)-(\d*)$/.exec(headers.range?.trim() ?? "");
  if (match === null || (headers.ifRange !== undefined && headers.ifRange !== etag)) {
    return { kind: "whole" };
  }
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return { kind: "whole" };
  if (first === "") return selectSuffix(Number(last), size);
  const start = Number(first);
  const end = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== "" && Number(last) < start) return { kind: "whole" };
  if (start >= size) return { kind: "unsatisfiable" };
  return { kind: "part", start, end };
}

function selectSuffix(length: number, size: number): ByteSelection {
  if (length === 0 || size === 0) return { kind: "unsatisfiable" };
  return { kind: "part", start: Math.max(0, size - length), end: size - 1 };
}

function matchesEtag(header: string, etag: string): boolean {
  if (header.trim() === "*") return true;
  return header.split(",").some((each) => each.trim().replace(/^W\//, "") === etag);
}
