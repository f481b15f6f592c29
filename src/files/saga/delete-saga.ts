import type { Content } from "../catalog/catalog.ts";
import { notFound } from "../errors.ts";
import type { DeletedFile, FileRequest, LeftPart } from "../file-manager.ts";
import { contentKeyText } from "../storage/object-key.ts";
import { withTimeLimit } from "../storage/time-limit.ts";
import { logged, type OperationWords } from "./operation-log.ts";
import { type FileManagerParts, providerOf } from "./parts.ts";
import { ownEffectOf, recordEffect } from "./write-effect.ts";

/** Milliseconds for each step of removing a content that no file needs any more. */
const STEP_LIMIT_MS = 30_000;

/**
 * Removes a file, and its content when no other file needs it. The file's row goes first: from then on
 * the owner's file is gone, whatever happens. The content's row goes before the bytes, under the foreign
 * key: a crash in between leaves bytes that nobody points at, and never a row that points at nothing.
 * What then cannot be removed is logged with its name and named in the answer, and does not fail the
 * call: `changeover verify --fix` goes on from there, whatever happened in between.
 */
export function deleteFile(
  parts: FileManagerParts,
  request: FileRequest,
  signal: AbortSignal,
): Promise<DeletedFile> {
  const work = (): Promise<DeletedFile> => remove(parts, request, signal);
  return logged(parts, words, work, ({ id }) => ({ file: id }));
}

const words: OperationWords = { done: "A file was deleted", failed: "A file was not deleted" };

async function remove(
  parts: FileManagerParts,
  request: FileRequest,
  signal: AbortSignal,
): Promise<DeletedFile> {
  const { id } = request;
  try {
    const found = await parts.catalog.findFile(request, signal);
    if (found === null) throw notFound(id);
    const { content } = found;
    const left = await parts.lock.run(contentKeyText(content), signal, async () => {
      signal.throwIfAborted();
      // From here on not under the caller's signal: an abort may not leave half of it.
      const isRemoved = await parts.catalog.removeFile(request, new AbortController().signal);
      if (!isRemoved) throw notFound(id);
      return removeContent(parts, content);
    });
    return left.length === 0 ? { id, deleted: true } : { id, deleted: true, left };
  } catch (error) {
    recordEffect(error, ownEffectOf(error));
    throw error;
  }
}

/** Answers what could not be removed. */
async function removeContent(parts: FileManagerParts, content: Content): Promise<LeftPart[]> {
  const { catalog, storage } = parts;
  let isUnused = false;
  const isSettled = await step(parts, `content ${content.id}`, async (signal) => {
    isUnused = (await catalog.removeContent(content.id, signal)) === "removed";
  });
  if (!isSettled) return ["row"];
  if (!isUnused) return [];
  const left: LeftPart[] = [];
  const { provider, providerFileId, storageKey } = content;
  if (provider !== "none" && providerFileId !== null) {
    const isDone = await step(parts, `file ${providerFileId} at provider ${provider}`, (signal) =>
      providerOf(parts, provider).remove(providerFileId, signal),
    );
    if (!isDone) left.push("provider-file");
  }
  const isDone = await step(parts, `object ${storageKey}`, (signal) =>
    storage.remove(storageKey, signal),
  );
  if (!isDone) left.push("object");
  return left;
}

/** False when it could not be done. */
async function step(
  parts: FileManagerParts,
  name: string,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<boolean> {
  const { clock, logger } = parts;
  try {
    await withTimeLimit({ clock, limitMs: STEP_LIMIT_MS }, work);
    logger.debug({ removed: name }, "A step of a delete is done");
    return true;
  } catch (error) {
    logger.error({ left: name, err: error }, "A deleted file left something behind");
    return false;
  }
}
