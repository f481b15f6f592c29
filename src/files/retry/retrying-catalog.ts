import type { Catalog } from "../catalog/catalog.ts";
import type { BackendRetries } from "./backend-retries.ts";

/**
 * A catalogue whose passing failures are repeated. A file's row is added, and rows are removed, by
 * requests whose second answer would be another one than the first: those are only repeated when
 * nothing was sent. A content's row may be added again: whoever was first, we too, is the one that is
 * answered.
 */
export function retryingCatalog(catalog: Catalog, retries: BackendRetries): Catalog {
  return {
    findContent: (key, signal) =>
      retries.idempotent(signal, () => catalog.findContent(key, signal)),
    findContentById: (id, signal) =>
      retries.idempotent(signal, () => catalog.findContentById(id, signal)),
    hasProviderFile: (file, signal) =>
      retries.idempotent(signal, () => catalog.hasProviderFile(file, signal)),
    listContents: (page, signal) =>
      retries.idempotent(signal, () => catalog.listContents(page, signal)),
    addContent: (content, signal) =>
      retries.idempotent(signal, () => catalog.addContent(content, signal)),
    removeContent: (id, signal) => retries.unsent(signal, () => catalog.removeContent(id, signal)),
    addFile: (entry, signal) => retries.unsent(signal, () => catalog.addFile(entry, signal)),
    findFile: (request, signal) =>
      retries.idempotent(signal, () => catalog.findFile(request, signal)),
    findFileOf: (of, signal) => retries.idempotent(signal, () => catalog.findFileOf(of, signal)),
    list: (request, signal) => retries.idempotent(signal, () => catalog.list(request, signal)),
    removeFile: (request, signal) =>
      retries.unsent(signal, () => catalog.removeFile(request, signal)),
    // Not worth a retry: the next download stamps the file again.
    markAccessed: (request, at, signal) => catalog.markAccessed(request, at, signal),
    prepare: (count) => catalog.prepare?.(count),
    close: () => catalog.close(),
  };
}
