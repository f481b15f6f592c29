import type { ControlReport, ControlStep } from "../../app/control.ts";
import { type Command, type CommandResult, usage } from "../context.ts";
import { withOperator } from "../session.ts";
import { type Line, type Style, styled, table } from "../terminal/text.ts";
import { userName } from "./flags.ts";

interface RollbackOptions {
  readonly all?: boolean;
  readonly reason?: string;
}

/** `changeover rollback`: fails unless every step of every operation was done. */
export const rollBack: Command<RollbackOptions> = (context, { words, options }) => {
  const [operation] = words;
  const { all = false, reason = "rolled back on the command line" } = options;
  if ((operation === undefined) === !all) {
    throw usage("Name one operation, or roll back every one of them with --all.");
  }
  return withOperator(context, async (operator) => {
    const change = { by: userName(), reason };
    return resultOf(await operator.rollBack(operation ?? null, change), operator.way);
  });
};

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
    return resultOf(reports, operator.way, hints);
  });

function resultOf(
  reports: readonly ControlReport[],
  way: string,
  hints: readonly Line[] = [],
): CommandResult {
  const complete = reports.every((report) => report.complete);
  const lines = [...reports.flatMap(reportLines), ...hints, styled("faint", `Done ${way}.`)];
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
