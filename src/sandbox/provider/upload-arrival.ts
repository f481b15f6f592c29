import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { type Readable, Transform } from "node:stream";
import { Busboy, type BusboyHeaders } from "@fastify/busboy";

/** A multipart upload that has arrived. */
export interface ArrivedUpload {
  readonly fields: ReadonlyMap<string, string>;
  /** The part called `file`; undefined when there was none. */
  readonly file: ArrivedFile | undefined;
}

/** The file of an upload; its bytes are at the path that was given. */
export interface ArrivedFile {
  readonly fileName: string;
  readonly mimeType: string;
  /** Counted; beyond the limit the count stops at the first byte too many. */
  readonly bytes: number;
  readonly sha256: string;
}

/** Where an upload goes, and how far. */
export interface ArrivalOptions {
  readonly path: string;
  /** More bytes than this are not written: the rest of the file is thrown away unread. */
  readonly maxFileBytes: number;
  /** Sees each chunk of the request's body before the parser does; false: the request is over. */
  onBytes(total: number): Promise<boolean>;
}

const LIMITS = { files: 1, fields: 20, fieldSize: 64 * 1024, parts: 21, headerPairs: 50 } as const;

/** The body is not the multipart form it says it is, or it ended early. */
export class BrokenUpload extends Error {
  override readonly name = "BrokenUpload";
}

/**
 * Reads a multipart body as it streams in: the file to disk, counted and hashed with SHA-256, the
 * fields to memory. Resolves at the end of the body, or as soon as the file is over its limit. Rejects
 * with `BrokenUpload` when the body is broken or the client goes away.
 */
export function receiveUpload(
  request: IncomingMessage,
  options: ArrivalOptions,
): Promise<ArrivedUpload> {
  const { promise, resolve, reject } = Promise.withResolvers<ArrivedUpload>();
  const fields = new Map<string, string>();
  let file: Promise<ArrivedFile> | undefined;
  let source: Readable | undefined;
  const parser = new Busboy({ headers: request.headers as BusboyHeaders, limits: LIMITS });
  const meter = meterOf(options);
  const fail = (cause: unknown): void => {
    const error = new BrokenUpload("The upload is broken or ended early.", { cause });
    source?.destroy(error);
    reject(error);
  };
  parser.on("field", (name, value) => fields.set(name, value));
  parser.on("file", (field, stream, fileName, _encoding, mimeType) => {
    stream.on("error", () => undefined);
    if (field !== "file") {
      stream.resume();
      return;
    }
    source = stream;
    file = writeFile(stream, options).then((written) => {
      const arrived = { fileName: fileName ?? "", mimeType, ...written };
      if (arrived.bytes > options.maxFileBytes) resolve({ fields, file: arrived });
      return arrived;
    });
    file.catch(fail);
  });
  parser.on("error", fail);
  parser.on("finish", () => {
    Promise.resolve(file).then((arrived) => resolve({ fields, file: arrived }), fail);
  });
  request.once("error", fail);
  meter.once("error", fail);
  request.pipe(meter).pipe(parser);
  return promise.finally(() => request.unpipe(meter));
}

function meterOf(options: ArrivalOptions): Transform {
  let total = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done): void {
      total += chunk.length;
      options.onBytes(total).then((goOn) => {
        // Also a body that has arrived whole: without an end, nobody would notice that it is over.
        if (goOn) done(null, chunk);
        else done(new BrokenUpload("The upload was cut off on purpose."));
      }, done);
    },
  });
}

async function writeFile(
  stream: Readable,
  { path, maxFileBytes }: ArrivalOptions,
): Promise<{ bytes: number; sha256: string }> {
  const file = await open(path, "wx", 0o600);
  try {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      bytes += (chunk as Buffer).length;
      if (bytes > maxFileBytes) return { bytes, sha256: "" };
      hash.update(chunk as Buffer);
      await file.writeFile(chunk as Buffer);
    }
    return { bytes, sha256: hash.digest("hex") };
  } finally {
    await file.close();
  }
}
