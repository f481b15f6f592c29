import { CodedError } from "../../base/errors.ts";
import { type Policy, parsePolicy } from "../../guard/policy.ts";
import type { SimulationOptions, SimulationParameters } from "./parameters.ts";
import { readRecords, replayRecords } from "./recording/replay.ts";
import { renderChart } from "./report/chart.ts";
import { describeDifference } from "./report/difference.ts";
import { describeRun, renderTable } from "./report/table.ts";
import type { SimulationResult } from "./result.ts";
import { simulate } from "./simulation.ts";

/** What somebody who types `changeover simulate` may ask for. */
export interface SimulationRequest extends SimulationParameters {
  /** File with the policy to try; default: the default policy. */
  readonly policyFile?: string;
  /** File with another policy, to be compared with the first. */
  readonly diffFile?: string;
  /** File with recorded observations, to be played instead of scenarios. */
  readonly eventsFile?: string;
  /** Which operation of the recorded ones; needed when there are several. */
  readonly operation?: string;
  /** When the candidate began to be worse in the recording: ISO 8601. */
  readonly onset?: string;
  /** File that an SVG chart is written to. */
  readonly chartFile?: string;
  /** Play the rivals too; default true. */
  readonly rivals?: boolean;
  /** Default `text`. */
  readonly format?: "text" | "markdown" | "json";
}

/** The world around a request: whoever calls decides what a file is and where lines go. */
export interface SimulationIo extends Pick<SimulationOptions, "progress" | "signal"> {
  readText(file: string): Promise<string>;
  /** Lines without their ends. */
  readLines(file: string): AsyncIterable<string>;
  writeText(file: string, text: string): Promise<void>;
  /** One or more lines for the user's standard output. */
  print(text: string): void;
}

/** The name of the second policy in results. */
export const otherPolicyName = "other";

/**
 * Does what was asked, prints it and returns the results. Throws `GUARD_INVALID_POLICY`,
 * `REHEARSAL_INVALID_POLICY`, `REHEARSAL_INVALID_SIMULATION`, `REHEARSAL_UNKNOWN_SCENARIO`,
 * `REHEARSAL_INVALID_EVENTS`, and whatever reading or writing a file throws.
 */
export async function runSimulation(
  request: SimulationRequest,
  io: SimulationIo,
): Promise<readonly SimulationResult[]> {
  const { policyFile, diffFile, eventsFile, chartFile, format = "text" } = request;
  const options: SimulationOptions = {
    ...request,
    ...(policyFile === undefined ? {} : { policy: await readPolicy(policyFile, io) }),
    ...(diffFile === undefined
      ? {}
      : { others: { [otherPolicyName]: await readPolicy(diffFile, io) } }),
    ...(io.progress === undefined ? {} : { progress: io.progress }),
    ...(io.signal === undefined ? {} : { signal: io.signal }),
  };
  const results =
    eventsFile === undefined
      ? await simulate(options)
      : await replay(eventsFile, request, options, io);
  if (chartFile !== undefined) await io.writeText(chartFile, renderChart(results));
  if (format === "json") {
    io.print(JSON.stringify(results, null, 2));
    return results;
  }
  io.print(describeRun(results));
  io.print(renderTable(results, format));
  if (diffFile !== undefined) {
    const of = (name: string): SimulationResult[] =>
      results.filter(({ policy }) => policy === name);
    io.print(describeDifference(of("changeover"), of(otherPolicyName)).join("\n"));
  }
  return results;
}

/** Reads a policy from the text of a JSON file. Throws `REHEARSAL_INVALID_POLICY` and `GUARD_INVALID_POLICY`. */
export function parseSimulationPolicy(text: string, file: string): Policy {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CodedError(
      "REHEARSAL_INVALID_POLICY",
      `The policy in ${file} is not JSON. Write an object with the fields to change; {} is the default policy.`,
      { status: 400, cause },
    );
  }
  return parsePolicy(value);
}

async function readPolicy(file: string, io: SimulationIo): Promise<Policy> {
  return parseSimulationPolicy(await io.readText(file), file);
}

async function replay(
  file: string,
  { operation, onset }: SimulationRequest,
  options: SimulationOptions,
  io: SimulationIo,
): Promise<readonly SimulationResult[]> {
  const onsetMs = onset === undefined ? undefined : Date.parse(onset);
  if (onsetMs !== undefined && Number.isNaN(onsetMs)) {
    throw new CodedError(
      "REHEARSAL_INVALID_SIMULATION",
      `The onset ${JSON.stringify(onset)} is not a time. Write it as 2026-01-31T14:03:12Z.`,
      { status: 400 },
    );
  }
  const records = await readRecords(io.readLines(file), operation);
  return replayRecords(records, { ...options, ...(onsetMs === undefined ? {} : { onsetMs }) });
}
