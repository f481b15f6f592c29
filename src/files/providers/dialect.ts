import type { ProviderName } from "../file-manager.ts";
import { type ErrorRow, glmErrors, kimiErrors } from "./error-table.ts";
import type { ProviderContent, ProviderPageRequest } from "./provider.ts";

/** Where the two file APIs differ. */
export interface Dialect {
  readonly provider: Exclude<ProviderName, "none">;
  /** Whether `GET /files/{id}` is documented. */
  readonly hasGetById: boolean;
  /** Whether a list holds the asked purpose only; it may call it by another of its names then. */
  readonly listsByPurpose: boolean;
  /** The query of `GET /files`, with its question mark. */
  readonly listQuery: (page: ProviderPageRequest) => string;
  /** The query with which `GET /files` is a cheap probe. */
  readonly probeQuery: string;
  /** What `GET /files/{id}/content` gives; null when it depends on the file's purpose. */
  readonly contentKind: ProviderContent["kind"] | null;
  readonly errors: readonly ErrorRow[];
}

/**
 * Kimi lists all files at once and documents no query (platform.kimi.ai, "List files"). The content of
 * a `file-extract` is the text its parser extracted ("Retrieve file content").
 */
export const kimiDialect: Dialect = {
  provider: "kimi",
  hasGetById: true,
  listsByPurpose: false,
  listQuery: () => "",
  probeQuery: "",
  contentKind: null,
  errors: kimiErrors,
};

/**
 * GLM lists page by page, and nothing without a purpose; a get by id is not documented
 * (docs.bigmodel.cn, "文件列表"). Only files of purpose batch have a content, and it is their bytes.
 */
export const glmDialect: Dialect = {
  provider: "glm",
  hasGetById: false,
  listsByPurpose: true,
  listQuery: ({ purpose, limit = 100, after }) =>
    `?${new URLSearchParams({ purpose, limit: `${limit}`, order: "created_at", ...(after === undefined ? {} : { after }) })}`,
  probeQuery: "?purpose=batch&limit=1",
  contentKind: "bytes",
  errors: glmErrors,
};
