import { parseArgs } from "node:util";
import { systemClock } from "../src/base/clock.ts";
import { CodedError, isCodedError, toError } from "../src/base/errors.ts";
import { renderJson, renderText } from "../src/harness/report.ts";
import { benchmarkCases } from "./cases.ts";
import { progressTo } from "./progress.ts";
import { saveReport } from "./results.ts";
import { runBenchmark } from "./run.ts";

const USAGE = `Usage: npm run bench -- [options]

  --list         name the cases and stop
  --case NAME    measure only this case (may be repeated)
  --quick        few samples: to see that everything runs, not to decide anything
  --json         print the report as JSON instead of a table
  --seed N       seed of the order within pairs and of the bootstrap (default 1)
  --help         print this and stop

Results are kept in bench/results/latest.json and latest.md.
Exit codes: 0 measured, 1 a case could not be measured, 2 wrong usage, 130 stopped.
`;

/** Longest wait after the first Ctrl-C until the process ends anyway, in milliseconds. */
const STOP_LIMIT_MS = 4000;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const options = readArguments(argv);
    if (options.help) process.stdout.write(USAGE);
    else if (options.list) process.stdout.write(listOfCases());
    else return await measure(options);
    return 0;
  } catch (thrown) {
    const error = toError(thrown);
    const code = isCodedError(error) ? `${error.code}: ` : "";
    process.stderr.write(`${code}${error.message}\n`);
    return isCodedError(error) && error.code === "BENCH_USAGE" ? 2 : 1;
  }
}

interface Options {
  readonly help: boolean;
  readonly list: boolean;
  readonly quick: boolean;
  readonly json: boolean;
  readonly cases: readonly string[];
  readonly seed: number;
}

function readArguments(argv: readonly string[]): Options {
  const { values } = parse(argv);
  const { help = false, list = false, quick = false, json = false } = values;
  const cases = values.case ?? [];
  const unknown = cases.filter((name) => !benchmarkCases.some((each) => each.name === name));
  if (unknown.length > 0) {
    const known = benchmarkCases.map(({ name }) => name).join(", ");
    throw usageError(`There is no case "${unknown.join('", "')}". Known: ${known}.`);
  }
  const seed = Number(values.seed ?? "1");
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
    throw usageError(`--seed takes a whole number from 0 to 4294967295, not "${values.seed}".`);
  }
  return { help, list, quick, json, cases, seed };
}

function parse(argv: readonly string[]): {
  values: {
    help?: boolean;
    list?: boolean;
    quick?: boolean;
    json?: boolean;
    case?: string[];
    seed?: string;
  };
} {
  try {
    return parseArgs({
      args: [...argv],
      strict: true,
      options: {
        help: { type: "boolean" },
        list: { type: "boolean" },
        quick: { type: "boolean" },
        json: { type: "boolean" },
        case: { type: "string", multiple: true },
        seed: { type: "string" },
      },
    });
  } catch (thrown) {
    throw usageError(`${toError(thrown).message}\n\n${USAGE}`);
  }
}

async function measure({ cases, quick, seed, json }: Options): Promise<number> {
  const stop = stopOnSignal();
  const progress = progressTo(process.stderr);
  const chosen = benchmarkCases.filter(({ name }) => cases.length === 0 || cases.includes(name));
  try {
    const report = await runBenchmark(chosen, {
      quick,
      seed,
      clock: systemClock,
      signal: stop,
      progress,
    });
    progress.end();
    process.stdout.write(json ? renderJson(report) : renderText(report));
    process.stderr.write(`Written: ${(await saveReport(report)).join(", ")}\n`);
    return report.failures.length === 0 ? 0 : 1;
  } catch (error) {
    progress.end();
    if (!stop.aborted) throw error;
    process.stderr.write("Stopped; nothing was written.\n");
    return 130;
  }
}

/** The first Ctrl-C or SIGTERM stops tidily, a second one at once. */
function stopOnSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new CodedError("BENCH_STOPPED", "The benchmark was stopped."));
    systemClock.after(STOP_LIMIT_MS, () => process.exit(130));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}

function listOfCases(): string {
  const width = Math.max(...benchmarkCases.map(({ name }) => name.length));
  return benchmarkCases.map(({ name, title }) => `${name.padEnd(width)}  ${title}\n`).join("");
}

function usageError(message: string): CodedError {
  return new CodedError("BENCH_USAGE", message, { status: 400 });
}
