import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { sourceChanged, unreadable } from "../errors.ts";
import type { FileSource } from "../file-manager.ts";
import { BytesSource } from "../source.ts";
import type { FileForm } from "./multipart.ts";
import {
  boundedText,
  type OpenAnswer,
  type OpenRequest,
  type Transport,
  type TransportAnswer,
  type TransportRequest,
  type TransportTarget,
  transportError,
} from "./transport.ts";

/**
 * Sends files the way the legacy system does: the whole file in memory, copied into a form, over a
 * connection of its own for every request. Kept as it is: it is what the migration moves away from.
 */
export class BufferedTransport implements Transport {
  readonly #target: TransportTarget;
  readonly #fetch: typeof fetch;

  /** `network` stands in for the network where nothing may leave the process (rehearsals). */
  constructor(target: TransportTarget, network: typeof fetch = fetch) {
    this.#target = target;
    this.#fetch = network;
  }

  async send(request: TransportRequest): Promise<TransportAnswer> {
    const { method, path, form, signal } = request;
    signal.throwIfAborted();
    const body = form === undefined ? null : await formData(form);
    try {
      // Taken out of its field first: `fetch` minds what it is called on.
      const send = this.#fetch;
      const response = await send(`${this.#target.baseUrl}${path}`, {
        method,
        headers: { authorization: `Bearer ${this.#target.apiKey}`, connection: "close" },
        body,
        signal,
        redirect: "manual",
      });
      const answer = {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: await boundedText(response.body ?? nothing(), request.maxAnswerBytes),
      };
      request.progress?.(form?.source.sizeBytes ?? 0);
      return answer;
    } catch (thrown) {
      signal.throwIfAborted();
      throw transportError(thrown);
    }
  }

  async open({ method, path, signal }: OpenRequest): Promise<OpenAnswer> {
    signal.throwIfAborted();
    try {
      const response = await fetch(`${this.#target.baseUrl}${path}`, {
        method,
        headers: { authorization: `Bearer ${this.#target.apiKey}`, connection: "close" },
        signal,
        redirect: "manual",
      });
      const { status, headers, body } = response;
      return {
        status,
        headers: Object.fromEntries(headers),
        body: body === null ? Readable.from([]) : Readable.fromWeb(body as ReadableStream),
      };
    } catch (thrown) {
      signal.throwIfAborted();
      throw transportError(thrown);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

async function formData(form: FileForm): Promise<FormData> {
  const data = new FormData();
  for (const [name, value] of Object.entries(form.fields)) data.append(name, value);
  const file = new Blob([await wholeFile(form.source)], { type: form.mimeType });
  data.append(form.fileField, file, form.fileName);
  return data;
}

async function wholeFile(source: FileSource): Promise<Uint8Array<ArrayBuffer>> {
  // What its caller read already is not read, and held, a second time.
  if (source instanceof BytesSource) return source.bytes as Uint8Array<ArrayBuffer>;
  const { path } = source;
  await source.verifyUnchanged();
  const bytes = path === null ? await collected(source) : await readWhole(path);
  if (bytes.length !== source.sizeBytes) throw sourceChanged(`The file ${path ?? "in memory"}`);
  return bytes;
}

async function readWhole(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return readFile(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
}

async function collected(source: FileSource): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.open()) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

async function* nothing(): AsyncGenerator<Uint8Array, void, void> {
  // A body that is not there has no chunks.
}
