import type { ControlChange, ControlReport, ControlStep } from "../../app/control.ts";
import { hasDirectRoutes, rollBackDirectly } from "../../app/rollback/direct-rollback.ts";
import type { DirectRouteReport } from "../../app/rollback/route-run.ts";
import { codeOf } from "../../base/errors.ts";
import { type Command, type CommandContext, type CommandResult, usage } from "../context.ts";
import type { OperatorDoor } from "../doors/operator-door.ts";
import type { ExitName } from "../exit-codes.ts";
import { withLiveProduct, withOperator } from "../session.ts";
import { type Line, type Span, type Style, styled, table } from "../terminal/text.ts";
import { effectLines, userName } from "./flags.ts";

interface RollbackOptions {
  readonly all?: boolean;
  readonly reason?: string;
}

/** Milliseconds that a running process has to say it is done, before the work is done without it. */
const answerMs = 5000;

/** Why no process does what it is told. */
const unheard: readonly string[] = [
  "CLI_GATEWAY_ANSWER",
  "CLI_GATEWAY_UNREACHABLE",
  "CLI_NOT_RUNNING",
  "CLI_NO_OPERATOR_TOKEN",
  "CLI_PACKAGE_MISSING",
  "CLI_STARTING",
];

/**
 * `changeover rollback`: fails unless every step of every operation was done. Where Unleash or Postgres is
 * configured and no process answers, it does the work itself: then one route that worked is enough.
 */
export const rollBack: Command<RollbackOptions> = (context, { words, options }) => {
  const [operation] = words;
  const { all = false, reason = "rolled back on the command line" } = options;
  if ((operation === undefined) === !all) {
    throw usage("Name one operation, or roll back every one of them with --all.");
  }
  const change = { by: userName(), reason };
  return hasDirectRoutes(context.config())
    ? rollBackAnyway(context, operation ?? null, change)
    : withOperator(context, async (operator) =>
        resultOf(await operator.rollBack(operation ?? null, change), operator),
      );
};

/** Through the running process, or, if it does not answer in time or there is none, without it. */
async function rollBackAnyway(
  context: CommandContext,
  operation: string | null,
  change: ControlChange,
): Promise<CommandResult> {
  const { clock, output } = context;
  let why = `the running process did not answer within ${answerMs} ms`;
  try {
    const done = await withLiveProduct(context, async ({ operator }) => {
      const asked = operator
        .rollBack(operation, change)
        .then((reports) => resultOf(reports, operator));
      // It may still do it: a rollback can be made twice.
      asked.catch(() => undefined);
      const late = Promise.withResolvers<null>();
      const timer = clock.after(answerMs, () => late.resolve(null), true);
      return await Promise.race([asked, late.promise]).finally(() => timer.cancel());
    });
    if (done !== null) return done;
  } catch (error) {
    if (!unheard.includes(codeOf(error) ?? "")) throw error;
    why = (error as Error).message;
  }
  output.note(styled("warn", `Without a process of changeover, since ${why}`));
  const { reached, routes, reports } = await rollBackDirectly({
    config: context.config(),
    ...{ clock, operation, change },
  });
  const lines = [...reports.flatMap(reportLines), "", ...table(routes.map(routeRow))];
  const complete = reports.every((report) => report.complete);
  return {
    answer: { value: { complete, reached, routes, reports }, lines },
    exit: reachedExits[reached],
  };
}

const reachedExits: Readonly<Record<"all" | "some" | "none", ExitName>> = {
  all: "done",
  some: "partly",
  none: "failed",
};

const routeStyles: Readonly<Record<DirectRouteReport["state"], Style>> = {
  worked: "good",
  partly: "warn",
  failed: "bad",
  "not-set-up": "faint",
};

const routeRow = ({ route, state, detail }: DirectRouteReport): Span[] => [
  route,
  styled(routeStyles[state], state),
  detail,
];

/** `changeover rearm` */
export const rearm: Command<RollbackOptions> = (context, { words, options }) =>
  withOperator(context, async (operator) => {
    const [operation = ""] = words;
    const { reason = "re-armed on the command line" } = options;
    const reports = await operator.rearm(operation, { by: userName(), reason });
    const hints = reports.map(({ operation: name, flag }): Line => {
      const next = `changeover flags set ${name} <percentage>`;
      return styled(
        "faint",
        `${name} stays at ${flag?.percentage ?? 0} % until it is set: ${next}`,
      );
    });
    return resultOf(reports, operator, hints);
  });

function resultOf(
  reports: readonly ControlReport[],
  { way, effect }: OperatorDoor,
  hints: readonly Line[] = [],
): CommandResult {
  const complete = reports.every((report) => report.complete);
  const latch: Line[] =
    effect === null ? [] : ["The latch counts however you start; the flag is another matter."];
  const lines = [
    ...reports.flatMap(reportLines),
    ...hints,
    ...latch,
    ...effectLines({ effect }),
    styled("faint", `Done ${way}.`),
  ];
  return {
    answer: { value: { complete, reports }, lines },
    exit: complete ? "done" : "failed",
  };
}

function reportLines({ operation, complete, steps, flag }: ControlReport): Line[] {
  const state = complete ? styled("good", "complete") : styled("bad", "not complete");
  const share = flag === null ? "" : `, ${flag.percentage} % on the candidate`;
  const rows = steps.map(({ name, result, ms, detail }) => [
    `  ${name}`,
    styled(stepStyles[result], result),
    `${ms.toFixed(1)} ms`,
    detail ?? "",
  ]);
  return [[styled("strong", operation), ": ", state, share], ...table(rows)];
}

const stepStyles: Readonly<Record<ControlStep["result"], Style>> = {
  done: "good",
  already: "faint",
  skipped: "faint",
  failed: "bad",
};
