import type { FastifyInstance } from "fastify";
import type { App } from "../../app/app.ts";
import { CodedError } from "../../base/errors.ts";
import { errorReply } from "../answer/error-reply.ts";
import type { Callers } from "../identity/caller.ts";
import { type AlertRequest, alertDelivery } from "./alertmanager-body.ts";

/** What the hooks are made of. */
export interface HookRouteOptions {
  readonly app: App;
  readonly callers: Callers;
}

interface HookResult {
  readonly operation: string;
  readonly result: "rolled-back" | "already" | "incomplete" | "unknown-operation";
}

/**
 * Adds `POST /hooks/alertmanager`, for a receiver of Alertmanager's with the operator token as bearer.
 * A repeated delivery changes nothing: an operation that is latched stays as it is, and is answered with
 * 200, since Alertmanager sends a firing group again and again. 404 when an operation is unknown, which
 * Alertmanager does not retry; 502 when a step failed, which it does.
 */
export function addHookRoutes(server: FastifyInstance, { app, callers }: HookRouteOptions): void {
  server.addHook("onRequest", async (request, reply) => {
    reply.header("cache-control", "no-store");
    callers.requireOperator(request.headers, "The rollback webhook");
  });
  server.post("/hooks/alertmanager", async (request, reply) => {
    const { rollbacks, ignored } = alertDelivery(request.body);
    const results: HookResult[] = [];
    for (const each of rollbacks) results.push(...(await rollBack(app, each)));
    const unknown = results.filter(({ result }) => result === "unknown-operation");
    const unfinished = results.filter(({ result }) => result === "incomplete");
    if (unknown.length > 0) {
      app.logger.error(
        { operations: unknown.map((each) => each.operation) },
        "An alert names an unknown operation",
      );
    }
    const failure = failureOf(unknown, unfinished);
    if (failure === null) return reply.send({ results, ignored });
    const { status, body } = errorReply(failure);
    return reply.code(status).send({ results, ignored, ...body });
  });
}

async function rollBack(
  { control, snapshot }: App,
  { operation, reason }: AlertRequest,
): Promise<HookResult[]> {
  const known = snapshot().operations;
  const named = known.filter(
    ({ name }) => operation === "all" || name === operation || name.endsWith(`.${operation}`),
  );
  if (named.length === 0 || (named.length > 1 && operation !== "all")) {
    return [{ operation, result: "unknown-operation" }];
  }
  return Promise.all(
    named.map(async ({ name, latch, flag }): Promise<HookResult> => {
      const off = flag === null || !flag.enabled || flag.percentage === 0;
      // One rollback for each epoch: nothing more is written for an alert that goes on firing.
      if (latch?.tripped === true && off) return { operation: name, result: "already" };
      const { complete } = await control.rollBack(name, { by: "alertmanager", reason });
      return { operation: name, result: complete ? "rolled-back" : "incomplete" };
    }),
  );
}

function failureOf(
  unknown: readonly HookResult[],
  unfinished: readonly HookResult[],
): CodedError | null {
  const names = (results: readonly HookResult[]): string =>
    results.map(({ operation }) => operation.slice(0, 80)).join(", ");
  if (unfinished.length > 0) {
    return new CodedError(
      "GATEWAY_CONTROL_INCOMPLETE",
      `Not every step was done for ${names(unfinished)}. The same delivery may be sent again: what is done already stays done.`,
      { status: 502, retryable: true },
    );
  }
  if (unknown.length === 0) return null;
  return new CodedError(
    "MIGRATION_UNKNOWN_OPERATION",
    `There is no operation ${names(unknown)}. Correct the label \`operation\` of the alert.`,
    { status: 404 },
  );
}
