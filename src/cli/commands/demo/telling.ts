import { type Line, styled } from "../../terminal/text.ts";
import type { DemoStory, RollbackTale, StageTale, TrafficTale } from "./story.ts";
import { type CallKind, sum, type TrafficCounts, type TrafficRates } from "./traffic/counts.ts";

/** What a person reads before the demo begins. */
export function opening(operation: string, limitSeconds: number): Line[] {
  return [
    [
      styled("strong", "changeover demo"),
      `: ${operation} moves from the legacy path to the candidate, the candidate breaks, and every`,
    ],
    `caller is brought back without anybody doing anything. It takes up to ${limitSeconds / 60} minutes.`,
    "",
  ];
}

/** What is not as it would be in production. */
export function shortened(changes: readonly string[]): Line[] {
  const rows = changes.map((change) => `  · ${change}`);
  return [
    "Percentages, samples and all other gates are the plan's own. For this demo alone:",
    ...rows,
    "",
  ];
}

/** The rates of both paths, as callers saw them. */
export function ratesText({ info, legacy, candidate, fellBack }: TrafficRates): string {
  const fallbacks = fellBack < 0.05 ? "" : `, of these ${shown(fellBack)}/s after a failure`;
  return `${shown(info)} look-ups/s: legacy answers ${shown(legacy)}/s${fallbacks}, candidate ${shown(candidate)}/s`;
}

/** How long callers waited lately. */
export function waitText({ p50Ms, p95Ms }: TrafficCounts): string {
  return p50Ms === null || p95Ms === null
    ? ""
    : `; half within ${shown(p50Ms)} ms, 95 % within ${shown(p95Ms)} ms`;
}

/** A stage that is over. */
export function stageText(tale: StageTale): string {
  const { percentage, seconds, samples, samplesNeeded, perSecond, verdict, left, skipped } = tale;
  const what = percentage === 0 ? "comparisons in the shadow" : "candidate calls";
  const passed = skipped === null ? "every gate is passed" : "every gate but samples is passed";
  const end = left ? passed : "watched";
  return `${percentage} %: ${end} after ${shown(seconds)} s, with ${samples} of ${samplesNeeded} ${what}; legacy answered ${shown(perSecond.legacy)}/s, candidate ${shown(perSecond.candidate)}/s. The guard: ${verdict}${skipped === null ? "" : ` Too slow a machine for all samples in this time: ${skipped}`}`;
}

/** The rollback, in the order in which it happened. */
export function rollbackTexts(tale: RollbackTale): string[] {
  const { latchedMs, lastCandidateMs, by, sentence, steps, percentageAfter } = tale;
  const last =
    lastCandidateMs === null
      ? ""
      : ` The candidate's last answer left ${lastCandidateMs} ms after.`;
  const told = steps.map(({ name, result }) => `${name} ${result}`).join(", ");
  return [
    `Rolled back ${latchedMs} ms after the order to fail, by ${by}: ${sentence}`,
    `Steps: ${told}. The flag says ${percentageAfter ?? "no"} %.${last}`,
  ];
}

/** What callers saw in all. */
export function trafficTexts(tale: TrafficTale): string[] {
  const { seconds, calls, infoPerSecond, infoPerSecondAimed, notMade, fellBack, harmed } = tale;
  const { infoPerSecondMin, machine } = tale;
  const others = (Object.keys(calls) as CallKind[])
    .filter((kind) => kind !== "info")
    .map((kind) => `${calls[kind]} ${kind}`);
  const reached = `${shown(infoPerSecond)} look-ups/s reached of ${infoPerSecondAimed} aimed at`;
  const skipped =
    notMade === 0 ? "" : ` ${notMade} calls were due and not made: this machine was too busy.`;
  const { load, cores } = machine;
  const below =
    infoPerSecond >= infoPerSecondMin
      ? ""
      : ` That is below the ${infoPerSecondMin}/s that this demo is meant for: the machine's load was ${shown(load)} on ${cores} ${cores === 1 ? "core" : "cores"}.`;
  return [
    `Traffic: ${sum(calls)} calls in ${shown(seconds)} s, ${reached} (${others.join(", ")}).${below}${skipped}`,
    `Callers harmed: ${harmed}. ${fellBack} calls met the broken candidate and were answered by legacy.`,
  ];
}

/** How it ended. */
export function ending(
  problems: readonly string[],
  story: DemoStory,
  { report, pictures, seconds }: { report: string; pictures: readonly string[]; seconds: number },
): Line[] {
  const verdict: Line =
    problems.length === 0
      ? styled("good", `The story happened, in ${shown(seconds)} s.`)
      : styled("bad", `The story did not happen as it should (${shown(seconds)} s):`);
  return [
    "",
    verdict,
    ...problems.map((problem): Line => styled("bad", `  ${problem}`)),
    ...(story.traffic === null ? [] : trafficTexts(story.traffic)),
    ["Report   ", styled("name", report)],
    ...pictures.map((path): Line => ["Picture  ", styled("name", path)]),
  ];
}

function shown(value: number): string {
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}
