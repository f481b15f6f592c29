import { randomUUID } from "node:crypto";
import { isObjectKey } from "../storage/storage-route.ts";

/** An answer of the resumable door that is not a success: plain text under its true status. */
export class UploadRefusal extends Error {
  override readonly name = "UploadRefusal";
  // The names that the protocol's library reads.
  readonly status_code: number;
  readonly body: string;

  constructor(status: number, text: string) {
    super(text);
    this.status_code = status;
    this.body = text;
  }
}

/** Where an upload goes; its id says so, as the real server's does. */
export interface UploadTarget {
  readonly bucket: string;
  readonly key: string;
  /** A UUID of our own making: the name of the upload's files on disk. */
  readonly version: string;
}

type Metadata = Readonly<Record<string, string | null>>;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const DEFAULT_TYPE = "application/octet-stream";

/** A new id for the upload that `metadata` describes: base64url of `bucket/key/version`. */
export function newUploadId(metadata: Metadata | undefined): string {
  const { bucketName, objectName } = metadata ?? {};
  if (!bucketName) throw new UploadRefusal(400, "Upload-Metadata has no bucketName");
  if (!objectName) throw new UploadRefusal(400, "Upload-Metadata has no objectName");
  if (bucketName.includes("/") || !isObjectKey(objectName)) {
    throw new UploadRefusal(400, "Invalid key");
  }
  return Buffer.from(`${bucketName}/${objectName}/${randomUUID()}`).toString("base64url");
}

/** Reads an id; throws 404 for one that cannot be ours. */
export function uploadTarget(id: string): UploadTarget {
  const text = Buffer.from(id, "base64url").toString("utf8");
  const first = text.indexOf("/");
  const last = text.lastIndexOf("/");
  const version = text.slice(last + 1);
  if (first < 1 || last <= first || !UUID.test(version)) {
    throw new UploadRefusal(404, "The file for this url was not found");
  }
  return { bucket: text.slice(0, first), key: text.slice(first + 1, last), version };
}

/** What the object will be beside its bytes, from `Upload-Metadata`. */
export interface UploadDescription {
  readonly contentType: string;
  readonly cacheControl: string;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
}

/** Reads the optional keys: `contentType`, `cacheControl` in seconds, `metadata` as JSON. */
export function describeUpload(metadata: Metadata | undefined): UploadDescription {
  const seconds = metadata?.["cacheControl"];
  return {
    contentType: metadata?.["contentType"] ?? DEFAULT_TYPE,
    cacheControl: /^\d{1,9}$/.test(seconds ?? "") ? `max-age=${seconds}` : "no-cache",
    userMetadata: parsedMetadata(metadata?.["metadata"]),
  };
}

function parsedMetadata(text: string | null | undefined): Readonly<Record<string, unknown>> | null {
  if (!text) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? (value as Record<string, unknown> | null) : null;
  } catch {
    throw new UploadRefusal(400, "Upload-Metadata: metadata is not JSON");
  }
}
