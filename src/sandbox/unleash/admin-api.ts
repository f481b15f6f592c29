import type { Clock } from "../../base/clock.ts";
import { CodedError, codeOf, toError } from "../../base/errors.ts";

/** What the server answered. */
export interface ApiReply {
  readonly status: number;
  readonly body: unknown;
  /** The session cookies it set, as they are sent back. */
  readonly cookie: string;
}

/** One request. */
export interface ApiRequest {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Milliseconds for one request. */
const REQUEST_LIMIT_MS = 5000;

/** Talks to the embedded Unleash's HTTP API. */
export class UnleashApi {
  readonly #origin: string;
  readonly #clock: Clock;

  constructor(origin: string, clock: Clock) {
    this.#origin = origin;
    this.#clock = clock;
  }

  /** Rejects when there is no answer within 5 seconds; every status is an answer. */
  async send(path: string, request: ApiRequest = {}): Promise<ApiReply> {
    const limit = new AbortController();
    const timer = this.#clock.after(REQUEST_LIMIT_MS, () => limit.abort(), true);
    try {
      const response = await fetch(this.#origin + path, {
        method: request.method ?? "GET",
        headers: { "content-type": "application/json", ...request.headers },
        body: request.body === undefined ? null : JSON.stringify(request.body),
        redirect: "manual",
        signal: limit.signal,
      });
      const cookies = response.headers.getSetCookie().map((each) => each.split(";")[0] ?? "");
      const text = await response.text();
      return { status: response.status, body: parsed(text), cookie: cookies.join("; ") };
    } finally {
      timer.cancel();
    }
  }

  /** The same, for a request that must succeed: throws `SANDBOX_UNLEASH_SETUP` for all but 2xx. */
  async demand(path: string, request: ApiRequest = {}): Promise<ApiReply> {
    const what = `${request.method ?? "GET"} ${path}`;
    let reply: ApiReply;
    try {
      reply = await this.send(path, request);
    } catch (cause) {
      throw setupFailed(`${what} failed: ${codeOf(cause) ?? toError(cause).message}`, cause);
    }
    if (reply.status >= 200 && reply.status < 300) return reply;
    throw setupFailed(`${what} was answered with ${reply.status}${messageOf(reply.body)}`);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function messageOf(body: unknown): string {
  const message = (body as { message?: unknown } | null)?.message;
  return typeof message === "string" ? `: ${message.slice(0, 200)}` : "";
}

function setupFailed(what: string, cause?: unknown): CodedError {
  return new CodedError(
    "SANDBOX_UNLEASH_SETUP",
    `The embedded Unleash is up and could not be set up: ${what}. See logs/unleash.log in the data folder; if unleash/keys.json there was lost or changed, put it back.`,
    { cause, retryable: true },
  );
}
