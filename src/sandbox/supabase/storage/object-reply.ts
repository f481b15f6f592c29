import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { sendJson } from "../../loopback-server.ts";
import type { BlobStore } from "./blob-store.ts";
import type { ObjectFacts } from "./object-rows.ts";
import type { RequestScope } from "./request-scope.ts";
import { storageFailure } from "./storage-error.ts";

type Found = NonNullable<RequestScope["found"]>;

/**
 * Sends the selected bytes of an object: 200, 206, 304 or 416. False when the object was replaced
 * between finding and opening it: nothing has been sent then.
 */
export async function sendObject(
  response: ServerResponse,
  blobs: BlobStore,
  found: Found,
  request: { readonly headOnly: boolean; readonly downloadName: string | null },
): Promise<boolean> {
  const { facts, selection } = found;
  const headers = headersOf(facts, request.downloadName);
  if (selection.kind === "unsatisfiable") {
    const { httpStatus, body } = storageFailure("InvalidRange");
    sendJson(response, httpStatus, body, { "content-range": `bytes */${facts.size}` });
    return true;
  }
  if (selection.kind === "unchanged") {
    response.writeHead(304, headers).end();
    return true;
  }
  const isPart = selection.kind === "part";
  const start = isPart ? selection.start : 0;
  const end = isPart ? selection.end : facts.size - 1;
  const range = isPart ? { "content-range": `bytes ${start}-${end}/${facts.size}` } : {};
  const head = { ...headers, ...range, "content-length": String(end - start + 1) };
  if (request.headOnly || facts.size === 0) {
    response.writeHead(isPart ? 206 : 200, head).end();
    return true;
  }
  const body = await openBytes(blobs, facts.blob, start, end);
  if (body === undefined) return false;
  response.writeHead(isPart ? 206 : 200, head);
  // A client that goes away in the middle is no error of ours.
  await pipeline(body, response).catch(() => undefined);
  return true;
}

async function openBytes(
  blobs: BlobStore,
  blob: string,
  start: number,
  end: number,
): Promise<ReturnType<BlobStore["read"]> | undefined> {
  const body = blobs.read(blob, start, end);
  return new Promise((resolve, reject) => {
    body.once("open", () => resolve(body));
    body.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "ENOENT" ? resolve(undefined) : reject(error),
    );
  });
}

function headersOf(facts: ObjectFacts, downloadName: string | null): Record<string, string> {
  const name = downloadName === null ? "" : encodeURIComponent(downloadName);
  return {
    "content-type": facts.mimetype,
    "cache-control": facts.cacheControl,
    etag: facts.eTag,
    "last-modified": new Date(facts.lastModified).toUTCString(),
    "accept-ranges": "bytes",
    "x-robots-tag": "none",
    ...(downloadName === null
      ? {}
      : {
          "content-disposition":
            name === "" ? "attachment" : `attachment; filename*=UTF-8''${name}`,
        }),
  };
}
