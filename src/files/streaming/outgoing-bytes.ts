import { createHash, type Hash } from "node:crypto";
import { sourceChanged } from "../errors.ts";
import type { FileSource, Progress } from "../file-manager.ts";
import { sourceChunks } from "../source.ts";
import type { KnownHash } from "./source-hashes.ts";

/**
 * The bytes of one upload on their way to storage. The last chunk is held back until it is certain that
 * the bytes are those that were announced, so that of a file that changed meanwhile nothing is stored.
 */
export class OutgoingBytes {
  readonly #source: FileSource;
  readonly #known: KnownHash;
  readonly #progress: Progress | undefined;
  readonly #md5: Hash | null;
  #md5Hex: string | null = null;

  constructor(
    source: FileSource,
    known: KnownHash,
    options: { readonly withMd5: boolean; readonly progress?: Progress | undefined },
  ) {
    this.#source = source;
    this.#known = known;
    this.#progress = options.progress;
    this.#md5 = options.withMd5 ? createHash("md5") : null;
  }

  /** MD5 of what was sent, in hex, where it was asked for; null before the last chunk. */
  get md5(): string | null {
    return this.#md5Hex;
  }

  /**
   * Chunks in the order of the file; a chunk is only good until the one after the next is asked for.
   * Throws `FILES_SOURCE_CHANGED` instead of the last one when the bytes are not those announced.
   */
  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    const { sizeBytes } = this.#source;
    const sha256 = this.#known.isTrusted ? null : createHash("sha256");
    let sent = 0;
    for await (const chunk of sourceChunks(this.#source)) {
      sha256?.update(chunk);
      this.#md5?.update(chunk);
      sent += chunk.length;
      if (sent >= sizeBytes) await this.#check(sent, sha256);
      yield chunk;
      this.#progress?.(sent);
    }
    if (sent < sizeBytes) throw this.#changed();
  }

  async #check(sent: number, sha256: Hash | null): Promise<void> {
    if (sent !== this.#source.sizeBytes) throw this.#changed();
    if (sha256 !== null && sha256.digest("hex") !== this.#known.sha256) throw this.#changed();
    await this.#source.verifyUnchanged();
    this.#md5Hex = this.#md5?.digest("hex") ?? null;
  }

  #changed(): Error {
    return sourceChanged(this.#source.path === null ? "The file" : `The file ${this.#source.path}`);
  }
}
