import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Answered, CallOptions } from "../migration/call.ts";
import { clientGone } from "./errors.ts";
import type { Caller } from "./identity/caller.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Set for every request before anything else runs. */
    exchange: Exchange;
  }
}

/** The request's own id when it is 1 to 128 safe characters, else a new one. */
export function requestIdOf(request: Pick<IncomingMessage, "headers">): string {
  const given = request.headers["x-request-id"];
  const usable = typeof given === "string" && /^[A-Za-z0-9._:/+=@-]{1,128}$/.test(given);
  return usable ? given : randomUUID();
}

/** One request and its answer: what is known about them while they last. */
export class Exchange {
  readonly requestId: string;
  /** Aborts when the client is gone, or when the gateway stops and cannot wait any longer. */
  readonly signal: AbortSignal;
  /** Set once the caller is known. */
  caller: Caller | null = null;
  /** Which path answered, once one has. */
  answered: Answered | null = null;
  /** Bytes of the file that was sent or asked for, where there is one. */
  fileBytes: number | null = null;
  readonly #controller = new AbortController();

  constructor(requestId: string, response: ServerResponse) {
    this.requestId = requestId;
    this.signal = this.#controller.signal;
    response.once("close", () => {
      if (!response.writableFinished) this.abort(clientGone());
    });
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** What a call made for this request is told. */
  callOptions(caller: Caller): CallOptions {
    return {
      key: caller.routingKey,
      signal: this.signal,
      requestId: this.requestId,
      ...(caller.override === null ? {} : { override: caller.override }),
      onAnswer: (answered) => {
        this.answered = answered;
      },
    };
  }

  /** The headers that say who answered. */
  headers(): Record<string, string> {
    const own = { "x-request-id": this.requestId };
    if (this.answered === null) return own;
    const { path, reason, fellBack } = this.answered;
    const routed = { ...own, "x-changeover-path": path, "x-changeover-reason": reason };
    return fellBack ? { ...routed, "x-changeover-fell-back": "true" } : routed;
  }
}
