import { CodedError } from "../../base/errors.ts";
import type { Content } from "../catalog/catalog.ts";
import type { StoredFile, UploadRequest } from "../file-manager.ts";
import type { FileManagerParts } from "./parts.ts";

/**
 * The owner's own file of these bytes, where the request asks to have it instead of another one. Null:
 * go on. Throws `FILES_DUPLICATE` where it asks to be refused. What other owners have stored plays no
 * part, so that nobody can find out what it is.
 */
export async function duplicateOf(
  { catalog }: FileManagerParts,
  { owner, onDuplicate = "force" }: UploadRequest,
  content: Content,
  signal: AbortSignal,
): Promise<StoredFile | null> {
  if (onDuplicate === "force") return null;
  const file = await catalog.findFileOf({ owner, contentId: content.id }, signal);
  if (file === null || onDuplicate === "return") return file;
  throw new CodedError(
    "FILES_DUPLICATE",
    `The same bytes are stored already as file ${file.id}. Use that one, or upload with the choice "return" or "force" for duplicates.`,
    { status: 409, details: { id: file.id, effect: "absent" } },
  );
}
