import type { FastifyInstance } from "fastify";
import type { App } from "../app/app.ts";
import type { Callers } from "./identity/caller.ts";
import { isLoopbackHost } from "./identity/site-check.ts";

/** What the health routes are made of. */
export interface HealthRouteOptions {
  readonly app: App;
  readonly callers: Callers;
  readonly draining: () => boolean;
}

/**
 * Adds `GET /livez` (200 while the process answers), `GET /readyz` (503 with reasons while calls
 * should go elsewhere) and `GET /metrics` (off loopback with the operator token only).
 */
export function addHealthRoutes(
  server: FastifyInstance,
  { app, callers, draining }: HealthRouteOptions,
): void {
  server.get("/livez", () => Promise.resolve({ live: true }));
  server.get("/readyz", async (_request, reply) => {
    const { ready, reasons } = app.readiness();
    const stopping = draining();
    const body = {
      ready: ready && !stopping,
      reasons: stopping ? ["The gateway is shutting down.", ...reasons] : reasons,
    };
    return reply
      .code(body.ready ? 200 : 503)
      .header("cache-control", "no-store")
      .send(body);
  });
  server.get("/metrics", async (request, reply) => {
    if (!isLoopbackHost(app.config.host)) callers.requireOperator(request.headers, "/metrics");
    const { contentType, text } = await app.metrics.exposition(request.headers.accept);
    return reply.type(contentType).send(text);
  });
}
