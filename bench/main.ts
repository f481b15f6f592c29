import { systemClock } from "../src/base/clock.ts";
import { type BenchmarkReport, renderJson, renderText } from "../src/harness/report.ts";
import { type Options, readArguments, USAGE } from "./arguments.ts";
import type { BenchmarkCase } from "./case.ts";
import {
  benchmarkCases,
  chooseCases,
  gaps,
  leftOut,
  orderForTime,
  readDurations,
  secondsOf,
} from "./cases.ts";
import { compareVersions } from "./compare/compare.ts";
import { testNetworks } from "./network/self-test.ts";
import { progressTo } from "./progress.ts";
import { saveReport } from "./results.ts";
import { runBenchmark } from "./run.ts";
import { goOnUnread, reportError, stopOnSignal } from "./stop.ts";
import { readTargets } from "./targets.ts";

/** The default tier leaves out what does not fit into this, to end within ten minutes. */
const DEFAULT_LIMIT_MS = 590_000;

goOnUnread();
process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const options = readArguments(argv);
    if (options.help) process.stdout.write(USAGE);
    else if (options.list) process.stdout.write(await listOfCases(options));
    else if (options.selfTest) return await selfTest();
    else return await measure(options);
    return 0;
  } catch (thrown) {
    return reportError(thrown);
  }
}

async function selfTest(): Promise<number> {
  const signal = stopOnSignal();
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  try {
    return (await testNetworks({ clock: systemClock, signal, print })) ? 0 : 1;
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stderr.write("Stopped.\n");
    return 130;
  }
}

async function measure(options: Options): Promise<number> {
  const signal = stopOnSignal();
  const progress = progressTo(process.stderr);
  try {
    const report = await reportOf(options, { signal, progress });
    progress.end();
    process.stdout.write(options.json ? renderJson(report) : renderText(report));
    const written = await saveReport(report);
    if (options.saveReference) written.push(...(await saveReport(report, "reference")));
    process.stderr.write(`Written: ${written.join(", ")}\n`);
    return report.failures.length === 0 ? 0 : 1;
  } catch (error) {
    progress.end();
    if (!signal.aborted) throw error;
    process.stderr.write("Stopped; nothing was written.\n");
    return 130;
  }
}

async function reportOf(
  { tier, seed, cases, also, compare }: Options,
  shown: Pick<Parameters<typeof runBenchmark>[1], "signal" | "progress">,
): Promise<BenchmarkReport> {
  const options = { tier, seed, clock: systemClock, ...shown };
  if (compare !== null) {
    return compareVersions(compare, cases, (versions) => runBenchmark(versions, options));
  }
  const { targets, peerExceptions: exceptions } = await readTargets();
  const chosen = chooseCases(cases, tier, also);
  const isWhole = tier === "default" && cases.length === 0 && also.length === 0;
  const known = await readDurations();
  const about = (each: BenchmarkCase): number | null => secondsOf(each, tier, known);
  return runBenchmark(isWhole ? orderForTime(chosen, targets, about) : chosen, {
    ...options,
    targets,
    exceptions,
    gaps: cases.length === 0 ? gaps : leftOut(cases, tier, also),
    ...(isWhole ? { limitMs: DEFAULT_LIMIT_MS, secondsOf: about } : {}),
  });
}

/** All cases, or what would run as it is asked for; each with about how long it takes. */
async function listOfCases({ cases, also, tier, json }: Options): Promise<string> {
  const known = await readDurations();
  const isAsked = cases.length > 0 || also.length > 0 || tier !== "default";
  const listed = (isAsked ? chooseCases(cases, tier, also) : benchmarkCases).map((each) => {
    const { name, title, tiers = ["quick", "default", "full"] } = each;
    return { name, title, tiers, seconds: secondsOf(each, tier, known) };
  });
  if (json) return `${JSON.stringify(listed, null, 2)}\n`;
  const width = Math.max(...listed.map(({ name }) => name.length));
  const lines = listed.map(({ name, title, tiers, seconds }) => {
    const note = tiers.includes("default") ? "" : " (--full)";
    return `${name.padEnd(width)}  ${durationText(seconds).padStart(7)}  ${title}${note}\n`;
  });
  const whole = isAsked ? listed : listed.filter(({ tiers }) => tiers.includes(tier));
  const seconds = whole.reduce((sum, each) => sum + (each.seconds ?? 0), 0);
  const limit =
    isAsked || seconds * 1000 < DEFAULT_LIMIT_MS
      ? ""
      : `; what does not fit into ${DEFAULT_LIMIT_MS / 1000} s is left out`;
  const what = `${tier === "default" ? "The default" : `A ${tier}`} run of ${whole.length} cases`;
  const untimed = whole.filter((each) => each.seconds === null).map(({ name }) => name);
  const rest = untimed.length === 0 ? "" : ` Not timed yet: ${untimed.join(", ")}.`;
  return `${lines.join("")}\n${what} takes about ${durationText(seconds)} on two cores${limit}.${rest}\n`;
}

function durationText(seconds: number | null): string {
  if (seconds === null) return "?";
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
