import { randomBytes } from "node:crypto";
import {
  extensions,
  MIB,
  type ProviderWire,
  type PurposeRule,
  type Refusal,
  type RefusalFacts,
  type WireError,
} from "./wire.ts";

const UPLOAD_PAGE = "https://platform.moonshot.ai/docs/api/files-upload";

const DOCUMENTS = extensions(
  "pdf txt csv doc docx xls xlsx ppt pptx md jpeg jpg png bmp gif svg svgz webp ico xbm dib pjp tif pjpeg avif " +
    "dot apng epub tiff jfif html json mobi log go h c cpp cxx cc cs java js css jsp php py py3 asp yaml yml ini " +
    "conf ts tsx",
);

const RULE: PurposeRule = {
  maxBytes: 100 * MIB,
  maxFiles: 1000,
  extensions: DOCUMENTS,
  content: "extracted-text",
  source: UPLOAD_PAGE,
};

/** The answer to each refusal: HTTP status, error type, message. */
const ERRORS: Readonly<
  Record<Refusal, readonly [number, string, (facts: RefusalFacts) => string]>
> = {
  "no-key": [401, "invalid_authentication_error", () => "Invalid Authentication"],
  "wrong-key": [401, "incorrect_api_key_error", () => "Incorrect API key provided"],
  "not-multipart": [
    400,
    "invalid_request_error",
    () => "request Content-Type isn't multipart/form-data",
  ],
  "no-file": [400, "invalid_request_error", () => "Invalid request: file is required"],
  "no-purpose": [
    400,
    "invalid_request_error",
    () => "Invalid purpose: only 'file-extract' accepted",
  ],
  "bad-purpose": [
    400,
    "invalid_request_error",
    () => "Invalid purpose: only 'file-extract' accepted",
  ],
  "empty-file": [
    400,
    "invalid_request_error",
    () => "File size is zero, please confirm and re-upload the file",
  ],
  "too-large": [
    400,
    "invalid_request_error",
    (facts) =>
      `File size is too large, max file size is ${(facts.limitBytes ?? 0) / MIB}MB, please confirm and re-upload the file`,
  ],
  "bad-type": [
    400,
    "invalid_request_error",
    () => "Invalid file type, please confirm and re-upload the file",
  ],
  "too-many-files": [
    400,
    "invalid_request_error",
    (facts) =>
      `The number of files you have uploaded exceeded the max file count ${facts.maxFiles}, please delete previous uploaded files`,
  ],
  "quota-spent": [
    400,
    "invalid_request_error",
    () =>
      "The total size of your files exceeded the max total size, please delete previous uploaded files",
  ],
  "too-fast": [
    429,
    "rate_limit_reached_error",
    (facts) =>
      `Your account request reached max request: ${facts.limit}, please try again after ${facts.retryAfterSeconds} seconds`,
  ],
  "too-many-at-once": [
    429,
    "rate_limit_reached_error",
    (facts) =>
      `Your account request reached max concurrency: ${facts.limit}, please try again after ${facts.retryAfterSeconds} seconds`,
  ],
  arrears: [
    429,
    "exceeded_current_quota_error",
    () => "You exceeded your current quota, please check your account balance",
  ],
  "not-found": [404, "resource_not_found_error", (facts) => `file ${facts.fileId} not found`],
  "no-content": [400, "invalid_request_error", () => "The file has no extracted content"],
  "no-route": [404, "resource_not_found_error", () => "The requested URL was not found"],
};

/** What a fault's status is called; other statuses get the nearest of these. */
const FAULTS: Readonly<Record<number, readonly [string, string]>> = {
  401: ["incorrect_api_key_error", "Incorrect API key provided"],
  429: ["engine_overloaded_error", "The engine is currently overloaded, please try again later"],
  500: ["server_error", "An internal error occurred"],
  503: ["server_unavailable", "The server is temporarily unavailable"],
};

/**
 * The file API of Kimi (Moonshot AI): platform.moonshot.ai `api/files*`, `api/errors`. One page still
 * names `file-extract` as the only purpose while another lists four; the four are accepted.
 */
export const KIMI_WIRE: ProviderWire = {
  name: "kimi",
  title: "Kimi (Moonshot AI)",
  basePath: "/v1",
  purposes: {
    "file-extract": RULE,
    image: { ...RULE, content: "refused" },
    video: { ...RULE, extensions: null, content: "refused" },
    batch: { ...RULE, extensions: extensions("jsonl"), content: "bytes" },
  },
  maxFiles: 1000,
  maxTotalBytes: 10 * 1024 * MIB,
  retrieves: true,
  lists: "all",
  requestIdHeader: "msh-request-id",
  rateHeaders: ({ limit, remaining, resetSeconds }) => ({
    "x-ratelimit-limit": `${limit}`,
    "x-ratelimit-remaining": `${remaining}`,
    "x-ratelimit-reset": `${resetSeconds}`,
  }),
  newFileId: () => randomBytes(10).toString("hex"),
  fileObject: (file) => ({
    id: file.id,
    object: "file",
    bytes: file.bytes,
    created_at: file.createdAt,
    filename: file.fileName,
    purpose: file.purpose,
    status: "ok",
    status_details: "",
  }),
  refuse: (refusal, facts) => {
    const [status, type, message] = ERRORS[refusal];
    const { retryAfterSeconds } = facts;
    const headers =
      retryAfterSeconds === undefined ? {} : { "retry-after": `${retryAfterSeconds}` };
    return { ...errorOf(status, type, message(facts)), headers };
  },
  fault: (status) => {
    const [type, message] = FAULTS[status] ??
      (status >= 500 ? FAULTS[500] : undefined) ?? ["invalid_request_error", "Bad request"];
    const headers = status === 429 || status === 503 ? { "retry-after": "1" } : {};
    return { ...errorOf(status, type, message), headers };
  },
};

function errorOf(status: number, type: string, message: string): WireError {
  return { status, body: { error: { type, message } } };
}
