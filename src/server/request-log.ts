import type { ServerResponse } from "node:http";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Clock } from "../base/clock.ts";
import { isCodedError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";

/**
 * Writes one line for each request when its answer has ended: the route's pattern instead of its
 * address, so that no file name gets into the log. A client that left is no news (debug, status 499).
 */
export function addRequestLog(server: FastifyInstance, logger: Logger, clock: Clock): void {
  server.addHook("onRequest", (request, reply, done) => {
    const startedMs = clock.monotonicMs();
    const { socket } = request.raw;
    const sentBefore = socket.bytesWritten;
    reply.raw.once("close", () => {
      const finished = reply.raw.writableFinished;
      const fields = {
        ...lineOf(request, reply.raw, finished),
        ms: Math.round((clock.monotonicMs() - startedMs) * 10) / 10,
        sentBytes: socket.bytesWritten - sentBefore,
      };
      if (finished) logger.info(fields, "Request answered");
      else logger.debug(fields, "Request ended before its answer did");
    });
    done();
  });
}

function lineOf(
  request: FastifyRequest,
  response: ServerResponse,
  finished: boolean,
): Record<string, unknown> {
  const { exchange } = request;
  const { answered } = exchange;
  return {
    requestId: exchange.requestId,
    method: request.method,
    route: request.routeOptions.url ?? "none",
    status: finished ? response.statusCode : 499,
    ...(exchange.fileBytes === null ? {} : { fileBytes: exchange.fileBytes }),
    ...(answered === null ? {} : { path: answered.path, reason: answered.reason }),
  };
}

/** Logs what went wrong with a request, as loudly as it deserves. */
export function logFailure(logger: Logger, requestId: string, thrown: unknown): void {
  const fields = { requestId, err: thrown };
  if (!isCodedError(thrown)) logger.error(fields, "A request failed in a way nobody foresaw");
  else if (thrown.status >= 500) logger.warn(fields, "A request failed");
  // Only the code: the message of a refusal names what was refused, such as a file's name.
  else logger.debug({ requestId, code: thrown.code }, "A request was refused");
}
