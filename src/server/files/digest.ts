import type { IncomingHttpHeaders } from "node:http";
import { invalidHeader } from "../errors.ts";

/**
 * The SHA-256 in hex that a request declares for its body in `Repr-Digest` or `Content-Digest`
 * (RFC 9530), or undefined. Other algorithms are ignored, as the RFC allows. Throws
 * `GATEWAY_INVALID_HEADER` for a SHA-256 that is none.
 */
export function declaredSha256(headers: IncomingHttpHeaders): string | undefined {
  for (const name of ["repr-digest", "content-digest"]) {
    const value = headers[name];
    if (typeof value !== "string") continue;
    const members = value.split(",").map((member) => member.trim());
    const member = members.find((each) => /^sha-256\s*=/i.test(each));
    if (member === undefined) continue;
    const base64 = /^sha-256=:([A-Za-z0-9+/]{43}=):$/.exec(member)?.[1];
    if (base64 === undefined) {
      throw invalidHeader(name, "like `sha-256=:<base64 of the 32 bytes>:`");
    }
    return Buffer.from(base64, "base64").toString("hex");
  }
  return undefined;
}

/** A SHA-256 in hex as the value of a `Repr-Digest` header. */
export function reprDigest(sha256: string): string {
  return `sha-256=:${Buffer.from(sha256, "hex").toString("base64")}:`;
}
