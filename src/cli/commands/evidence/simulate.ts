import { createReadStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { runSimulation, type SimulationIo } from "../../../rehearsal/simulator/run-simulation.ts";
import { type Command, usage } from "../../context.ts";
import { requireReadable, requireWritable } from "../../process/named-file.ts";
import { styled } from "../../terminal/text.ts";

interface SimulateOptions {
  readonly policy?: string;
  readonly diff?: string;
  readonly scenario?: readonly string[];
  readonly events?: string;
  readonly operation?: string;
  readonly onset?: string;
  readonly share?: number;
  readonly callsPerSecond?: number;
  readonly days?: number;
  readonly runs?: number;
  readonly seed?: number;
  readonly legacyErrorRate?: number;
  readonly candidateErrorRate?: number;
  readonly fallback?: boolean;
  readonly rivals: boolean;
  readonly markdown?: boolean;
  readonly chart?: string;
}

/** `changeover simulate` */
export const simulate: Command<SimulateOptions> = async ({ output, signal }, { options }) => {
  const { policy, diff, scenario, events, chart, markdown, ...numbers } = options;
  refuseMixture(options);
  // What takes minutes must not fail at its end for a name that was wrong from the start.
  for (const file of [policy, diff, events]) if (file !== undefined) await requireReadable(file);
  if (chart !== undefined) await requireWritable(chart);
  const printed: string[] = [];
  let shown = -1;
  const io: SimulationIo = {
    signal,
    readText: (file) => readFile(file, "utf8"),
    readLines: (file) => createInterface({ input: createReadStream(file, "utf8") }),
    writeText: (file, text) => writeFile(file, text),
    print: (text) => printed.push(...text.split("\n")),
    progress: ({ part, done }) => {
      const percent = Math.floor(done * 10) * 10;
      if (percent === shown || percent === 0) return;
      shown = percent;
      output.note(styled("faint", `${percent} %  ${part}`));
    },
  };
  const value = await runSimulation(
    {
      ...numbers,
      ...(policy === undefined ? {} : { policyFile: policy }),
      ...(diff === undefined ? {} : { diffFile: diff }),
      ...(scenario === undefined ? {} : { scenarios: scenario }),
      ...(events === undefined ? {} : { eventsFile: events }),
      ...(chart === undefined ? {} : { chartFile: chart }),
      format: markdown ? "markdown" : "text",
    },
    io,
  );
  return { answer: { value, lines: printed } };
};

/** The options of made-up traffic, which a recording has of its own. */
const ofScenarios = {
  scenario: "--scenario",
  share: "--share",
  callsPerSecond: "--calls-per-second",
  days: "--days",
  runs: "--runs",
  seed: "--seed",
  legacyErrorRate: "--legacy-error-rate",
  candidateErrorRate: "--candidate-error-rate",
  fallback: "--fallback",
} as const satisfies Partial<Record<keyof SimulateOptions, string>>;
const ofRecordings = { operation: "--operation", onset: "--onset" } as const;

/** Throws `CLI_USAGE` for options that would say nothing beside the others. */
function refuseMixture(options: SimulateOptions): void {
  const recorded = options.events !== undefined;
  const wrong = Object.entries(recorded ? ofScenarios : ofRecordings).find(
    ([name]) => options[name as keyof SimulateOptions] !== undefined,
  );
  if (wrong === undefined) return;
  throw usage(
    recorded
      ? `${wrong[1]} makes traffic up, and a recording has its own. Leave it out, or --events.`
      : `${wrong[1]} is about a recording. Name that with --events.`,
  );
}
