import type { ProviderName } from "../file-manager.ts";
import { type ErrorRow, glmErrors, kimiErrors } from "./error-table.ts";

/** Where the two file APIs differ. */
export interface Dialect {
  readonly provider: Exclude<ProviderName, "none">;
  /** Whether `GET /files/{id}` is documented. */
  readonly hasGetById: boolean;
  /** Whether a list holds the asked purpose only; it may call it by another of its names then. */
  readonly listsByPurpose: boolean;
  /** The query of `GET /files`, with its question mark. */
  readonly listQuery: (purpose: string, after: string | undefined) => string;
  readonly errors: readonly ErrorRow[];
}

/** Kimi lists all files at once and documents no query (platform.kimi.ai, "List files"). */
export const kimiDialect: Dialect = {
  provider: "kimi",
  hasGetById: true,
  listsByPurpose: false,
  listQuery: () => "",
  errors: kimiErrors,
};

/**
 * GLM lists page by page, and nothing without a purpose; a get by id is not documented
 * (docs.bigmodel.cn, "文件列表").
 */
export const glmDialect: Dialect = {
  provider: "glm",
  hasGetById: false,
  listsByPurpose: true,
  listQuery: (purpose, after) =>
    `?${new URLSearchParams({ purpose, limit: "100", order: "created_at", ...(after === undefined ? {} : { after }) })}`,
  errors: glmErrors,
};
