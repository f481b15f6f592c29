import { LRUCache } from "lru-cache";
import type { FileSource } from "../file-manager.ts";
import { type Hasher, hashHere } from "./hasher.ts";

/** A source's SHA-256 and how well it is known. */
export interface KnownHash {
  /** Hex, lower case. */
  readonly sha256: string;
  /**
   * It was computed here from the same path, size, modification time and inode; while those stay, the
   * bytes need not be hashed a second time on their way out.
   */
  readonly isTrusted: boolean;
}

/** How often a hash was in the cache. */
export interface HashCounts {
  readonly hits: number;
  readonly misses: number;
}

/**
 * SHA-256 of sources, remembered by identity: one core hashes 300 to 400 MB/s without special
 * instructions, several times less than a local link carries, so every pass saved counts.
 */
export class SourceHashes {
  readonly #cache: LRUCache<string, string>;
  readonly #hasher: Pick<Hasher, "hash">;
  #hits = 0;
  #misses = 0;

  /** Remembers at most `max` hashes (default 1,000), computed by `hasher` (default: by this thread). */
  constructor(max = 1000, hasher: Pick<Hasher, "hash"> = { hash: hashHere }) {
    this.#hasher = hasher;
    this.#cache = new LRUCache({ max });
  }

  get counts(): HashCounts {
    return { hits: this.#hits, misses: this.#misses };
  }

  /** Hashes remembered right now. */
  get size(): number {
    return this.#cache.size;
  }

  /** Reads the source once unless its hash is known. Throws `FILES_SOURCE_CHANGED`. */
  async of(source: FileSource, signal: AbortSignal): Promise<KnownHash> {
    const { identity } = source;
    const cached = identity === null ? undefined : this.#cache.get(identity);
    if (cached !== undefined) {
      this.#hits += 1;
      return { sha256: cached, isTrusted: true };
    }
    if (source.sha256 !== null) return { sha256: source.sha256, isTrusted: false };
    this.#misses += 1;
    const sha256 = await this.#hasher.hash(source, signal);
    if (identity === null) return { sha256, isTrusted: false };
    await source.verifyUnchanged();
    this.#cache.set(identity, sha256);
    return { sha256, isTrusted: true };
  }
}
