import { AsyncLocalStorage } from "node:async_hooks";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { Agent, fetch as pooledFetch } from "undici";
import type { Clock } from "../../base/clock.ts";
import { SpareSockets } from "./sockets/spare-sockets.ts";
import { withTimeLimit } from "./time-limit.ts";

/** Where the Supabase project is, and with which key we come. */
export interface SupabaseAccess {
  /** Such as `https://<project>.supabase.co`. */
  readonly url: string;
  /** The server's own key (`sb_secret_…`): it passes row-level security, so it never leaves the server. */
  readonly secretKey: string;
  /** The bucket that holds the objects. */
  readonly bucket: string;
}

/** How a {@link SupabaseConnection} uses the network. */
export interface ConnectionOptions {
  readonly clock: Clock;
  /** Kept connections and their number, or `single-use` for a new connection for every request. */
  readonly connections: number | "single-use";
  /** Milliseconds one request may take; null leaves it to the transport (300 s without a byte). */
  readonly timeoutMs: number | null;
}

/** What a request of the client came to, with the network's own error where there was no answer. */
export interface ClientReply<T> {
  readonly reply: T;
  readonly networkError: unknown;
}

/** Milliseconds to connect, undici's own default. */
const CONNECT_MS = 10_000;

/** Statuses of answers that have no body. */
const BODYLESS = new Set([204, 205, 304]);

interface RequestContext {
  readonly signal: AbortSignal;
  networkError: unknown;
}

/**
 * A supabase-js client whose requests can be aborted and limited in time: the client itself drops the
 * signal of an upload, and puts a failed connection's cause into words.
 */
export class SupabaseConnection {
  readonly #client: SupabaseClient;
  readonly #agent: Agent | null;
  readonly #spares: SpareSockets | null;
  readonly #options: ConnectionOptions;
  readonly #contexts = new AsyncLocalStorage<RequestContext>();

  constructor(access: SupabaseAccess, options: ConnectionOptions) {
    this.#options = options;
    const { connections } = options;
    if (connections === "single-use") {
      this.#spares = null;
      this.#agent = null;
    } else {
      const { clock } = options;
      const max = connections;
      this.#spares = new SpareSockets(new URL(access.url), {
        clock,
        max,
        connectMs: CONNECT_MS,
        allowH2: true,
      });
      const { connector: connect } = this.#spares;
      this.#agent = new Agent({ connections, keepAliveTimeout: 4000, connect });
    }
    this.#client = createClient(access.url, access.secretKey, {
      auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
      // Its own retries would hold a call for 7 s behind the caller's back.
      db: { retry: false },
      global: { fetch: (input, init) => this.#fetch(input, init) },
    });
  }

  /** Runs one request of the client under `signal` and the time limit. */
  run<T>(
    signal: AbortSignal,
    work: (client: SupabaseClient) => PromiseLike<T>,
  ): Promise<ClientReply<T>> {
    const { clock, timeoutMs } = this.#options;
    const runWith = (each: AbortSignal): Promise<ClientReply<T>> => {
      const context: RequestContext = { signal: each, networkError: undefined };
      return this.#contexts.run(context, async () => {
        const reply = await work(this.#client);
        return { reply, networkError: context.networkError };
      });
    };
    if (timeoutMs === null) return runWith(signal);
    return withTimeLimit({ clock, limitMs: timeoutMs, signal }, runWith);
  }

  /** Opens kept connections ahead, so that so many are there or on their way. */
  prepare(count: number): void {
    this.#spares?.want(count);
  }

  /** Cuts what is still open. */
  async close(): Promise<void> {
    this.#spares?.close();
    await this.#agent?.destroy();
  }

  async #fetch(
    input: Parameters<typeof fetch>[0],
    init: RequestInit | undefined,
  ): Promise<Response> {
    const context = this.#contexts.getStore();
    const request = {
      ...init,
      ...(context === undefined ? {} : { signal: context.signal }),
      // The rows and objects are where we were told; a redirect would take the secret key elsewhere.
      redirect: "error" as const,
    };
    try {
      return await this.#send(input, request);
    } catch (error) {
      if (context !== undefined) context.networkError = error;
      throw error;
    }
  }

  async #send(input: Parameters<typeof fetch>[0], request: RequestInit): Promise<Response> {
    if (this.#agent === null) {
      const headers = new Headers(request.headers);
      headers.set("connection", "close");
      return fetch(input, { ...request, headers });
    }
    const url = new URL(String(input));
    if (url.pathname.includes("/rest/v1/")) return this.#sendForRows(this.#agent, url, request);
    // An agent and `fetch` must be of one version of undici; the types of the two do not match.
    const options = { ...request, dispatcher: this.#agent } as Parameters<typeof pooledFetch>[1];
    return (await pooledFetch(String(input), options)) as unknown as Response;
  }

  /** Rows are short JSON both ways, for which the machinery of `fetch` is most of the cost. */
  async #sendForRows(agent: Agent, url: URL, request: RequestInit): Promise<Response> {
    const { method = "GET", body = null, signal = null } = request;
    const response = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: method as "GET",
      headers: {
        ...Object.fromEntries(new Headers(request.headers)),
        "accept-encoding": "identity",
      },
      body: body as string | null,
      signal,
    });
    const { statusCode: status } = response;
    const headers = new Headers();
    for (const [name, value] of Object.entries(response.headers)) {
      for (const each of [value ?? []].flat()) headers.append(name, each);
    }
    const text = await response.body.text();
    return new Response(BODYLESS.has(status) ? null : text, { status, headers });
  }
}
