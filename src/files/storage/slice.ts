import { pipeline, type Readable, Transform } from "node:stream";
import type { ByteRange } from "../file-manager.ts";

/**
 * The bytes of `range` out of a body that has them all: some servers answer a range with the whole
 * object. With null, the body itself.
 */
export function sliceOf(body: Readable, range: ByteRange | null): Readable {
  if (range === null) return body;
  let position = 0;
  const slice = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const start = Math.max(range.start - position, 0);
      const end = Math.min(range.end + 1 - position, chunk.length);
      position += chunk.length;
      done(null, start < end ? chunk.subarray(start, end) : undefined);
    },
  });
  // `pipeline` hands errors on and destroys both ends; whoever reads the slice sees them.
  return pipeline(body, slice, () => undefined);
}
