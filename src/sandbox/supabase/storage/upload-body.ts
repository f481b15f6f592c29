import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { Busboy, type BusboyHeaders } from "@fastify/busboy";
import { type StorageFailure, storageFailure } from "./storage-error.ts";

/** The object's bytes and what came with them, however the client packed them. */
export interface UploadBody {
  readonly source: Readable;
  readonly contentType: string;
  readonly cacheControl: string;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
  /** The length the client announced; undefined for chunked and multipart bodies. */
  readonly announcedBytes: number | undefined;
}

const DEFAULT_TYPE = "application/octet-stream";
const LIMITS = { files: 1, fields: 20, fieldSize: 64 * 1024, parts: 21, headerPairs: 50 } as const;

/**
 * Finds the object's bytes in an upload: a raw body with headers, or the first file of a multipart
 * body with fields (whatever the part is called), as the real server takes them. Resolves as soon as
 * the bytes begin.
 */
export async function openUploadBody(
  request: IncomingMessage,
): Promise<UploadBody | StorageFailure> {
  const type = request.headers["content-type"];
  if (type?.startsWith("multipart/form-data")) return openMultipart(request);
  const length = request.headers["content-length"];
  return {
    source: request,
    contentType: type ?? DEFAULT_TYPE,
    cacheControl: request.headers["cache-control"] ?? "no-cache",
    userMetadata: parseMetadata(request.headers["x-metadata"], "base64"),
    announcedBytes: length === undefined ? undefined : Number(length),
  };
}

function openMultipart(request: IncomingMessage): Promise<UploadBody | StorageFailure> {
  const { promise, resolve } = Promise.withResolvers<UploadBody | StorageFailure>();
  const fields = new Map<string, string>();
  const refuse = (message: string): void => resolve(storageFailure("InvalidRequest", message));
  let parser: ReturnType<typeof openParser>;
  try {
    parser = openParser(request);
  } catch {
    return Promise.resolve(storageFailure("InvalidRequest", "The multipart body has no boundary"));
  }
  let file: Readable | undefined;
  parser.on("field", (name, value) => fields.set(name, value));
  parser.on("file", (_field, source, _name, _encoding, partType) => {
    file = source;
    // Whoever reads it sees its error; without a reader it must not become a crash.
    source.on("error", () => undefined);
    const seconds = Number(fields.get("cacheControl"));
    resolve({
      source,
      contentType: fields.get("contentType") ?? partType ?? DEFAULT_TYPE,
      cacheControl:
        fields.has("cacheControl") && Number.isFinite(seconds) ? `max-age=${seconds}` : "no-cache",
      userMetadata: parseMetadata(fields.get("metadata"), "json"),
      announcedBytes: undefined,
    });
  });
  const fail = (error: unknown): void => {
    file?.destroy(error instanceof Error ? error : new Error("The multipart body ended early."));
    refuse("The multipart body is not complete");
  };
  parser.on("error", fail);
  parser.on("finish", () => refuse("No content provided"));
  request.once("error", fail);
  request.pipe(parser);
  return promise;
}

function openParser(request: IncomingMessage): InstanceType<typeof Busboy> {
  return new Busboy({
    headers: request.headers as BusboyHeaders,
    limits: LIMITS,
  });
}

function parseMetadata(
  text: string | string[] | undefined,
  form: "base64" | "json",
): Readonly<Record<string, unknown>> | null {
  if (typeof text !== "string") return null;
  try {
    const value: unknown = JSON.parse(
      form === "json" ? text : Buffer.from(text, "base64").toString("utf8"),
    );
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
