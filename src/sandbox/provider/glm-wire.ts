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

const BIGMODEL = "https://docs.bigmodel.cn/cn/api (file API)";
const Z_AI = "https://docs.z.ai/api-reference/agents/file-upload";
const SDK = "https://github.com/zai-org/z-ai-sdk-python (src/zai/types/files)";

const AGENT_TYPES = extensions("pdf docx doc xls xlsx txt png jpg jpeg csv");

/** The two documentation sites differ; where both name a purpose, the stricter limit stands. */
const PURPOSES: Readonly<Record<string, PurposeRule>> = {
  agent: {
    maxBytes: 20 * MIB,
    maxImageBytes: 5 * MIB,
    maxFiles: 1000,
    extensions: AGENT_TYPES,
    content: "refused",
    source: BIGMODEL,
  },
  file: {
    maxBytes: 100 * MIB,
    maxFiles: 100,
    extensions: extensions("pdf doc docx xlsx ppt pptx txt jpg png"),
    content: "refused",
    source: Z_AI,
  },
  "code-interpreter": {
    maxBytes: 20 * MIB,
    maxImageBytes: 5 * MIB,
    maxFiles: 100,
    extensions: AGENT_TYPES,
    content: "refused",
    source: BIGMODEL,
  },
  "file-extract": {
    maxBytes: 50 * MIB,
    maxImageBytes: 5 * MIB,
    maxFiles: 100,
    extensions: extensions("pdf docx doc xls xlsx ppt pptx png jpg jpeg csv"),
    content: "refused",
    source: BIGMODEL,
  },
  batch: {
    maxBytes: 100 * MIB,
    maxFiles: 1000,
    extensions: extensions("jsonl"),
    content: "bytes",
    source: BIGMODEL,
  },
  "voice-clone-input": {
    maxBytes: 100 * MIB,
    maxFiles: 1000,
    extensions: extensions("mp3 wav"),
    content: "refused",
    source: SDK,
  },
  "fine-tune": {
    maxBytes: 100 * MIB,
    maxFiles: 1000,
    extensions: extensions("jsonl"),
    content: "refused",
    source: SDK,
  },
};

const INVALID = "Invalid API parameter, please check the documentation.";

/** The answer to each refusal: HTTP status, business code (a string of digits), message. */
const ERRORS: Readonly<
  Record<Refusal, readonly [number, string, (facts: RefusalFacts) => string]>
> = {
  "no-key": [
    401,
    "1001",
    () => "Authentication parameter not received in Header, unable to authenticate",
  ],
  "wrong-key": [401, "1000", () => "Authentication Failed"],
  "not-multipart": [400, "1210", () => INVALID],
  "no-file": [400, "1213", () => "The file parameter was not received properly."],
  "no-purpose": [400, "1213", () => "The purpose parameter was not received properly."],
  "bad-purpose": [
    400,
    "1214",
    () => "The purpose parameter is invalid. Please check the documentation.",
  ],
  "empty-file": [
    400,
    "1214",
    () => "The file parameter is invalid. Please check the documentation.",
  ],
  "too-large": [400, "1210", () => INVALID],
  "bad-type": [400, "1214", () => "The file parameter is invalid. Please check the documentation."],
  "too-many-files": [400, "1210", () => INVALID],
  "quota-spent": [400, "1210", () => INVALID],
  "too-fast": [
    429,
    "1303",
    () => "High frequency usage of this API, please reduce the frequency of your requests.",
  ],
  "too-many-at-once": [
    429,
    "1302",
    () => "Your concurrency for this API is too high. Please reduce it.",
  ],
  arrears: [429, "1113", () => "Your account is in arrears, please recharge and try again."],
  "not-found": [
    404,
    "1214",
    () => "The file_id parameter is invalid. Please check the documentation.",
  ],
  "no-content": [
    400,
    "1214",
    () => "The file_id parameter is invalid. Please check the documentation.",
  ],
  "no-route": [404, "1222", () => "The API does not exist."],
};

/** Documented: files above 100 MB get a status of their own. */
const OVERSIZE_STATUS = 435;
const OVERSIZE_BYTES = 100 * MIB;

const FAULTS: Readonly<Record<number, readonly [string, string]>> = {
  401: ["1000", "Authentication Failed"],
  429: ["1302", "Your concurrency for this API is too high. Please reduce it."],
  500: ["500", "Internal Error"],
  503: ["1230", "API call process error"],
};

/**
 * The file API of GLM (Zhipu, Z.ai): docs.z.ai `api-reference`, docs.bigmodel.cn, and the Python SDK.
 * `GET /files/{id}` is not documented and answers 404; a list without a purpose is empty.
 */
export const GLM_WIRE: ProviderWire = {
  name: "glm",
  title: "GLM (Zhipu / Z.ai)",
  basePath: "/api/paas/v4",
  purposes: PURPOSES,
  maxFiles: 10_000,
  maxTotalBytes: 100 * 1024 * MIB,
  retrieves: false,
  lists: "of-purpose",
  requestIdHeader: "x-log-id",
  // None are documented.
  rateHeaders: () => ({}),
  newFileId: () => `file-${randomBytes(12).toString("hex")}`,
  fileObject: (file) => ({
    id: file.id,
    object: "file",
    bytes: file.bytes,
    filename: file.fileName,
    purpose: file.purpose,
    created_at: file.createdAt,
  }),
  refuse: (refusal, facts) => {
    const [status, code, message] = ERRORS[refusal];
    const isOversize = refusal === "too-large" && (facts.bytes ?? 0) > OVERSIZE_BYTES;
    return errorOf(isOversize ? OVERSIZE_STATUS : status, code, message(facts));
  },
  fault: (status) => {
    const [code, message] = FAULTS[status] ??
      (status >= 500 ? FAULTS[500] : undefined) ?? ["1210", INVALID];
    return errorOf(status, code, message);
  },
};

function errorOf(status: number, code: string, message: string): WireError {
  return { status, body: { error: { code, message } } };
}
