/**
 * Cuts one run of chunks into parts of any length. What is left of a chunk at the end of a part begins
 * the next one; nothing is copied, so a chunk is only good for as long as its source says.
 */
export class PartReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array | null = null;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next `bytes` bytes; fewer only where the run ends. */
  async *take(bytes: number): AsyncGenerator<Uint8Array, void, void> {
    for (let taken = 0; taken < bytes; ) {
      const chunk = this.#rest ?? (await this.#next());
      this.#rest = null;
      if (chunk === null) return;
      const wanted = bytes - taken;
      if (chunk.length > wanted) this.#rest = chunk.subarray(wanted);
      taken += Math.min(chunk.length, wanted);
      yield chunk.subarray(0, wanted);
    }
  }

  /** Reads to the end, for a source that checks its bytes there. */
  async drain(): Promise<void> {
    for (let chunk = await this.#next(); chunk !== null; ) chunk = await this.#next();
  }

  /** Ends the run. Never rejects, and waits for nothing. */
  close(): void {
    void this.#chunks.return?.().catch(() => undefined);
  }

  async #next(): Promise<Uint8Array | null> {
    const { done, value } = await this.#chunks.next();
    return done === true ? null : value;
  }
}
