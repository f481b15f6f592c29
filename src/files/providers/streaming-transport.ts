import type { Readable } from "node:stream";
import { Pool } from "undici";
import type { Clock, Timer } from "../../base/clock.ts";
import { isCodedError } from "../../base/errors.ts";
import type { Progress } from "../file-manager.ts";
import type { Rate } from "../retry/rate.ts";
import { sourceChunks } from "../source.ts";
import { type FileForm, type FormFrame, formFrame } from "./multipart.ts";
import {
  boundedText,
  type OpenAnswer,
  type OpenRequest,
  type Transport,
  type TransportAnswer,
  TransportError,
  type TransportRequest,
  type TransportTarget,
  transportError,
} from "./transport.ts";

/** Limits of a {@link StreamingTransport}; times in milliseconds. */
export interface StreamingLimits {
  /** Connections at a time; further requests wait. */
  readonly connections: number;
  /** To open a connection. */
  readonly connectMs: number;
  /** Without a byte sent, while sending. */
  readonly idleMs: number;
  /** From the last byte sent to the answer's headers: the provider may be reading the file. */
  readonly headersMs: number;
  /** Without a byte of the answer's body. */
  readonly bodyMs: number;
  /** Bytes of files a second, all uploads together; null: as fast as it goes. */
  readonly byteRate: Rate | null;
}

/** What a streaming transport needs of the network. */
export type StreamingNetwork = Pick<Pool, "request" | "destroy">;

/**
 * Sends files as they are read, over kept-alive connections: memory stays the same for every size,
 * the exact `Content-Length` is sent, and reading waits for the network.
 */
export class StreamingTransport implements Transport {
  readonly #pool: StreamingNetwork;
  readonly #prefix: string;
  readonly #authorization: string;
  readonly #idleMs: number;
  readonly #byteRate: Rate | null;
  readonly #clock: Clock;

  /** `network` stands in for the network where nothing may leave the process (rehearsals). */
  constructor(
    target: TransportTarget,
    limits: StreamingLimits,
    clock: Clock,
    network?: StreamingNetwork,
  ) {
    const { origin, pathname } = new URL(target.baseUrl);
    this.#prefix = pathname.replace(/\/+$/, "");
    this.#authorization = `Bearer ${target.apiKey}`;
    this.#idleMs = limits.idleMs;
    this.#byteRate = limits.byteRate;
    this.#clock = clock;
    this.#pool =
      network ??
      new Pool(origin, {
        connections: limits.connections,
        connect: { timeout: limits.connectMs },
        headersTimeout: limits.headersMs,
        bodyTimeout: limits.bodyMs,
        pipelining: 1,
        // The chunks' re-used buffers rely on how HTTP/1.1 sockets are written to.
        allowH2: false,
      });
  }

  async send(request: TransportRequest): Promise<TransportAnswer> {
    const { form, signal } = request;
    signal.throwIfAborted();
    const stalled = new AbortController();
    const either = AbortSignal.any([signal, stalled.signal]);
    const sending = new Sending(form, request.progress, async (bytes) => {
      await this.#byteRate?.pass(bytes, either);
    });
    const watch = this.#watch(sending, stalled);
    try {
      const answer = await this.#pool.request({
        method: request.method,
        path: `${this.#prefix}${request.path}`,
        headers: { authorization: this.#authorization, ...sending.headers },
        // undici takes any async iterable (docs/api/Dispatcher.md, "body"); its types leave it out.
        body: sending.body as unknown as Readable | null,
        signal: either,
      });
      const body = await boundedText(answer.body, request.maxAnswerBytes);
      return { status: answer.statusCode, headers: flat(answer.headers), body };
    } catch (thrown) {
      signal.throwIfAborted();
      if (stalled.signal.aborted) throw stalled.signal.reason;
      throw sending.sourceError ?? transportError(thrown, sending.started);
    } finally {
      watch.cancel();
    }
  }

  async open({ method, path, signal }: OpenRequest): Promise<OpenAnswer> {
    signal.throwIfAborted();
    try {
      const answer = await this.#pool.request({
        method,
        path: `${this.#prefix}${path}`,
        headers: { authorization: this.#authorization },
        signal,
      });
      return { status: answer.statusCode, headers: flat(answer.headers), body: answer.body };
    } catch (thrown) {
      signal.throwIfAborted();
      throw transportError(thrown);
    }
  }

  /** Open connections are cut: whoever waits for an answer must have been let finish before. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }

  #watch(sending: Sending, stalled: AbortController): Timer {
    let seen = -1;
    return this.#clock.every(this.#idleMs, () => {
      const stands = sending.running && !sending.held && sending.handedOver === seen;
      seen = sending.handedOver;
      if (!stands) return;
      const reason = `it took no byte for ${this.#idleMs} ms`;
      stalled.abort(new TransportError(reason, true));
    });
  }
}

/** One body on its way. */
class Sending {
  readonly body: AsyncGenerator<Uint8Array, void, void> | null;
  readonly headers: Readonly<Record<string, string>>;
  /** The error of the file itself, which a client may wrap or replace. */
  sourceError: unknown;
  /** False as long as nothing of the request was written; a request without a body cannot tell. */
  started = false;
  /** Between the first and the last byte. */
  running = false;
  /** Held back by our own limit of bytes a second: the receiver is not to blame. */
  held = false;
  /** Bytes of the file given to the socket so far. */
  handedOver = 0;
  readonly #admit: (bytes: number) => Promise<void>;

  constructor(
    form: FileForm | undefined,
    progress: Progress | undefined,
    admit: (bytes: number) => Promise<void>,
  ) {
    this.#admit = admit;
    if (form === undefined) {
      this.body = null;
      this.headers = {};
      this.started = true;
      return;
    }
    const frame = formFrame(form);
    this.body = this.#chunks(form, frame, progress);
    this.headers = {
      "content-type": frame.contentType,
      "content-length": String(frame.contentLength),
    };
  }

  async *#chunks(
    form: FileForm,
    frame: FormFrame,
    progress: Progress | undefined,
  ): AsyncGenerator<Uint8Array, void, void> {
    this.started = true;
    this.running = true;
    try {
      yield frame.head;
      for await (const chunk of sourceChunks(form.source)) {
        this.held = true;
        await this.#admit(chunk.length);
        this.held = false;
        yield chunk;
        this.handedOver += chunk.length;
        progress?.(this.handedOver);
      }
      yield frame.tail;
    } catch (error) {
      if (isCodedError(error)) this.sourceError = error;
      throw error;
    } finally {
      this.running = false;
    }
  }
}

function flat(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Readonly<Record<string, string>> {
  const entries = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(", ") : value] as const],
  );
  return Object.fromEntries(entries);
}
