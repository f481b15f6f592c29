import type { CodedError } from "../../base/errors.ts";
import { integrity, notFound } from "../errors.ts";
import type { FileRequest } from "../file-manager.ts";
import type { FileManagerParts } from "./parts.ts";

/**
 * The error for a file whose object is not there: `FILES_NOT_FOUND` when the file was deleted in the
 * meantime, else `FILES_INTEGRITY`.
 */
export async function missingObject(
  parts: FileManagerParts,
  request: FileRequest,
  signal: AbortSignal,
): Promise<CodedError> {
  const found = await parts.catalog.findFile(request, signal);
  if (found === null) return notFound(request.id);
  const facts = { expected: `${found.content.sizeBytes} bytes`, actual: "no object" };
  return integrity(`The stored bytes of file ${request.id} are missing`, facts);
}
