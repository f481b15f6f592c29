import { randomUUID } from "node:crypto";
import { sleep } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import type { LogFields } from "../../base/logger.ts";
import { type Content, type FileEntry, storedFile } from "../catalog/catalog.ts";
import type { StoredFile, UploadRequest } from "../file-manager.ts";
import type { ProviderFile } from "../providers/provider.ts";
import { type ContentKey, contentKeyText, objectKey } from "../storage/object-key.ts";
import { duplicateOf } from "./duplicate.ts";
import { mendObject } from "./mend-object.ts";
import { logged, type OperationWords } from "./operation-log.ts";
import { type FileManagerParts, providerOf } from "./parts.ts";
import { Undo } from "./undo.ts";
import { ownEffectOf, recordEffect } from "./write-effect.ts";

/** The part of an upload that is each path's own: how the bytes travel. */
interface ByteSender {
  /** Stores the bytes as the object `storageKey`. */
  readonly putObject: (storageKey: string, signal: AbortSignal) => Promise<void>;
  /** Sends the bytes to the provider; null where there is none. */
  readonly sendToProvider: ((signal: AbortSignal) => Promise<ProviderFile>) | null;
  /** Object and provider file at once, and both rows at once; or everything one after the other. */
  readonly concurrent: boolean;
  /** Runs the sending when there is room for it. */
  readonly admit: <T>(signal: AbortSignal, sending: () => Promise<T>) => Promise<T>;
  /** Called when both are done; throws when the bytes were not those that were announced. */
  readonly verify: () => Promise<void>;
}

/** One upload, its bytes known. */
export interface Upload {
  readonly request: UploadRequest;
  readonly sha256: string;
  readonly sender: ByteSender;
  readonly signal: AbortSignal;
  /** The id of the content's row, where an unfinished upload has it in its object's key already. */
  readonly contentId?: string | undefined;
}

/**
 * Milliseconds that the request for a content's row is ahead of the one for its file: longer than the
 * insertion of a row takes, shorter than the round trip that is saved.
 */
const HEAD_START_MS = 5;
/** How often an upload starts over because the content it pointed at was removed in between. */
const ATTEMPTS = 10;

/**
 * Stores an upload: object, provider file, content row, file row. Where the content is there already
 * only the file row is added, and the object where that was lost. When a step fails, the steps before it are taken back in reverse and the
 * caller gets the step's own error.
 */
export function storeUpload(parts: FileManagerParts, upload: Upload): Promise<StoredFile> {
  return logged(parts, words, () => store(parts, upload), factsOf);
}

const words: OperationWords = { done: "A file was stored", failed: "A file was not stored" };

function factsOf({ id, sizeBytes, provider, purpose }: StoredFile): LogFields {
  return { file: id, sizeBytes, provider, purpose };
}

async function store(parts: FileManagerParts, upload: Upload): Promise<StoredFile> {
  const { provider, purpose } = upload.request;
  const key: ContentKey = { sha256: upload.sha256, provider, purpose };
  return parts.lock.run(contentKeyText(key), upload.signal, async () => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const file = await attemptUpload(parts, upload, key);
      if (file !== null) return file;
    }
    throw new CodedError(
      "FILES_BUSY",
      `Other processes removed the same bytes ${ATTEMPTS} times while they were being stored. Try again in 1 s.`,
      { status: 503, retryable: true, retryAfterSeconds: 1 },
    );
  });
}

/** Null when the content was removed before the file could point at it. */
async function attemptUpload(
  parts: FileManagerParts,
  upload: Upload,
  key: ContentKey,
): Promise<StoredFile | null> {
  const undo = new Undo(parts);
  try {
    const known = await parts.catalog.findContent(key, upload.signal);
    const { request, signal } = upload;
    const duplicate = known && (await duplicateOf(parts, request, known, signal));
    if (known !== null) await mend(parts, upload, known, undo);
    if (duplicate !== null) {
      parts.counts?.add("returned", duplicate.sizeBytes);
      return duplicate;
    }
    const file =
      known === null
        ? await storeAnew(parts, upload, key, undo)
        : await addFile(parts, upload, known, undo);
    if (file === null) await undo.run();
    else parts.counts?.add(known === null ? "stored" : "reused", file.sizeBytes);
    return file;
  } catch (error) {
    const undone = await undo.run();
    recordEffect(error, undone === "complete" ? "absent" : "possible");
    throw error;
  }
}

/** Sends the bytes of a known content where its object was lost. */
function mend(
  parts: FileManagerParts,
  { sender, signal }: Upload,
  known: Content,
  undo: Undo,
): Promise<void> {
  const put = (storageKey: string): Promise<void> =>
    sender.admit(signal, async () => {
      await sender.putObject(storageKey, signal);
      await sender.verify();
    });
  return mendObject(parts, { known, undo, signal, put });
}

/** Null when the content was removed before the file could point at it. */
async function storeAnew(
  parts: FileManagerParts,
  upload: Upload,
  key: ContentKey,
  undo: Undo,
): Promise<StoredFile | null> {
  const content = await sendContent(parts, upload, key, undo);
  upload.signal.throwIfAborted();
  const adding = addContent(parts, content, undo);
  // Both rows are settled before anything is taken back.
  const [added, early] = await Promise.allSettled([
    adding,
    upload.sender.concurrent ? addFileEarly(parts, upload, content, { undo, adding }) : null,
  ]);
  if (added.status === "rejected") throw added.reason;
  if (early.status === "rejected") throw early.reason;
  const winner = added.value;
  if (early.value !== null) return early.value;
  // Another process stored the same bytes first: our own object and provider file are not needed.
  if (winner.id !== content.id) await undo.run();
  return addFile(parts, upload, winner, undo);
}

/** Sends the bytes and says which row they are to have. */
async function sendContent(
  parts: FileManagerParts,
  upload: Upload,
  key: ContentKey,
  undo: Undo,
): Promise<Content> {
  const { clock } = parts;
  const { request, signal } = upload;
  const id = upload.contentId ?? randomUUID();
  const storageKey = objectKey(key, id);
  const providerFile = await upload.sender.admit(signal, () =>
    sendBytes(parts, upload, storageKey, undo),
  );
  return {
    ...key,
    id,
    storageKey,
    providerFileId: providerFile?.id ?? null,
    sizeBytes: request.source.sizeBytes,
    createdAt: new Date(clock.now()).toISOString(),
  };
}

/** Answers the row that is there afterwards: ours, or that of whoever was first. */
async function addContent(
  { catalog, logger }: FileManagerParts,
  content: Content,
  undo: Undo,
): Promise<Content> {
  const { id } = content;
  const write = new RowWrite();
  undo.add(`content ${id}`, (each) => removeContentRow(catalog, id, write, each), true);
  const winner = await write.run((each) => catalog.addContent(content, each));
  logger.debug({ content: winner.id, isOurs: winner.id === id }, "The content has its row");
  return winner;
}

/**
 * Adds the file while the answer about its content's row is on its way, which saves a round trip where
 * there is latency. The foreign key keeps the order: a file that is there first is refused. Null: not
 * added, because the answer was faster, or the content's row was not there (yet).
 */
async function addFileEarly(
  parts: FileManagerParts,
  upload: Upload,
  content: Content,
  { undo, adding }: { readonly undo: Undo; readonly adding: Promise<Content> },
): Promise<StoredFile | null> {
  let isAnswered = false;
  const answered = adding.then(
    () => undefined,
    () => undefined,
  );
  const lead = new AbortController();
  const ahead = sleep(parts.clock, HEAD_START_MS, lead.signal).catch(() => undefined);
  await Promise.race([answered.then(() => (isAnswered = true)), ahead]);
  lead.abort();
  return isAnswered ? null : addFile(parts, upload, content, undo);
}

async function sendBytes(
  parts: FileManagerParts,
  upload: Upload,
  storageKey: string,
  undo: Undo,
): Promise<ProviderFile | null> {
  const { sender, signal } = upload;
  const stop = new AbortController();
  const storing = AbortSignal.any([signal, stop.signal]);
  undo.add(`object ${storageKey}`, async (each) => {
    await parts.storage.remove(storageKey, each);
    return undefined;
  });
  const failures: unknown[] = [];
  const guarded = async <T>(work: Promise<T>): Promise<T | null> => {
    try {
      return await work;
    } catch (error) {
      failures.push(error);
      stop.abort(error);
      return null;
    }
  };
  const putObject = async (): Promise<void> => {
    await sender.putObject(storageKey, storing);
    parts.logger.debug({ sizeBytes: upload.request.source.sizeBytes }, "The bytes are stored");
  };
  const stored = guarded(putObject());
  if (!sender.concurrent) await stored;
  // Not stopped by a failed object: a provider that is cut off may keep a file whose id nobody knows.
  const sent = failures.length > 0 ? null : guarded(sendToProvider(parts, upload, undo));
  const [, providerFile] = await Promise.all([stored, sent]);
  if (failures.length > 0) throw failures[0];
  await sender.verify();
  return providerFile;
}

async function sendToProvider(
  parts: FileManagerParts,
  upload: Upload,
  undo: Undo,
): Promise<ProviderFile | null> {
  const { sender, signal, request } = upload;
  const { provider: name } = request;
  if (sender.sendToProvider === null || name === "none") return null;
  try {
    const file = await sender.sendToProvider(signal);
    parts.logger.debug({ provider: name, providerFile: file.id }, "The provider has the bytes");
    undo.add(`file ${file.id} at provider ${name}`, async (each) => {
      await providerOf(parts, name).remove(file.id, each);
      return undefined;
    });
    return file;
  } catch (error) {
    if (ownEffectOf(error) !== "absent") undo.mayHaveLeft(`a file at provider ${name}`, error);
    throw error;
  }
}

async function addFile(
  parts: FileManagerParts,
  upload: Upload,
  content: Content,
  undo: Undo,
): Promise<StoredFile | null> {
  const { catalog, clock } = parts;
  const { request, signal } = upload;
  const now = new Date(clock.now()).toISOString();
  const { owner, name, purpose, provider, mimeType, metadata } = request;
  const id = randomUUID();
  const entry: FileEntry = {
    id,
    owner,
    contentId: content.id,
    name,
    purpose,
    provider,
    mimeType,
    metadata,
    createdAt: now,
    accessedAt: now,
  };
  signal.throwIfAborted();
  const write = new RowWrite();
  undo.add(`file ${id}`, async (each) => {
    if (write.isAbsent) return undefined;
    const isRemoved = await catalog.removeFile({ owner, id }, each);
    if (!isRemoved) write.expectKnown();
    return undefined;
  });
  const isAdded = await write.run((each) => catalog.addFile(entry, each));
  if (!isAdded) write.refused();
  return isAdded ? storedFile(entry, content) : null;
}

async function removeContentRow(
  catalog: FileManagerParts["catalog"],
  id: string,
  write: RowWrite,
  signal: AbortSignal,
): Promise<"keep" | undefined> {
  const removal = await catalog.removeContent(id, signal);
  if (removal === "absent") write.expectKnown();
  // Another process has pointed a file at our row already.
  return removal === "in-use" ? "keep" : undefined;
}

/**
 * The writing of one row, whose own time limit bounds it: a caller who gives up may not cut it off,
 * because a row could then still appear after it was taken back.
 */
class RowWrite {
  #isKnown = false;
  #isAbsent = false;

  /** Nothing was written, for certain. */
  get isAbsent(): boolean {
    return this.#isAbsent;
  }

  async run<T>(write: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      const written = await write(new AbortController().signal);
      this.#isKnown = true;
      return written;
    } catch (error) {
      this.#isKnown = ownEffectOf(error) === "absent";
      throw error;
    }
  }

  /** The answer was that the row cannot be written. */
  refused(): void {
    this.#isAbsent = true;
  }

  /** The row is not there; throws when it may yet come, because the answer to its writing was lost. */
  expectKnown(): void {
    if (!this.#isKnown) throw new Error("It is not known whether the row will still be written.");
  }
}
