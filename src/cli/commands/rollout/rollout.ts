import type { Command, CommandContext, CommandResult } from "../../context.ts";
import type {
  OperatorDoor,
  RolloutCommand,
  RolloutReport,
  RolloutStatus,
} from "../../doors/operator-door.ts";
import type { Answer } from "../../output.ts";
import { withOperator } from "../../session.ts";
import { type Line, type Span, type Style, styled, table } from "../../terminal/text.ts";
import { watch } from "../../terminal/watch.ts";
import { effectLines, userName } from "../flags.ts";

interface StatusOptions {
  readonly watch?: boolean;
}

interface CommandOptions {
  readonly reason?: string;
  readonly dryRun?: boolean;
}

/** `changeover rollout status` */
export const rolloutStatus: Command<StatusOptions> = (context, { words, options }) =>
  withOperator(context, async (operator): Promise<CommandResult> => {
    const [operation = null] = words;
    const take = (): Promise<Answer> => statusAnswer(operator, operation);
    if (options.watch !== true) return { answer: await take() };
    const { output, clock, signal } = context;
    await watch({ output, clock, signal, take });
    return { answer: null };
  });

async function statusAnswer(operator: OperatorDoor, operation: string | null): Promise<Answer> {
  const rollouts = await operator.rollouts(operation);
  const leader = rollouts.find((each) => each.leader !== null)?.leader ?? null;
  const told = leader === null ? "Nobody leads: nothing moves." : `Led by ${leader.holder}.`;
  return {
    value: { rollouts },
    lines: [
      [styled("strong", "Rollouts"), styled("faint", `  ${told}  (${operator.way})`)],
      "",
      ...table([heads, ...rollouts.map(rowOf)]),
      ...rollouts.filter(({ state }) => state !== "idle").flatMap(detailOf),
    ],
  };
}

const heads: readonly Span[] = ["OPERATION", "STATE", "STAGES", "HOLD LEFT", "SAMPLES", "PLAN"].map(
  (title) => styled("strong", title),
);

function rowOf(status: RolloutStatus): readonly Span[] {
  const { operation, state, holdLeftMs, samples, samplesNeeded, plan } = status;
  return [
    operation,
    styled(stateStyles[state], state),
    stagesOf(status),
    holdLeftMs === null ? "" : durationText(holdLeftMs),
    samples === null ? "" : `${samples} of ${samplesNeeded ?? 0}`,
    plan,
  ];
}

/** `0 › [1] › 10 › 50 › 100 %`: where it is, and what the flag says if that is something else. */
function stagesOf({ stages, stage, actualPercentage, expectedPercentage }: RolloutStatus): string {
  const walk = stages.map(({ percentage }, index) =>
    index === stage ? `[${percentage}]` : `${percentage}`,
  );
  const apart =
    actualPercentage !== null &&
    expectedPercentage !== null &&
    actualPercentage !== expectedPercentage;
  return `${walk.join(" › ")} %${apart ? ` (the flag says ${actualPercentage} %)` : ""}`;
}

function detailOf({ operation, state, why, gates }: RolloutStatus): Line[] {
  const open = gates.filter(({ state: gate }) => gate !== "passed");
  const rows = open.map(({ name, state: gate, sentence }) => [
    `  ${name}`,
    styled(gate === "holding" ? "bad" : "warn", gate),
    sentence,
  ]);
  return ["", [styled(stateStyles[state], `${operation}: `), why], ...table(rows)];
}

const stateStyles: Readonly<Record<RolloutStatus["state"], Style>> = {
  idle: "faint",
  running: "good",
  paused: "warn",
  held: "warn",
  "waiting-approval": "warn",
  complete: "good",
  "rolled-back": "bad",
  aborted: "bad",
};

function durationText(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

const told =
  (command: RolloutCommand): Command<CommandOptions> =>
  (context, { words, options }) =>
    tell(context, command, words[0] ?? "", options);

/** `changeover rollout start` */
export const startRollout: Command<CommandOptions> = told("start");
/** `changeover rollout pause` */
export const pauseRollout: Command<CommandOptions> = told("pause");
/** `changeover rollout resume` */
export const resumeRollout: Command<CommandOptions> = told("resume");
/** `changeover rollout approve` */
export const approveRollout: Command<CommandOptions> = told("approve");
/** `changeover rollout advance` */
export const advanceRollout: Command<CommandOptions> = told("advance");
/** `changeover rollout abort` */
export const abortRollout: Command<CommandOptions> = told("abort");

function tell(
  context: CommandContext,
  command: RolloutCommand,
  operation: string,
  { reason = `${command} on the command line`, dryRun = false }: CommandOptions,
): Promise<CommandResult> {
  return withOperator(context, async (operator) => {
    const change = { by: userName(), reason };
    const report = await operator.commandRollout(operation, command, change, dryRun);
    return { answer: { value: report, lines: reportLines(report, operator) } };
  });
}

function reportLines(report: RolloutReport, { way, live, effect }: OperatorDoor): Line[] {
  const { operation, done, sentence, flag, status } = report;
  const did = done ? styled("good", "done") : styled("warn", "dry run, nothing was done");
  const share = flag === null ? "" : `, ${flag.percentage} %, shadow ${flag.shadowPercentage} %`;
  const nobody: Line[] = live
    ? []
    : [styled("warn", "Nothing walks until a process runs: changeover start.")];
  return [
    [styled("strong", operation), ": ", did, share],
    sentence,
    ...table([heads, rowOf(status)]),
    ...nobody,
    ...(done ? effectLines({ effect }) : []),
    styled("faint", `${done ? "Done" : "Asked"} ${way}.`),
  ];
}
