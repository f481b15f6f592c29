import type { FastifyInstance } from "fastify";
import { shuttingDown } from "../errors.ts";
import type { Callers } from "../identity/caller.ts";
import type { InFlight } from "../in-flight.ts";
import { addContentRoute } from "./download/content-route.ts";
import { callerOf, type FileRouteOptions } from "./file-call.ts";
import { fileList, fileObject } from "./file-object.ts";
import { listRequest } from "./list-query.ts";
import { addUploadRoutes } from "./upload-routes.ts";

/** What decides whether a file call is let in. */
export interface FileGate {
  readonly callers: Callers;
  readonly inFlight: InFlight;
  readonly draining: () => boolean;
}

interface IdRoute {
  Params: { id: string };
}

/** Adds the file API in the shape of OpenAI's, every call on behalf of its owner. */
export function addFileRoutes(
  server: FastifyInstance,
  options: FileRouteOptions,
  gate: FileGate,
): void {
  admit(server, gate);
  // Bodies go to the spool as they come: no parser of the framework may read, and keep, them.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", (_request, _body, done) => done(null));
  addUploadRoutes(server, options);
  addContentRoute(server, options);

  const { files } = options.app;
  server.get("/v1/files", async (request) => {
    const caller = callerOf(request);
    const wanted = listRequest(request.query, caller.owner);
    const { value } = await files.list(wanted, request.exchange.callOptions(caller));
    return fileList(value);
  });
  server.get<IdRoute>("/v1/files/:id", async (request) => {
    const caller = callerOf(request);
    const wanted = { owner: caller.owner, id: request.params.id };
    const { value } = await files.info(wanted, request.exchange.callOptions(caller));
    return fileObject(value);
  });
  server.delete<IdRoute>("/v1/files/:id", async (request) => {
    const caller = callerOf(request);
    const wanted = { owner: caller.owner, id: request.params.id };
    const { value } = await files.delete(wanted, request.exchange.callOptions(caller));
    return { object: "file", ...value };
  });
}

function admit(server: FastifyInstance, { callers, inFlight, draining }: FileGate): void {
  server.addHook("onRequest", async (request, reply) => {
    const { exchange } = request;
    if (draining()) {
      reply.header("connection", "close");
      throw shuttingDown();
    }
    exchange.caller = callers.identify(request.headers, exchange.requestId);
    reply.raw.once("close", inFlight.hold(exchange));
  });
  // A handler may outlast its response: a client that is gone leaves a spool file to remove.
  server.addHook("onRoute", (route) => {
    const { handler } = route;
    route.handler = async function held(request, reply) {
      const letGo = inFlight.hold(request.exchange);
      try {
        return await handler.call(this, request, reply);
      } finally {
        letGo();
      }
    };
  });
}
