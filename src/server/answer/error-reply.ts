import { type CodedError, codeOf, isCodedError } from "../../base/errors.ts";
import { badRequest, bodyTooLarge, internal, unsupportedBody } from "../errors.ts";

/** The shape of errors in OpenAI's API, which every client of it knows. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    /** Our own stable code. */
    readonly code: string;
  };
}

/** An error as it is sent. */
export interface ErrorReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;
}

/** First match wins. */
const types: readonly (readonly [(status: number) => boolean, string])[] = [
  [(status) => status === 401, "authentication_error"],
  [(status) => status === 403, "permission_error"],
  [(status) => status === 429, "rate_limit_error"],
  [(status) => status >= 500, "server_error"],
];

/** Which part of an upload an error of the file system is about. */
const params: Readonly<Record<string, string>> = {
  FILES_TOO_LARGE: "file",
  FILES_EMPTY: "file",
  FILES_INVALID_NAME: "file",
  FILES_UNSUPPORTED_TYPE: "file",
  FILES_DIGEST_MISMATCH: "file",
  FILES_INCOMPLETE_BODY: "file",
  FILES_UNKNOWN_PROVIDER: "provider",
  FILES_UNKNOWN_PURPOSE: "purpose",
};

/**
 * Ours as they are; those of the HTTP framework that are the client's doing in our words; everything
 * else as `GATEWAY_INTERNAL`, without its message.
 */
export function codedErrorOf(thrown: unknown, requestId: string, jsonBytes: number): CodedError {
  if (isCodedError(thrown)) return thrown;
  const code = codeOf(thrown) ?? "";
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") return bodyTooLarge("The JSON body", jsonBytes);
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return unsupportedBody("The Content-Type cannot be used here.", "application/json");
  }
  const status = Number((thrown as { statusCode?: unknown } | null | undefined)?.statusCode);
  if (code.startsWith("FST_ERR_") && status >= 400 && status < 500) {
    return badRequest(frameworkMessages[code] ?? "The request cannot be understood.", status);
  }
  return internal(requestId);
}

const frameworkMessages: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: "The body is not valid JSON.",
  FST_ERR_CTP_EMPTY_JSON_BODY: "The body is empty. Send a JSON object.",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: "The body is not as long as its Content-Length says.",
  FST_ERR_BAD_URL: "The address has a broken percent encoding.",
};

/** Puts an error into words for the client; nothing but its own message and code is sent. */
export function errorReply(error: CodedError): ErrorReply {
  const { status, code, message, details } = error;
  const type = types.find(([matches]) => matches(status))?.[1] ?? "invalid_request_error";
  const param = params[code] ?? (typeof details["param"] === "string" ? details["param"] : null);
  return { status, headers: headersOf(error), body: { error: { message, type, param, code } } };
}

function headersOf(error: CodedError): Record<string, string> {
  const { status, retryAfterSeconds, retryable, details } = error;
  const headers: Record<string, string> = {};
  if (retryAfterSeconds !== undefined) {
    headers["retry-after"] = String(Math.max(0, Math.ceil(retryAfterSeconds)));
  }
  // OpenAI's clients send 408, 409, 429 and 5xx again unless this says that it is of no use.
  if (status >= 500 || [408, 409, 429].includes(status)) {
    headers["x-should-retry"] = String(retryable);
  }
  if (status === 401) headers["www-authenticate"] = "Bearer";
  if (status === 405 && Array.isArray(details["allowed"])) {
    headers["allow"] = details["allowed"].join(", ");
  }
  if (status === 416 && typeof details["sizeBytes"] === "number") {
    headers["content-range"] = `bytes */${details["sizeBytes"]}`;
  }
  return headers;
}
