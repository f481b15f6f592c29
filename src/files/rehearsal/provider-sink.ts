import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import type { Clock } from "../../base/clock.ts";
import type { ErrorProvider } from "../provider-errors.ts";
import { BufferedTransport } from "../providers/buffered-transport.ts";
import { glmDialect, kimiDialect } from "../providers/dialect.ts";
import { HttpProvider } from "../providers/http-provider.ts";
import type { Provider } from "../providers/provider.ts";
import { type StreamingNetwork, StreamingTransport } from "../providers/streaming-transport.ts";
import { type FormFacts, readForm } from "./read-form.ts";

/** One request as it would have gone to the provider. */
interface SunkRequest {
  readonly method: string;
  /** Below the provider's base URL. */
  readonly path: string;
  readonly contentType: string;
  /** What the headers announce; null where they announce nothing. */
  readonly announcedBytes: number | null;
  readonly body: AsyncIterable<Uint8Array> | null;
}

interface SunkAnswer {
  readonly status: number;
  readonly body: string;
}

const dialects = { kimi: kimiDialect, glm: glmDialect } as const;
/** Nothing listens there, and nothing is ever sent there. */
const target = { baseUrl: "http://rehearsal.invalid/v1", apiKey: "rehearsal" } as const;
const requestMs = 30_000;
const uploadMs = 1_800_000;

/**
 * Stands where a provider is, for rehearsals: each path's own client encodes its requests in full, and
 * they end here. Forms are parsed, counted and hashed, and answered as the provider would answer; no
 * socket is opened, and the provider's real key is not known here.
 */
export class ProviderSink {
  readonly name: ErrorProvider;
  readonly #clock: Clock;
  readonly #uploads: FormFacts[] = [];
  readonly #files = new Set<string>();

  constructor(name: ErrorProvider, clock: Clock) {
    this.name = name;
    this.#clock = clock;
  }

  /** The uploads that arrived whole, in their order. */
  get uploads(): readonly FormFacts[] {
    return this.#uploads;
  }

  /** Files that a provider would have now. */
  get files(): number {
    return this.#files.size;
  }

  /** A client of this provider as the path has it. */
  provider(transport: "streaming" | "buffered"): Provider {
    const clock = this.#clock;
    const limits = {
      ...{ connections: 1, connectMs: requestMs, idleMs: requestMs },
      ...{ headersMs: requestMs, bodyMs: requestMs, byteRate: null },
    };
    return new HttpProvider({
      dialect: dialects[this.name],
      transport:
        transport === "streaming"
          ? new StreamingTransport(target, limits, clock, this.#network())
          : new BufferedTransport(target, this.#fetch()),
      ...{ clock, apiKey: target.apiKey, uploadMs, requestMs },
    });
  }

  #fetch(): typeof fetch {
    return async (input, init) => {
      // The platform encodes the form here, as it does for a request that is sent.
      const request = new Request(input, init);
      const { status, body } = await this.#answer({
        method: request.method,
        path: pathOf(request.url),
        contentType: request.headers.get("content-type") ?? "",
        announcedBytes: null,
        body: request.body as AsyncIterable<Uint8Array> | null,
      });
      return new Response(body, { status, headers: { "content-type": "application/json" } });
    };
  }

  #network(): StreamingNetwork {
    const request = async (options: Dispatcher.RequestOptions): Promise<unknown> => {
      const headers = (options.headers ?? {}) as Readonly<Record<string, string>>;
      const length = headers["content-length"];
      const signal = options.signal as AbortSignal | undefined;
      const body = options.body as unknown as AsyncIterable<Uint8Array> | null;
      const { status, body: text } = await this.#answer({
        method: options.method,
        path: pathOf(new URL(options.path, target.baseUrl).href),
        contentType: headers["content-type"] ?? "",
        announcedBytes: length === undefined ? null : Number(length),
        body: body === null ? null : untilAborted(body, signal),
      });
      return { statusCode: status, headers: {}, body: Readable.from([Buffer.from(text)]) };
    };
    return {
      request: request as unknown as StreamingNetwork["request"],
      destroy: (() => Promise.resolve()) as unknown as StreamingNetwork["destroy"],
    };
  }

  async #answer(request: SunkRequest): Promise<SunkAnswer> {
    const { method, path, contentType, announcedBytes, body } = request;
    if (method === "POST" && path === "/files" && body !== null) {
      const form = await readForm(contentType, body);
      if (announcedBytes !== null && announcedBytes !== form.encodedBytes) {
        throw new Error(`${announcedBytes} bytes were announced and ${form.encodedBytes} sent.`);
      }
      this.#uploads.push(form);
      return { status: 200, body: JSON.stringify(this.#stored(form)) };
    }
    const id = decodeURIComponent(path.slice("/files/".length));
    if (method === "DELETE" && this.#files.delete(id)) {
      return { status: 200, body: JSON.stringify({ id, object: "file", deleted: true }) };
    }
    const error = { type: "resource_not_found_error", code: "404", message: "Not there." };
    return { status: 404, body: JSON.stringify({ error }) };
  }

  /** The file object that both providers document. */
  #stored({ fileName, sizeBytes, fields }: FormFacts): Readonly<Record<string, unknown>> {
    const id = `rehearsal-${randomUUID()}`;
    this.#files.add(id);
    return {
      ...{ id, object: "file", bytes: sizeBytes, filename: fileName, status: "ok" },
      created_at: Math.trunc(this.#clock.now() / 1000),
      purpose: fields["purpose"] ?? null,
    };
  }
}

function pathOf(url: string): string {
  const { pathname } = new URL(url);
  return pathname.replace(/^\/v1/, "");
}

async function* untilAborted(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of body) {
    signal?.throwIfAborted();
    yield chunk;
  }
}
