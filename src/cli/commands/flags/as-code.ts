import {
  type FlagDifference,
  flagsAsCode,
  type PlannedCall,
} from "../../../app/flags/flags-as-code.ts";
import type { Command } from "../../context.ts";
import { sharedConfig } from "../../session.ts";
import { type Line, styled, table } from "../../terminal/text.ts";

interface SyncOptions {
  readonly percentages?: boolean;
  readonly dryRun?: boolean;
}

/** `changeover flags diff` */
export const diffFlags: Command<unknown> = async (context) => {
  const differences = await flagsAsCode(await sharedConfig(context)).diff();
  return { answer: { value: { differences }, lines: differenceLines(differences) } };
};

/** `changeover flags check` */
export const checkFlags: Command<SyncOptions> = async (context, { options }) => {
  const { percentages = false } = options;
  const all = await flagsAsCode(await sharedConfig(context)).diff();
  const differences = all.filter((each) => percentages || each.kind !== "live");
  return {
    answer: {
      value: { inStep: differences.length === 0, differences },
      lines: differenceLines(differences),
    },
    exit: differences.length === 0 ? "done" : "failed",
  };
};

/** `changeover flags push` */
export const pushFlags: Command<SyncOptions> = async (context, { options }) => {
  const { percentages = false, dryRun = false } = options;
  const { calls, left } = await flagsAsCode(await sharedConfig(context)).push({
    percentages,
    dryRun,
  });
  return {
    answer: {
      value: { dryRun, calls, left },
      lines: [...callLines(calls, dryRun), ...left.map(leftLine)],
    },
  };
};

/** `changeover flags pull` */
export const pullFlags: Command<SyncOptions> = async (context, { options }) => {
  const { percentages = false, dryRun = false } = options;
  const { files, skipped } = await flagsAsCode(await sharedConfig(context)).pull({
    percentages,
    dryRun,
  });
  const done = dryRun ? "would be written" : "written";
  const lines: Line[] = files.map(({ fileName }) => [styled("good", fileName), ` ${done}`]);
  if (files.length === 0) lines.push("The files are as Unleash has the flags.");
  const rest = skipped.map(({ flag, why }): Line => [styled("warn", flag), ` skipped: ${why}`]);
  return { answer: { value: { dryRun, files, skipped }, lines: [...lines, ...rest] } };
};

function differenceLines(differences: readonly FlagDifference[]): Line[] {
  if (differences.length === 0) return ["Files and Unleash are in step."];
  const titles = ["FLAG", "WHAT", "FILE", "UNLEASH", ""].map((title) => styled("strong", title));
  const rows = differences.map(({ flag, kind, field, file, unleash, left }) => [
    styled("name", flag),
    kind === "missing" || kind === "extra" ? kind : field,
    shown(file),
    shown(unleash),
    styled("faint", left ?? ""),
  ]);
  return table([titles, ...rows]);
}

const shown = (value: string | null): string =>
  value === null || value === "" ? "–" : value.length > 50 ? `${value.slice(0, 49)}…` : value;

function callLines(calls: readonly PlannedCall[], dryRun: boolean): Line[] {
  if (calls.length === 0) return ["Nothing to push."];
  const mark = styled(dryRun ? "faint" : "good", dryRun ? "would" : "done");
  return calls.map((call): Line => [mark, `  ${call.why}`]);
}

const leftLine = ({ flag, kind, field, left }: FlagDifference): Line => [
  styled("warn", flag),
  ` ${kind === "extra" ? "has no file" : field} left: ${left ?? ""}`,
];
