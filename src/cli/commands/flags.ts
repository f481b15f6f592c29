import { userInfo } from "node:os";
import type { ControlReport } from "../../app/control.ts";
import { type Command, usage, wholeNumber } from "../context.ts";
import type { OperatorDoor } from "../doors/operator-door.ts";
import { withOperator } from "../session.ts";
import { type Line, styled, table } from "../terminal/text.ts";

type Flag = NonNullable<ControlReport["flag"]>;

interface SetOptions {
  readonly shadow?: number;
  readonly reason?: string;
}

/** `changeover flags show` */
export const showFlags: Command<unknown> = (context) =>
  withOperator(context, async (operator) => {
    const { operations, flags } = await operator.snapshot();
    const states = operations.flatMap(({ flag }) => (flag === null ? [] : [flag]));
    const problems = flags.problems.map(
      ({ subject, message }): Line => [styled("warn", `${subject}: `), message],
    );
    const way: Line = styled("faint", `Read ${operator.way}.`);
    return {
      answer: {
        value: { flags: states, problems: flags.problems },
        lines: [...flagTable(states), ...problems, way],
      },
    };
  });

/** `changeover flags set` */
export const setFlag: Command<SetOptions> = (context, { words, options }) => {
  const [operation = "", typed] = words;
  const { shadow, reason = "set on the command line" } = options;
  if (typed === undefined && shadow === undefined) {
    throw usage("Nothing to set. Give a percentage, --shadow <percentage>, or both.");
  }
  const values = {
    ...(typed === undefined ? {} : { percentage: wholeNumber("<percentage>", typed, 0, 100) }),
    ...(shadow === undefined ? {} : { shadow }),
  };
  return withOperator(context, async (operator) => {
    const state = await operator.setFlag(operation, values, { by: userName(), reason });
    const way: Line = styled("faint", `Set ${operator.way}.`);
    const lines = [...flagTable([state]), ...effectLines(operator), way];
    return { answer: { value: state, lines } };
  });
};

function flagTable(flags: readonly Flag[]): Line[] {
  const head = ["OPERATION", "CANDIDATE", "SHADOW", "ORIGIN"].map((title) =>
    styled("strong", title),
  );
  const rows = flags.map(({ operation, enabled, percentage, shadowPercentage, origin }) => [
    operation,
    `${percentage} %${enabled ? "" : " (off)"}`,
    `${shadowPercentage} %`,
    origin,
  ]);
  return table([head, ...rows]);
}

/** When what was written takes effect, where that is not at once. */
export function effectLines({ effect }: Pick<OperatorDoor, "effect">): Line[] {
  return effect === null ? [] : [styled("warn", effect)];
}

/** Who is at the terminal, for the journal: the user's name, or number where it has none. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}
