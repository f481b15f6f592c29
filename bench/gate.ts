import { mkdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { replaceFile } from "../src/base/atomic-file.ts";
import { systemClock } from "../src/base/clock.ts";
import { CodedError, toError } from "../src/base/errors.ts";
import { currentLoad, machineFacts } from "../src/harness/machine.ts";
import { gateChecks } from "./gate/checks.ts";
import { runGate } from "./gate/run-gate.ts";
import { actionBenchmarks, type GateResult, isPassed, outcomeOf } from "./gate/verdict.ts";
import { progressTo } from "./progress.ts";
import { resultsFolder } from "./results.ts";
import { goOnUnread, reportError, stopOnSignal } from "./stop.ts";
import { readTargets } from "./targets.ts";

const USAGE = `Usage: npm run bench:gate -- [options]

  --strict    fail when a check stays inconclusive, as before a release
  --json      print the results as JSON
  --seed N    seed of the order within pairs and of the bootstrap (default 1)
  --help      print this and stop

Measures ratios only, self-tests first, and takes less than five minutes. Limits: bench/targets.json.
Writes bench/results/gate.json and gate-action.json (github-action-benchmark, customSmallerIsBetter).
Exit codes: 0 passed, 1 failed or could not be measured, 2 wrong usage, 130 stopped.
`;

goOnUnread();
process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { help = false, strict = false, json = false, seed = "1" } = parse(argv);
    if (!help) return await gate({ strict, json, seed: Number(seed) });
    process.stdout.write(USAGE);
    return 0;
  } catch (thrown) {
    return reportError(thrown);
  }
}

function parse(argv: readonly string[]): {
  readonly help?: boolean;
  readonly strict?: boolean;
  readonly json?: boolean;
  readonly seed?: string;
} {
  try {
    const { values } = parseArgs({
      args: [...argv],
      strict: true,
      options: {
        help: { type: "boolean" },
        strict: { type: "boolean" },
        json: { type: "boolean" },
        seed: { type: "string" },
      },
    });
    if (!/^\d{1,9}$/.test(values.seed ?? "1")) throw new Error("--seed takes a whole number.");
    return values;
  } catch (thrown) {
    throw new CodedError("BENCH_USAGE", `${toError(thrown).message}\n\n${USAGE}`, { status: 400 });
  }
}

async function gate(options: {
  readonly strict: boolean;
  readonly json: boolean;
  readonly seed: number;
}): Promise<number> {
  const signal = stopOnSignal();
  const progress = progressTo(process.stderr);
  const loadBefore = currentLoad();
  const startedAt = new Date(systemClock.now()).toISOString();
  try {
    const { gate: limits } = await readTargets();
    const results = await runGate(gateChecks, limits, {
      clock: systemClock,
      signal,
      seed: options.seed,
      onCheck: (id) => progress.begin(id),
      onProgress: (text) => progress.update(text),
    });
    progress.end();
    const passed = isPassed(results, options.strict);
    const report = {
      schemaVersion: 1,
      product: "changeover",
      startedAt,
      finishedAt: new Date(systemClock.now()).toISOString(),
      machine: machineFacts(loadBefore),
      strict: options.strict,
      passed,
      results,
    };
    const json = `${JSON.stringify(report, null, 2)}\n`;
    process.stdout.write(options.json ? json : textOf(results, passed));
    await mkdir(resultsFolder, { recursive: true });
    const files = [
      join(resultsFolder, "gate.json"),
      join(resultsFolder, "gate-action.json"),
    ] as const;
    await replaceFile(files[0], json);
    await replaceFile(files[1], `${JSON.stringify(actionBenchmarks(results), null, 2)}\n`);
    const written = files.map((file) => relative(process.cwd(), file)).join(", ");
    process.stderr.write(`Written: ${written}\n`);
    return passed ? 0 : 1;
  } catch (error) {
    progress.end();
    if (!signal.aborted) throw error;
    process.stderr.write("Stopped; nothing was written.\n");
    return 130;
  }
}

function textOf(results: readonly GateResult[], passed: boolean): string {
  const width = Math.max(...results.map(({ id }) => id.length));
  const lines = results.map(({ id, text, unit, value, ci95, limit, verdict }) => {
    const interval = `${ci95.low.toFixed(3)} to ${ci95.high.toFixed(3)}`;
    const measured = `${value.toFixed(3)} ${unit} (${interval}), limit ${limit}`;
    return `${verdict.padEnd(12)}  ${id.padEnd(width)}  ${measured}\n${" ".repeat(14)}${text}\n`;
  });
  return `${lines.join("")}\n${outcomeOf(results, passed)}\n`;
}
