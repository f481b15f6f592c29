import { createHash, type Hash } from "node:crypto";
import { sourceChanged } from "../errors.ts";
import type { FileSource, Progress } from "../file-manager.ts";
import { sourceChunks } from "../source.ts";
import type { KnownHash } from "./source-hashes.ts";

/**
 * The bytes of one upload on their way to storage. The last chunk is held back until it is certain that
 * the bytes are those that were announced, so that of a file that changed meanwhile nothing is stored.
 * They can be asked for again from any byte on, for a connection that broke off: each byte is hashed
 * once, whether it is sent now, was sent before, or is sent twice.
 */
export class OutgoingBytes {
  readonly #source: FileSource;
  readonly #known: KnownHash;
  readonly #progress: Progress | undefined;
  readonly #sha256: Hash | null;
  readonly #md5: Hash | null;
  #md5Hex: string | null = null;
  #hashedBytes = 0;
  #isWhole = false;
  #run = 0;

  constructor(
    source: FileSource,
    known: KnownHash,
    options: { readonly withMd5: boolean; readonly progress?: Progress | undefined },
  ) {
    this.#source = source;
    this.#known = known;
    this.#progress = options.progress;
    this.#sha256 = known.isTrusted ? null : createHash("sha256");
    this.#md5 = options.withMd5 ? createHash("md5") : null;
  }

  /** MD5 of the whole, in hex, where it was asked for; null before the last chunk. */
  get md5(): string | null {
    return this.#md5Hex;
  }

  /**
   * Chunks in the order of the file, from byte `start` on; a chunk is only good until the one after the
   * next is asked for. Asking anew ends what was asked for before. Throws `FILES_SOURCE_CHANGED`
   * instead of the last one when the bytes are not those announced.
   */
  async *chunks(start = 0): AsyncGenerator<Uint8Array, void, void> {
    const { sizeBytes } = this.#source;
    this.#run += 1;
    const run = this.#run;
    // What was sent by an earlier process has not passed by here: it is read once more, for the hashes.
    let position = Math.min(start, this.#needsHash ? this.#hashedBytes : start);
    for await (const chunk of sourceChunks(this.#source, position)) {
      if (run !== this.#run) return;
      const end = position + chunk.length;
      this.#hash(chunk, position);
      if (end >= sizeBytes) await this.#check(end);
      if (end > start) yield chunk.subarray(Math.max(0, start - position));
      position = end;
      if (end > start) this.#progress?.(end);
    }
    if (run !== this.#run) return;
    if (position < sizeBytes) throw this.#changed();
    if (sizeBytes > 0 && !this.#isWhole) await this.#check(position);
  }

  get #needsHash(): boolean {
    return this.#sha256 !== null || this.#md5 !== null;
  }

  #hash(chunk: Uint8Array, position: number): void {
    const end = position + chunk.length;
    if (end <= this.#hashedBytes) return;
    const fresh = chunk.subarray(Math.max(0, this.#hashedBytes - position));
    this.#sha256?.update(fresh);
    this.#md5?.update(fresh);
    this.#hashedBytes = end;
  }

  async #check(position: number): Promise<void> {
    if (position !== this.#source.sizeBytes) throw this.#changed();
    await this.#source.verifyUnchanged();
    if (this.#isWhole) return;
    const sha256 = this.#sha256?.digest("hex") ?? this.#known.sha256;
    if (sha256 !== this.#known.sha256) throw this.#changed();
    this.#md5Hex = this.#md5?.digest("hex") ?? null;
    this.#isWhole = true;
  }

  #changed(): Error {
    return sourceChanged(this.#source.path === null ? "The file" : `The file ${this.#source.path}`);
  }
}
