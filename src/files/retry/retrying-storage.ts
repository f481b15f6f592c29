import type { ObjectStorage } from "../storage/object-storage.ts";
import type { BackendRetries } from "./backend-retries.ts";

/**
 * Object storage whose passing failures are repeated. All of its requests may be: a put replaces the
 * same bytes under the same key (its body is opened anew each time), a removal of what is gone
 * succeeds. A download is repeated until its first byte; what breaks off later is its reader's matter.
 */
export function retryingStorage(storage: ObjectStorage, retries: BackendRetries): ObjectStorage {
  return {
    put: (object, signal) => retries.idempotent(signal, () => storage.put(object, signal)),
    get: (key, range, signal) => retries.idempotent(signal, () => storage.get(key, range, signal)),
    head: (key, signal) => retries.idempotent(signal, () => storage.head(key, signal)),
    remove: (key, signal) => retries.idempotent(signal, () => storage.remove(key, signal)),
    prepare: (count) => storage.prepare?.(count),
    close: () => storage.close(),
  };
}
