import { createHash, type Hash } from "node:crypto";
import { pipeline, type Readable, Transform, type TransformCallback } from "node:stream";
import { integrity } from "../errors.ts";

/** What a body must turn out to be. */
export interface ExpectedBody {
  /** Starts the error message, such as `The stored bytes of file 123`. */
  readonly what: string;
  readonly sizeBytes: number;
  /** SHA-256 of the whole in hex; null for a range, of which only the length can be checked. */
  readonly sha256: string | null;
}

/** Passes bytes on and keeps the last chunk back until the whole is known to be right. */
class BodyCheck extends Transform {
  readonly #expected: ExpectedBody;
  readonly #hash: Hash | null;
  #bytes = 0;

  constructor(expected: ExpectedBody) {
    super({ readableHighWaterMark: 256 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#expected = expected;
    this.#hash = expected.sha256 === null ? null : createHash("sha256");
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#bytes += chunk.length;
    this.#hash?.update(chunk);
    if (this.#bytes < this.#expected.sizeBytes) done(null, chunk);
    else done(this.#judge(), chunk);
  }

  override _flush(done: TransformCallback): void {
    done(this.#bytes < this.#expected.sizeBytes || this.#bytes === 0 ? this.#judge() : null);
  }

  #judge(): Error | null {
    const { what, sizeBytes, sha256 } = this.#expected;
    if (this.#bytes !== sizeBytes) {
      const facts = { expected: `${sizeBytes} bytes`, actual: `${this.#bytes} bytes` };
      return integrity(`${what} have another length`, facts);
    }
    const actual = this.#hash?.digest("hex") ?? null;
    if (actual === null || sha256 === null || actual === sha256) return null;
    return integrity(`${what} have another SHA-256`, { expected: sha256, actual });
  }
}

/**
 * The same bytes, checked: the stream fails with `FILES_INTEGRITY` before its last chunk when they are
 * not what was stored, so that a reader never takes wrong bytes for a whole file. Destroying it closes
 * the body.
 */
export function checkedBody(body: Readable, expected: ExpectedBody): Readable {
  // Errors reach the reader through the check itself; the callback only keeps them from being thrown.
  return pipeline(body, new BodyCheck(expected), () => undefined);
}
