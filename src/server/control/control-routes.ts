import type { FastifyInstance, FastifyReply } from "fastify";
import type { App } from "../../app/app.ts";
import type { ControlReport } from "../../app/control.ts";
import type { Clock } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import { errorReply } from "../answer/error-reply.ts";
import { bodyIdle } from "../errors.ts";
import type { GatewayLimits } from "../gateway-limits.ts";
import type { Callers } from "../identity/caller.ts";
import {
  changeCommand,
  explainQuestion,
  exportQuery,
  faultCommand,
  flagCommand,
  journalQuery,
  rolloutCommand,
  rolloutOrder,
} from "./control-body.ts";

/** What the control routes are made of. */
export interface ControlRouteOptions {
  readonly app: App;
  readonly callers: Callers;
  readonly limits: GatewayLimits;
  readonly clock: Clock;
}

/** Adds the control API; every route of it needs the operator token. */
export function addControlRoutes(server: FastifyInstance, options: ControlRouteOptions): void {
  guard(server, options);
  addQuestions(server, options.app);
  addCommands(server, options.app);
}

function guard(server: FastifyInstance, { callers, limits, clock }: ControlRouteOptions): void {
  server.addHook("onRequest", async (request, reply) => {
    reply.header("cache-control", "no-store");
    callers.requireOperator(request.headers, "The control API");
  });
  server.removeContentTypeParser("text/plain");
  server.addHook("preParsing", (request, reply, _payload, done) => {
    if (request.headers.expect !== undefined) reply.raw.writeContinue();
    const timer = clock.after(limits.jsonMs, () => {
      if (!reply.sent && !request.raw.complete) void reply.send(bodyIdle(limits.jsonMs));
    });
    reply.raw.once("close", () => timer.cancel());
    done();
  });
}

function addQuestions(server: FastifyInstance, app: App): void {
  const { control } = app;
  server.get("/control/status", () => Promise.resolve(app.snapshot()));
  server.get("/control/mismatches", () => Promise.resolve({ mismatches: control.mismatches() }));
  type WithId = { Params: { id: string } };
  server.get<WithId>("/control/mismatches/:id", (request) =>
    Promise.resolve(control.mismatch(request.params.id)),
  );
  server.get<WithId>("/control/mismatches/:id/vitest", (request) => {
    const text = control.exportMismatch(request.params.id, exportQuery(request.query));
    return Promise.resolve({ text });
  });
  server.get("/control/journal", async (request) => {
    const entries = await control.journal(journalQuery(request.query));
    return { entries };
  });
  server.get("/control/rollout", () => Promise.resolve({ rollouts: control.rollouts() }));
  type WithOperation = { Params: { operation: string } };
  server.get<WithOperation>("/control/rollout/:operation", (request) =>
    Promise.resolve({ rollouts: control.rollouts(request.params.operation) }),
  );
  server.get("/control/explain", (request) => {
    const { operation, key } = explainQuestion(request.query);
    return Promise.resolve(control.explain(operation, key));
  });
}

function addCommands(server: FastifyInstance, app: App): void {
  const { control } = app;
  server.post<{ Params: { operation: string } }>("/control/flags/:operation", (request) => {
    const { values, change } = flagCommand(request.body);
    return control.setFlag(request.params.operation, values, change);
  });
  server.post("/control/rollback", async (request, reply) => {
    const { operation, change } = changeCommand(request.body);
    const reports =
      operation === "all"
        ? await control.rollBackAll(change)
        : [await control.rollBack(operation, change)];
    return sendReports(reply, reports);
  });
  server.post("/control/rearm", async (request, reply) => {
    const { operation, change } = changeCommand(request.body);
    return sendReports(reply, [await control.rearm(operation, change)]);
  });
  server.post<{ Params: { operation: string; command: string } }>(
    "/control/rollout/:operation/:command",
    (request) => {
      const { operation, command } = request.params;
      const { change, dryRun } = rolloutOrder(request.body);
      return control.commandRollout(operation, rolloutCommand(command), change, dryRun);
    },
  );
  server.post<{ Params: { id: string } }>("/control/mismatches/:id/replay", (request) =>
    control.replayMismatch(request.params.id),
  );
  server.post("/control/fault", async (request) => {
    const { path, fault, change } = faultCommand(request.body);
    return { path, fault: await control.setFault(path, fault, change) };
  });
}

/** A command that was not carried out in full must look like a failure to a script, too. */
function sendReports(reply: FastifyReply, reports: readonly ControlReport[]): FastifyReply {
  const unfinished = reports.filter((report) => !report.complete).map((each) => each.operation);
  if (unfinished.length === 0) return reply.send({ complete: true, reports });
  const error = new CodedError(
    "GATEWAY_CONTROL_INCOMPLETE",
    `Not every step was done for ${unfinished.join(", ")}. Read the steps, mend what failed, and send the command again: what is done already stays done.`,
    { status: 502, retryable: true },
  );
  const { body } = errorReply(error);
  return reply.code(502).send({ complete: false, reports, ...body });
}
