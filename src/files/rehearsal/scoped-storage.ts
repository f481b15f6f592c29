import type { Readable } from "node:stream";
import type { ByteRange } from "../file-manager.ts";
import type { NewObject, ObjectFacts, ObjectStorage } from "../storage/object-storage.ts";

/** The same storage below a prefix. Remembers what it was asked to store, so that it can be removed. */
export class ScopedStorage implements ObjectStorage {
  readonly #inner: ObjectStorage;
  readonly #prefix: string;
  readonly #keys = new Set<string>();

  constructor(inner: ObjectStorage, prefix: string) {
    this.#inner = inner;
    this.#prefix = prefix;
  }

  /** Whole keys of everything that may have been stored, whether or not it was removed again. */
  get keys(): readonly string[] {
    return [...this.#keys];
  }

  put(object: NewObject, signal: AbortSignal): Promise<void> {
    const key = this.#inside(object.key);
    this.#keys.add(key);
    return this.#inner.put({ ...object, key }, signal);
  }

  get(key: string, range: ByteRange | null, signal: AbortSignal): Promise<Readable | null> {
    return this.#inner.get(this.#inside(key), range, signal);
  }

  head(key: string, signal: AbortSignal): Promise<ObjectFacts | null> {
    return this.#inner.head(this.#inside(key), signal);
  }

  remove(key: string, signal: AbortSignal): Promise<void> {
    return this.#inner.remove(this.#inside(key), signal);
  }

  /** Does nothing: the connections belong to whoever opened them. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  #inside(key: string): string {
    return `${this.#prefix}/${key}`;
  }
}
