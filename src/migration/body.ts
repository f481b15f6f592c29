import { createHash, type Hash } from "node:crypto";
import { pipeline, Readable, Transform } from "node:stream";
import { ReadableStream } from "node:stream/web";

/** How a body ended. */
export interface BodyEnd {
  readonly kind: "complete" | "failed" | "cancelled";
  readonly bytes: number;
  /** SHA-256 in hex of a complete body, when it was asked for. */
  readonly digest: string | null;
  readonly error: unknown;
}

/** What the facade wants to know about a body while it passes. */
export interface BodyWatcher {
  readonly digest: boolean;
  readonly onFirstByte: () => void;
  /** Called exactly once. */
  readonly onEnd: (end: BodyEnd) => void;
}

type Body = Readable | ReadableStream<Uint8Array>;

const isBody = (value: unknown): value is Body =>
  value instanceof Readable || value instanceof ReadableStream;

/** The body of an output: the output itself, or what its `body` field holds; null when there is none. */
export function bodyOf(output: unknown): Body | null {
  if (isBody(output)) return output;
  const body = (output as { body?: unknown } | null | undefined)?.body;
  return isBody(body) ? body : null;
}

/**
 * Resolves once the first bytes of a Node stream are there, or its end; rejects with its error. Until
 * then another path may still answer the call. A web stream is taken as it is.
 */
export function firstByte(body: Body): Promise<void> {
  if (!(body instanceof Readable) || body.readableLength > 0 || body.readableEnded) {
    return Promise.resolve();
  }
  if (body.errored) return Promise.reject(body.errored);
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      body.off("readable", onReady);
      body.off("end", onReady);
      body.off("close", onReady);
      body.off("error", onError);
    };
    const onReady = (): void => {
      leave();
      resolve();
    };
    const onError = (error: unknown): void => {
      leave();
      // The error event was consumed here; a destroyed stream must not crash the process later on.
      body.on("error", () => undefined);
      reject(error);
    };
    body.on("readable", onReady);
    body.on("end", onReady);
    body.on("close", onReady);
    body.on("error", onError);
  });
}

/** Counts and, where asked, hashes; reports the end exactly once. */
class Tally {
  readonly #watcher: BodyWatcher;
  readonly #hash: Hash | null;
  #bytes = 0;
  #ended = false;

  constructor(watcher: BodyWatcher) {
    this.#watcher = watcher;
    this.#hash = watcher.digest ? createHash("sha256") : null;
  }

  add(chunk: Uint8Array): void {
    if (this.#bytes === 0 && chunk.byteLength > 0) this.#watcher.onFirstByte();
    this.#bytes += chunk.byteLength;
    this.#hash?.update(chunk);
  }

  end(kind: BodyEnd["kind"], error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    const digest = kind === "complete" && this.#hash ? this.#hash.digest("hex") : null;
    this.#watcher.onEnd({ kind, bytes: this.#bytes, digest, error });
  }
}

function watchReadable(source: Readable, tally: Tally): Readable {
  const passing = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      tally.add(chunk);
      done(null, chunk);
    },
  });
  // Whoever goes first decides: a source that ends badly while the reader still reads has failed; one
  // that is torn down because the reader left was cancelled.
  let broke: { readonly error: unknown } | null = null;
  source.once("error", (error) => {
    if (!passing.destroyed) broke = { error };
  });
  source.once("close", () => {
    if (!source.readableEnded && !passing.destroyed) broke ??= { error: source.errored };
  });
  // `pipeline` hands the source's own error object on to the reader and destroys both ends.
  pipeline(source, passing, (error) => {
    if (!error) tally.end("complete", null);
    else if (broke === null) tally.end("cancelled", error);
    else tally.end("failed", broke.error ?? error);
  });
  return passing;
}

function watchWeb(source: ReadableStream<Uint8Array>, tally: Tally): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            tally.end("complete", null);
            controller.close();
            return;
          }
          tally.add(value);
          controller.enqueue(value);
        } catch (error) {
          tally.end("failed", error);
          controller.error(error);
        }
      },
      cancel(reason) {
        tally.end("cancelled", reason);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * The same output with a body that reports to `watcher`; chunks are handed through, not copied. The
 * reader sees the source's own error, and cancelling reaches the source.
 */
export function watchBody<O>(output: O, body: Body, watcher: BodyWatcher): O {
  const tally = new Tally(watcher);
  const watched = body instanceof Readable ? watchReadable(body, tally) : watchWeb(body, tally);
  if ((output as unknown) === body) return watched as O;
  const carrier = output as object;
  const copy = Object.create(
    Object.getPrototypeOf(carrier),
    Object.getOwnPropertyDescriptors(carrier),
  ) as O;
  Object.defineProperty(copy, "body", { value: watched, enumerable: true, writable: true });
  return copy;
}

/** Gives up an output that nobody will read, so that its socket or file is closed. */
export function discardBody(output: unknown): void {
  const body = bodyOf(output);
  if (body instanceof Readable) body.on("error", () => undefined).destroy();
  else void body?.cancel().catch(() => undefined);
}

/** Reads a body to its end without keeping it. */
export async function drain(body: Body): Promise<{ bytes: number; digest: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    hash.update(chunk);
    bytes += chunk.byteLength;
  }
  return { bytes, digest: hash.digest("hex") };
}
