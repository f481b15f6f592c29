import { Readable } from "node:stream";
import type { Clock, Timer } from "../../base/clock.ts";
import { isCodedError } from "../../base/errors.ts";

/** A one-shot body. A stream that was given an encoding is read as UTF-8. */
export type Body = AsyncIterable<Uint8Array> | Readable;

/** How a body is read. */
export interface ReadingOptions {
  readonly clock: Clock;
  /** Milliseconds to wait for one chunk at most. */
  readonly idleMs: number;
  readonly signal: AbortSignal | undefined;
  /** Makes the error for a body that broke off or stalled. */
  readonly broken: (cause: unknown) => Error;
}

/**
 * A body's chunks, until it ends, breaks off, stalls, or the signal aborts (then with its reason).
 * Coded errors of the body are passed on. The body is never destroyed: its owner decides on that.
 */
export async function* bodyChunks(
  body: Body,
  options: ReadingOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const iterator = iteratorOf(body);
  try {
    while (true) {
      const next = await nextOf(iterator, options);
      if (next.done === true) return;
      yield typeof next.value === "string" ? Buffer.from(next.value) : next.value;
    }
  } finally {
    // Not awaited: a body that hangs would never answer.
    iterator.return?.().catch(() => undefined);
  }
}

type BodyIterator = AsyncIterator<Uint8Array | string>;

function iteratorOf(body: Body): BodyIterator {
  return body instanceof Readable
    ? (body.iterator({ destroyOnReturn: false }) as BodyIterator)
    : body[Symbol.asyncIterator]();
}

/** One promise for each chunk: racing against a long-lived one would keep every chunk in memory. */
function nextOf(
  iterator: BodyIterator,
  { clock, idleMs, signal, broken }: ReadingOptions,
): Promise<IteratorResult<Uint8Array | string>> {
  return new Promise((resolve, reject) => {
    let idle: Timer | undefined;
    const leave = (): void => {
      idle?.cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    const fail = (error: unknown): void => {
      leave();
      reject(error);
    };
    const onAbort = (): void => fail(signal?.reason);
    if (signal?.aborted) {
      onAbort();
      return;
    }
    signal?.addEventListener("abort", onAbort, { once: true });
    idle = clock.after(idleMs, () => fail(broken(new Error(`No byte came for ${idleMs} ms.`))));
    iterator.next().then(
      (next) => {
        leave();
        resolve(next);
      },
      (cause: unknown) => fail(isCodedError(cause) ? cause : broken(cause)),
    );
  });
}
