import { systemClock } from "../src/base/clock.ts";
import { type BenchmarkReport, renderJson, renderText } from "../src/harness/report.ts";
import { type Options, readArguments, USAGE } from "./arguments.ts";
import { benchmarkCases, chooseCases, gaps } from "./cases.ts";
import { compareVersions } from "./compare/compare.ts";
import { testNetworks } from "./network/self-test.ts";
import { progressTo } from "./progress.ts";
import { saveReport } from "./results.ts";
import { runBenchmark } from "./run.ts";
import { reportError, stopOnSignal } from "./stop.ts";
import { readTargets } from "./targets.ts";

/** The default tier begins no further case after this, to end within ten minutes. */
const DEFAULT_LIMIT_MS = 500_000;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const options = readArguments(argv);
    if (options.help) process.stdout.write(USAGE);
    else if (options.list) process.stdout.write(listOfCases());
    else if (options.selfTest) return await selfTest();
    else return await measure(options);
    return 0;
  } catch (thrown) {
    return reportError(thrown);
  }
}

async function selfTest(): Promise<number> {
  const isKept = await testNetworks(systemClock, (line) => process.stdout.write(`${line}\n`));
  return isKept ? 0 : 1;
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
    return compareVersions(compare, (versions) => runBenchmark(versions, options));
  }
  const { targets, peerExceptions: exceptions } = await readTargets();
  const isWhole = tier === "default" && cases.length === 0 && also.length === 0;
  return runBenchmark(chooseCases(cases, tier, also), {
    ...options,
    targets,
    exceptions,
    gaps: cases.length === 0 ? gaps : [],
    ...(isWhole ? { limitMs: DEFAULT_LIMIT_MS } : {}),
  });
}

function listOfCases(): string {
  const width = Math.max(...benchmarkCases.map(({ name }) => name.length));
  return benchmarkCases
    .map(({ name, title, tiers = ["quick", "default", "full"] }) => {
      const note = tiers.includes("default") ? "" : " (--full)";
      return `${name.padEnd(width)}  ${title}${note}\n`;
    })
    .join("");
}
