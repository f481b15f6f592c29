import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import type { FileSource } from "../../files/file-manager.ts";
import { Rate } from "../../files/retry/rate.ts";
import { sourceChunks } from "../../files/source.ts";

/** Bytes that pass at once: few enough that many slow transfers all move before anybody calls them idle. */
const PIECE_BYTES = 16 * 1024;

/** How fast the transfers of a command may be, all of them together. */
export class Throttle {
  readonly #rate: Rate | null;

  /** Null lets everything pass at once. */
  constructor(bytesPerSecond: number | null, clock: Clock) {
    this.#rate = bytesPerSecond === null ? null : new Rate(bytesPerSecond, clock);
  }

  /** The same bytes, in small pieces and no faster. */
  async *pass(
    chunks: AsyncIterable<Buffer>,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer, void, void> {
    for await (const chunk of chunks) {
      if (this.#rate === null) {
        yield chunk;
        continue;
      }
      for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
        const piece = chunk.subarray(start, start + PIECE_BYTES);
        await this.#rate.pass(piece.length, signal);
        yield piece;
      }
    }
  }

  /**
   * A source whose every reading is throttled. Its hash is found first, at full speed: reading this
   * machine's disk is not what a limit on the network is for.
   */
  async source(source: FileSource, signal: AbortSignal): Promise<FileSource> {
    if (this.#rate === null) return source;
    const sha256 = source.sha256 ?? (await hashOf(source, signal));
    const slow = (stream: Readable): Readable =>
      Readable.from(this.pass(stream, signal), { objectMode: false });
    return {
      sizeBytes: source.sizeBytes,
      sha256,
      // Read through `open` alone: whoever knew the path would read past the limit.
      path: null,
      identity: null,
      open: (range) => slow(source.open(range)),
      verifyUnchanged: () => source.verifyUnchanged(),
    };
  }
}

async function hashOf(source: FileSource, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of sourceChunks(source)) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  await source.verifyUnchanged();
  return hash.digest("hex");
}
