import type { Content } from "../catalog/catalog.ts";
import { integrity } from "../errors.ts";
import { contentIdOfKey } from "../verify/comparison.ts";
import type { FileManagerParts } from "./parts.ts";
import type { Undo } from "./undo.ts";

/** What is needed to store the bytes of a content once more. */
export interface Mending {
  readonly known: Content;
  readonly undo: Undo;
  readonly signal: AbortSignal;
  /** Stores the bytes as the object `storageKey`, and checks that they are those of the content. */
  readonly put: (storageKey: string) => Promise<void>;
}

/**
 * Stores the bytes of a content again whose object is gone or has another size. Whoever uploads them
 * brings what was lost: an upload may not be answered as stored on the word of a row alone, and the
 * files that point at the content get their bytes back. Rejects with `FILES_INTEGRITY` where somebody
 * else's object, which a backfill had taken in, has become another one: that is not ours to replace.
 */
export async function mendObject(
  { catalog, storage, logger }: FileManagerParts,
  { known, undo, signal, put }: Mending,
): Promise<void> {
  const { id, storageKey, sizeBytes } = known;
  const facts = await storage.head(storageKey, signal);
  if (facts?.sizeBytes === sizeBytes) return;
  if (facts !== null && contentIdOfKey(storageKey) === null) {
    const what = `The object ${JSON.stringify(storageKey)}, which had the same bytes, was replaced`;
    throw integrity(what, {
      expected: `${sizeBytes} bytes`,
      actual: `${facts.sizeBytes} bytes`,
    });
  }
  undo.add(`object ${storageKey}`, async (each) => {
    // Others may point at the row by now; without it the object is nobody's.
    if ((await catalog.findContentById(id, each)) === null) await storage.remove(storageKey, each);
    return undefined;
  });
  await put(storageKey);
  logger.warn(
    { content: id, sizeBytes, found: facts?.sizeBytes ?? null },
    "Stored bytes were gone and are stored again",
  );
}
