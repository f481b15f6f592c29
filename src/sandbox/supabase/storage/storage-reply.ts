import type { StorageRoute } from "./storage-route.ts";

type Json = Readonly<Record<string, unknown>>;

/** The embedded service answers with this prefix in signed URLs; the real server, and so its client, without. */
const OWN_PREFIX = /^\/storage\/v1/;

/** The real server's form of a successful answer of the embedded service. */
export function correctStorageReply(route: StorageRoute, body: unknown): unknown {
  switch (route.kind) {
    case "sign-read":
      return { signedURL: signedUrlOf(body as Json) };
    case "sign-write":
      return { url: signedUrlOf(body as Json), token: (body as Json)["token"] };
    case "write":
      return { ...(body as Json), Key: `${route.bucket}/${route.key}` };
    case "info":
      return infoOf(body as Json);
    default:
      return body;
  }
}

/** The URL in the service's answer to a signing request, in the form the real server gives it. */
export function signedUrlOf(body: Json): string {
  return String(body["signedUrl"]).replace(OWN_PREFIX, "");
}

function infoOf(row: Json): Json {
  const facts = (row["metadata"] ?? {}) as Json;
  return {
    id: row["id"],
    name: row["name"],
    version: row["version"],
    bucket_id: row["bucket_id"],
    size: facts["size"],
    content_type: facts["mimetype"],
    cache_control: facts["cacheControl"],
    etag: facts["eTag"],
    metadata: facts["userMetadata"] ?? {},
    last_modified: row["updated_at"],
    created_at: row["created_at"],
  };
}
