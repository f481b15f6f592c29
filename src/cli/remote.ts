import type { Readable } from "node:stream";
import type { Agent, Dispatcher } from "undici";
import { CodedError, codeOf, toError } from "../base/errors.ts";
import { withPackage } from "./process/optional-package.ts";

/** Milliseconds until a gateway must have taken a connection. */
const CONNECT_LIMIT_MS = 5000;
/** Milliseconds that a file call may go without an answer: the gateway stores the file meanwhile. */
const FILE_LIMIT_MS = 600_000;
/** Milliseconds that a command of an operator may take. */
const CONTROL_LIMIT_MS = 30_000;
/** The largest JSON answer that is read, in bytes. */
const MAX_JSON_BYTES = 32 * 2 ** 20;

/** Where a gateway is, and what this user may do there. */
export interface RemoteOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly apiKey: string | undefined;
  /** Null when this user has none for this gateway. */
  readonly operatorToken: string | null;
}

/** One request to a gateway. */
export interface RemoteRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable;
  readonly signal: AbortSignal;
}

/** An answer with a status below 400. */
export interface RemoteAnswer {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

/**
 * Speaks to a gateway over HTTP. What the gateway refuses is thrown under the gateway's own code;
 * `CLI_GATEWAY_UNREACHABLE` when nobody answers, `CLI_GATEWAY_ANSWER` for an answer that is none of a
 * gateway's.
 */
export class Remote {
  readonly origin: string;
  readonly #apiKey: string | undefined;
  readonly #operatorToken: string | null;
  readonly #agent: Agent;

  private constructor({ origin, apiKey, operatorToken }: RemoteOptions, agent: Agent) {
    this.origin = origin;
    this.#apiKey = apiKey;
    this.#operatorToken = operatorToken;
    this.#agent = agent;
  }

  /** Connects to nobody yet. Throws `CLI_PACKAGE_MISSING` without undici. */
  static async open(options: RemoteOptions): Promise<Remote> {
    const { Agent: Connections } = await withPackage("--gateway", () => import("undici"));
    const agent = new Connections({
      connect: { timeout: CONNECT_LIMIT_MS },
      headersTimeout: FILE_LIMIT_MS,
      bodyTimeout: FILE_LIMIT_MS,
      pipelining: 0,
    });
    return new Remote(options, agent);
  }

  /** The operator token; throws `CLI_NO_OPERATOR_TOKEN` when this user has none for this gateway. */
  operatorToken(): string {
    if (this.#operatorToken !== null) return this.#operatorToken;
    throw new CodedError(
      "CLI_NO_OPERATOR_TOKEN",
      `This command needs the operator token of ${this.origin}. Set CHANGEOVER_OPERATOR_TOKEN, or name the data folder of a gateway on this machine with --data-dir.`,
      { status: 401 },
    );
  }

  /** A request of the file API, with the owner's key. */
  async send(request: RemoteRequest): Promise<RemoteAnswer> {
    const key = this.#apiKey;
    const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
    const response = await this.#dispatch(request, headers);
    if (response.statusCode < 400) return response;
    throw this.#refusal(response.statusCode, response.headers, await readJson(response.body));
  }

  /** The same, for an answer in JSON. */
  async sendForJson<T>(request: RemoteRequest): Promise<RemoteAnswer & { readonly json: T }> {
    const answer = await this.send(request);
    const json = await readJson(answer.body);
    if (json === undefined) throw this.#noAnswer("no JSON");
    return { ...answer, json: json as T };
  }

  /** A request of the control API. A command that was done in part is answered, not thrown. */
  async control<T>(request: {
    readonly method: "GET" | "POST";
    readonly path: string;
    readonly body?: unknown;
  }): Promise<T> {
    const { method, path, body } = request;
    const headers = {
      authorization: `Bearer ${this.operatorToken()}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const signal = AbortSignal.timeout(CONTROL_LIMIT_MS);
    const text = body === undefined ? null : JSON.stringify(body);
    const response = await this.#dispatch({ method, path, signal }, headers, text);
    const json = await readJson(response.body);
    const done = response.statusCode < 400;
    if (done && json !== undefined) return json as T;
    const partly = Array.isArray((json as { reports?: unknown } | undefined)?.reports);
    if (partly) return json as T;
    throw done
      ? this.#noAnswer("no JSON")
      : this.#refusal(response.statusCode, response.headers, json);
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #dispatch(
    request: RemoteRequest,
    headers: Readonly<Record<string, string>>,
    text: string | null = null,
  ): Promise<Dispatcher.ResponseData> {
    const { method, path, signal, body } = request;
    try {
      return await this.#agent.request({
        origin: this.origin,
        path,
        method,
        headers: { ...headers, ...request.headers },
        body: body ?? text,
        signal,
      });
    } catch (error) {
      if (signal.aborted && codeOf(signal.reason) !== undefined) throw signal.reason;
      throw this.#unreachable(error);
    }
  }

  #unreachable(cause: unknown): CodedError {
    const reason = codeOf(cause) ?? toError(cause).message;
    return new CodedError(
      "CLI_GATEWAY_UNREACHABLE",
      `The gateway at ${this.origin} did not answer (${reason}). Is "changeover start" running there?`,
      { status: 503, retryable: true, cause },
    );
  }

  #refusal(status: number, headers: RemoteAnswer["headers"], json: unknown): CodedError {
    const error = (json as { error?: { code?: unknown; message?: unknown } } | undefined)?.error;
    if (typeof error?.code !== "string" || typeof error.message !== "string") {
      return this.#noAnswer(`status ${status}`);
    }
    const wait = Number(headers["retry-after"]);
    return new CodedError(error.code, error.message, {
      status,
      ...(Number.isFinite(wait) ? { retryAfterSeconds: wait } : {}),
      details: { requestId: headers["x-request-id"] },
    });
  }

  #noAnswer(what: string): CodedError {
    return new CodedError(
      "CLI_GATEWAY_ANSWER",
      `${this.origin} answered with ${what}, which no changeover gateway does. Check the address.`,
      { status: 502 },
    );
  }
}

/** A bounded JSON body, or undefined when it is none. */
async function readJson(body: Readable): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_JSON_BYTES) return undefined;
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    return undefined;
  }
}
