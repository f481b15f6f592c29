import type { FastifyRequest } from "fastify";
import type { App } from "../../app/app.ts";
import type { Clock } from "../../base/clock.ts";
import { unauthorised } from "../errors.ts";
import type { GatewayLimits } from "../gateway-limits.ts";
import type { Caller } from "../identity/caller.ts";

/** What the file routes are made of. */
export interface FileRouteOptions {
  readonly app: App;
  readonly limits: GatewayLimits;
  readonly clock: Clock;
}

/** The caller of a request that was identified. */
export function callerOf(request: FastifyRequest): Caller {
  const { caller } = request.exchange;
  if (caller === null) throw unauthorised();
  return caller;
}
