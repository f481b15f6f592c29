import type { Readable } from "node:stream";
import type { Progress } from "../file-manager.ts";
import type { FileForm } from "./multipart.ts";

/** One request to a provider. */
export interface TransportRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** Path and query below the base URL, starting with a slash. */
  readonly path: string;
  readonly form?: FileForm;
  /** Bytes of the answer's body at most. */
  readonly maxAnswerBytes: number;
  readonly signal: AbortSignal;
  /** Bytes of the file that were handed to the network. */
  readonly progress?: Progress | undefined;
}

/** A request whose answer is read as it comes. */
export type OpenRequest = Pick<TransportRequest, "method" | "path" | "signal">;

/** A provider's answer, of any status. */
export interface TransportAnswer {
  readonly status: number;
  /** Header names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An answer of any status whose body has not been read; whoever has it reads or destroys it. */
export interface OpenAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

/**
 * Port: how requests travel. Rejects with a {@link TransportError}, with a coded error of the file's
 * source, or with the signal's reason. Nothing is retried: each call is one attempt, and reads the
 * file anew.
 */
export interface Transport {
  send(request: TransportRequest): Promise<TransportAnswer>;
  /** Sends a request without a form; the signal also ends the reading of the body. */
  open(request: OpenRequest): Promise<OpenAnswer>;
  close(): Promise<void>;
}

/** Where requests go, and with which key. */
export interface TransportTarget {
  /** Such as `https://api.moonshot.ai/v1`, without a slash at its end. */
  readonly baseUrl: string;
  readonly apiKey: string;
}

/** Why no answer came. */
export class TransportError extends Error {
  /** Was anything of the request sent? If not, nothing can have happened at the provider. */
  readonly sent: boolean;

  constructor(reason: string, sent: boolean, cause?: unknown) {
    super(reason, { cause });
    this.name = "TransportError";
    this.sent = sent;
  }
}

/** System and undici error codes of attempts that never had a connection. */
const unsentCodes: readonly string[] = [
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "UND_ERR_CONNECT_TIMEOUT",
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "ERR_TLS_CERT_ALTNAME_INVALID",
];

/**
 * Translates what a client threw. `fetch` hides the code in its error's cause. `started` is false when
 * it is known that nothing was written.
 */
export function transportError(thrown: unknown, started = true): TransportError {
  if (thrown instanceof TransportError) return thrown;
  const code = innerCode(thrown, 3);
  const reason = `the connection failed${code === undefined ? "" : ` (${code})`}`;
  return new TransportError(reason, started && !unsentCodes.includes(code ?? ""), thrown);
}

function innerCode(thrown: unknown, depth: number): string | undefined {
  const { code, cause } = (thrown ?? {}) as { code?: unknown; cause?: unknown };
  if (typeof code === "string") return code;
  return depth > 0 && cause !== undefined ? innerCode(cause, depth - 1) : undefined;
}

/** Collects an answer's body; stops with a {@link TransportError} once it passes `maxBytes`. */
export async function boundedText(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<string> {
  const kept: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      throw new TransportError(`its answer has more than ${maxBytes} bytes`, true);
    }
    kept.push(chunk);
  }
  return Buffer.concat(kept).toString("utf8");
}
