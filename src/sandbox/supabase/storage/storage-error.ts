/** The body of a storage error, in the form of the real server (supabase/storage, src/internal/errors). */
export interface StorageErrorBody {
  /** The status that is meant, as text; the HTTP status outside is 400 for nearly all of them. */
  readonly statusCode: string;
  readonly error: string;
  readonly code: string;
  readonly message: string;
}

/** An error with the HTTP status it travels under. */
export interface StorageFailure {
  readonly httpStatus: number;
  readonly body: StorageErrorBody;
}

/** The codes of the real server that the sandbox can answer with. */
export type StorageErrorCode =
  | "NoSuchBucket"
  | "NoSuchKey"
  | "KeyAlreadyExists"
  | "BucketAlreadyExists"
  | "EntityTooLarge"
  | "InvalidMimeType"
  | "AccessDenied"
  | "InvalidKey"
  | "InvalidJWT"
  | "InvalidRequest"
  | "ResourceNotEmpty"
  | "InvalidRange"
  | "InternalError";

interface Row {
  readonly statusCode: number;
  readonly error: string;
  readonly message: string;
  /** Only where the HTTP status is not 400. */
  readonly httpStatus?: number;
}

/** The errors of the storage API by their code, with the wording of the real server. */
const STORAGE_ERRORS: Readonly<Record<StorageErrorCode, Row>> = {
  NoSuchBucket: { statusCode: 404, error: "Bucket not found", message: "Bucket not found" },
  NoSuchKey: { statusCode: 404, error: "not_found", message: "Object not found" },
  KeyAlreadyExists: { statusCode: 409, error: "Duplicate", message: "The resource already exists" },
  BucketAlreadyExists: {
    statusCode: 409,
    error: "Duplicate",
    message: "The resource already exists",
  },
  EntityTooLarge: {
    statusCode: 413,
    error: "Payload too large",
    message: "The object exceeded the maximum allowed size",
  },
  InvalidMimeType: {
    statusCode: 415,
    error: "invalid_mime_type",
    message: "mime type is not supported",
  },
  AccessDenied: {
    statusCode: 403,
    error: "Unauthorized",
    message: "new row violates row-level security policy",
  },
  InvalidKey: { statusCode: 400, error: "InvalidKey", message: "Invalid key" },
  InvalidJWT: { statusCode: 400, error: "InvalidJWT", message: "Invalid JWT" },
  InvalidRequest: { statusCode: 400, error: "InvalidRequest", message: "No content provided" },
  ResourceNotEmpty: {
    statusCode: 409,
    error: "ResourceNotEmpty",
    message: "The bucket you tried to delete is not empty",
  },
  InvalidRange: {
    statusCode: 416,
    error: "invalid_range",
    message: "invalid range provided",
    httpStatus: 416,
  },
  InternalError: {
    statusCode: 500,
    error: "InternalError",
    message: "Internal server error",
    httpStatus: 500,
  },
};

/** The failure with this code; `message` replaces the table's own. */
export function storageFailure(code: StorageErrorCode, message?: string): StorageFailure {
  const row = STORAGE_ERRORS[code];
  return {
    httpStatus: row.httpStatus ?? 400,
    body: {
      statusCode: String(row.statusCode),
      error: row.error,
      code,
      message: message ?? row.message,
    },
  };
}

/** The embedded service leaves `code` out: this is how its `error` texts map to codes. */
const CODE_OF_ERROR: Readonly<Record<string, StorageErrorCode>> = {
  "Bucket not found": "NoSuchBucket",
  not_found: "NoSuchKey",
  "Payload too large": "EntityTooLarge",
  invalid_mime_type: "InvalidMimeType",
  Unauthorized: "AccessDenied",
  "Invalid key": "InvalidKey",
  InvalidJWT: "InvalidJWT",
  ResourceNotEmpty: "ResourceNotEmpty",
  server_error: "InternalError",
};

/**
 * The real server's form of an error body of the embedded service. `about` says what the request was
 * about, since both kinds of duplicate read the same there.
 */
export function correctStorageError(
  about: "bucket" | "object",
  httpStatus: number,
  body: Readonly<Record<string, unknown>>,
): StorageFailure {
  const error = String(body["error"] ?? "");
  const message = String(body["message"] ?? "");
  if (error === "Duplicate") {
    return storageFailure(about === "bucket" ? "BucketAlreadyExists" : "KeyAlreadyExists");
  }
  const code = CODE_OF_ERROR[error];
  if (code !== undefined) return storageFailure(code, message === "" ? undefined : message);
  return {
    httpStatus,
    body: {
      statusCode: String(body["statusCode"] ?? httpStatus),
      error: error === "" ? "Error" : error,
      code: "InvalidRequest",
      message: message === "" ? "The request is not valid" : message,
    },
  };
}
