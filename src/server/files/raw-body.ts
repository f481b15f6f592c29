import type { IncomingMessage } from "node:http";
import type { Spool, StagedFile } from "../../files/spool.ts";
import { unsupportedBody } from "../errors.ts";
import { declaredSha256 } from "./digest.ts";

/** How a raw body is received. */
export interface RawBodyOptions {
  readonly spool: Pick<Spool, "stage">;
  readonly maxFileBytes: number;
  readonly signal: AbortSignal;
}

/**
 * Stages the body of a request as it is, checked against the `Content-Length` and the SHA-256 that
 * its headers declare. Whoever calls releases the file. Throws `GATEWAY_UNSUPPORTED_BODY` for a
 * compressed body (its bytes would be kept compressed), and what `Spool.stage` throws.
 */
export async function receiveRawBody(
  request: IncomingMessage,
  { spool, maxFileBytes, signal }: RawBodyOptions,
): Promise<StagedFile> {
  const { headers } = request;
  const encoding = headers["content-encoding"] ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    throw unsupportedBody(
      `The Content-Encoding ${JSON.stringify(encoding.slice(0, 40))} is not undone here.`,
      "the file's own bytes without Content-Encoding",
    );
  }
  const length = headers["content-length"];
  const expectedSha256 = declaredSha256(headers);
  return spool.stage(request, {
    maxBytes: maxFileBytes,
    signal,
    ...(length === undefined ? {} : { expectedBytes: Number(length) }),
    ...(expectedSha256 === undefined ? {} : { expectedSha256 }),
  });
}
