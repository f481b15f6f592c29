import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { App } from "../../app/app.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { headersTooLarge, methodNotAllowed, noRoute } from "../errors.ts";
import { Exchange, requestIdOf } from "../exchange.ts";
import type { GatewayLimits } from "../gateway-limits.ts";
import { checkHost, checkSite } from "../identity/site-check.ts";
import { logFailure } from "../request-log.ts";
import { codedErrorOf, errorReply } from "./error-reply.ts";
import { hasUnreadBody, lingeringAnswer } from "./lingering.ts";

/** What every answer depends on. */
export interface AnswerOptions {
  readonly app: App;
  readonly limits: GatewayLimits;
  readonly clock: Clock;
}

/**
 * What holds for every route: an exchange with a request id from the first moment, who may call at
 * all, the shape of errors, and answers that arrive although the client is still sending.
 */
export function addAnswers(server: FastifyInstance, options: AnswerOptions): void {
  const { app, limits } = options;
  server.decorateRequest("exchange");
  server.addHook("onRequest", (request, reply, done) => {
    request.exchange = new Exchange(request.id, reply.raw);
    done();
  });
  server.addHook("onSend", (request, reply, payload, done) => {
    reply.headers(request.exchange.headers());
    done(null, linger(request, reply, payload, options));
  });
  server.setErrorHandler((thrown, request, reply) => {
    const { exchange } = request;
    // Once a call was aborted, whatever failed because of it is no failure of its own.
    const cause = exchange.signal.aborted ? exchange.signal.reason : thrown;
    logFailure(app.logger, exchange.requestId, cause);
    const error = codedErrorOf(cause, exchange.requestId, limits.jsonBytes);
    const { status, headers, body } = errorReply(error);
    return reply.code(status).headers(headers).send(body);
  });
  server.setNotFoundHandler((request) => {
    throw noRoute(request.method, request.url.replace(/\?.*$/s, ""));
  });
}

/** Refuses requests that no route should see: too many headers, another host's, another site's. */
export function addDoorChecks(server: FastifyInstance, { app, limits }: AnswerOptions): void {
  server.addHook("onRequest", (request, _reply, done) => {
    const { rawHeaders, headers } = request.raw;
    if (rawHeaders.length > 2 * limits.headersMax) {
      throw headersTooLarge(`${limits.headersMax} fields`);
    }
    checkHost(headers.host, app.config.host);
    checkSite(request.raw);
    done();
  });
}

/** Answers an address the router cannot read; no hook has run for it. */
export function answerBadAddress(logger: Logger, jsonBytes: number) {
  return (thrown: Error, request: FastifyRequest, reply: FastifyReply): void => {
    const requestId = requestIdOf(request.raw);
    logFailure(logger, requestId, thrown);
    const { status, headers, body } = errorReply(codedErrorOf(thrown, requestId, jsonBytes));
    void reply
      .code(status)
      .headers({ ...headers, "x-request-id": requestId })
      .send(body);
  };
}

const allMethods = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/** Remembers the routes that are added after it; the returned function adds a 405 for what they lack. */
export function addMethodAnswers(server: FastifyInstance): () => void {
  const known = new Map<string, Set<string>>();
  server.addHook("onRoute", ({ url, method }) => {
    const pattern = url.replace(/:[^/]+/g, ":id");
    const methods = known.get(pattern) ?? new Set<string>();
    for (const each of [method].flat()) methods.add(each);
    known.set(pattern, methods);
  });
  return () => {
    for (const [url, methods] of [...known]) {
      const allowed = [...methods].sort();
      const refused = allMethods.filter((method) => !methods.has(method));
      const refuse = (request: FastifyRequest): never => {
        throw methodNotAllowed(request.method, allowed);
      };
      // In a hook, so that the body is not even read.
      server.route({
        method: refused,
        url,
        onRequest: (request) => Promise.resolve().then(() => refuse(request)),
        handler: refuse,
      });
    }
  };
}

function linger(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
  { limits, clock }: AnswerOptions,
): unknown {
  if (!hasUnreadBody(request.raw)) return payload;
  reply.header("connection", "close");
  if (typeof payload !== "string" && !Buffer.isBuffer(payload)) return payload;
  const answer = Buffer.from(payload);
  reply.header("content-length", answer.length);
  return lingeringAnswer(answer, request.raw, limits, clock);
}
