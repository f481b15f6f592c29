import * as v from "valibot";
import type { DownloadRequest, FileRequest, ListRequest, UploadRequest } from "./file-manager.ts";

const fileRequest = v.object({ owner: v.string(), id: v.string() });
const downloadRequest = v.object({
  ...fileRequest.entries,
  range: v.exactOptional(v.object({ start: v.number(), end: v.nullable(v.number()) })),
});
const listRequest = v.object({
  owner: v.string(),
  limit: v.number(),
  after: v.exactOptional(v.string()),
  order: v.exactOptional(v.picklist(["asc", "desc"])),
  purpose: v.exactOptional(v.string()),
});

/** An upload as it is kept with a mismatch: everything but its bytes and its metadata. */
export function recordedUpload(request: UploadRequest): Readonly<Record<string, unknown>> {
  const { owner, name, purpose, provider, mimeType, source } = request;
  const { sizeBytes, sha256 } = source;
  return { owner, name, purpose, provider, mimeType, sizeBytes, sha256 };
}

/** A request for one file, from what was kept of it. Throws when it is none. */
export function readFileRequest(recorded: unknown): FileRequest {
  return v.parse(fileRequest, recorded);
}

/** A download's request, from what was kept of it. Throws when it is none. */
export function readDownloadRequest(recorded: unknown): DownloadRequest {
  return v.parse(downloadRequest, recorded);
}

/** A list's request, from what was kept of it. Throws when it is none. */
export function readListRequest(recorded: unknown): ListRequest {
  return v.parse(listRequest, recorded);
}
