import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CodedError } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { CallDistribution } from "../../src/harness/distribution.ts";
import { type Comparison, comparisonOf, type Figure } from "../../src/harness/measurement.ts";
import { startPeak } from "../../src/harness/memory.ts";
import { bootstrapInterval, medianOfGroups } from "../../src/harness/statistics.ts";
import type { BenchmarkCase, CaseContext } from "../case.ts";
import type { CoreTimesJob, RollbackTimes } from "../children/core-times.ts";
import { freshPairs } from "./launches.ts";
import { makeFile } from "./upload-file.ts";

const PROGRAM = new URL("../children/core-times.ts", import.meta.url);
const CLI = fileURLToPath(new URL("../../src/cli/bin.js", import.meta.url));
const run = promisify(execFile);
/** How long a product may take to start or to stop, in milliseconds. */
const START_LIMIT_MS = 60_000;
const MIB = 2 ** 20;

/** Times of the product itself: rolling back, being scraped, starting; and the gateway's memory. */
export const coreTimes: readonly BenchmarkCase[] = [
  {
    name: "rollback",
    title:
      "from the first failure of the candidate to the first call that the latch keeps on legacy",
    run: async (context) => ({
      comparisons: [],
      distributions: [],
      figures: await rollbackFigures(context),
    }),
  },
  {
    name: "scrape",
    title: "text of the metrics of 10 operations: time of single scrapes",
    run: async (context) => {
      const input: CoreTimesJob = { kind: "scrape" };
      const found = await context.runChild<CallDistribution[]>({ program: PROGRAM, input });
      return { comparisons: [], distributions: found.map((each) => ({ ...each, case: "scrape" })) };
    },
  },
  {
    name: "start-up",
    title: "start of the CLI against an empty Node program, and of the product until it serves",
    needs: { memoryBytes: 1e9, diskBytes: 500e6 },
    run: async (context) => ({
      comparisons: [await cliStart(context)],
      distributions: [],
      figures: [await productStart(context)],
    }),
  },
  {
    name: "gateway-memory",
    title: "peak memory of the gateway: uploads of 64 MiB and of 1 GiB, small heap",
    tiers: ["full"],
    needs: { memoryBytes: 1e9, diskBytes: 6e9, program: "curl" },
    run: async (context) => ({
      comparisons: [],
      distributions: [],
      figures: await gatewayMemory(context),
    }),
  },
];

async function rollbackFigures(context: CaseContext): Promise<Figure[]> {
  const times: RollbackTimes[] = [];
  const launches = { quick: 1, default: 5, full: 9 }[context.tier];
  for (let index = 0; index < launches; index += 1) {
    const input: CoreTimesJob = { kind: "rollback" };
    times.push(await context.runChild<RollbackTimes>({ program: PROGRAM, input }));
  }
  const name = "rollback";
  return [
    figure(
      [name, "first failure to the first latched call", "ms"],
      times.map((each) => each.automaticMs),
      context,
    ),
    figure(
      [name, "calls the failing candidate got", "calls"],
      times.map((each) => each.failedCalls),
      context,
    ),
  ];
}

async function cliStart(context: CaseContext): Promise<Comparison> {
  const { clock, signal } = context;
  const pairs = { quick: 3, default: 9, full: 20 }[context.tier];
  const args: Readonly<Record<string, readonly string[]>> = {
    "node, empty": ["-e", "0"],
    "changeover --version": [CLI, "--version"],
  };
  const start = async (name: string): Promise<number> => {
    const startedMs = clock.monotonicMs();
    await run(process.execPath, [...(args[name] ?? [])], { signal });
    return clock.monotonicMs() - startedMs;
  };
  for (const name of Object.keys(args)) await start(name);
  const values = await freshPairs(["node, empty", "changeover --version"], pairs, start, context);
  return comparisonOf(
    {
      case: "start-up",
      measure: "start and end of the process",
      unit: "ms",
      better: "lower",
      resolution: null,
      nodeFlags: [],
      note: "the second start and later: compiled code is kept",
    },
    [values],
    seededRandom(context.seed),
  );
}

async function productStart(context: CaseContext): Promise<Figure> {
  const times: number[] = [];
  const count = { quick: 1, default: 2, full: 5 }[context.tier];
  for (let index = 0; index < count; index += 1) {
    context.progress(`product, start ${index + 1} of ${count}`);
    await withProduct([], context, async ({ readyMs }) => times.push(readyMs));
  }
  return figure(["start-up", "changeover start until it serves", "ms"], times, context);
}

async function gatewayMemory(context: CaseContext): Promise<Figure[]> {
  const flags = ["--max-old-space-size=96", "--max-semi-space-size=1"];
  const growths: number[] = [];
  const peaks = { small: [] as number[], large: [] as number[] };
  for (let turn = 0; turn < 2; turn += 1) {
    await withProduct(flags, context, async ({ pid, gateway, folder, data }) => {
      const words = ["flags", "set", "upload", "100", "--reason", "bench", "--data-dir", data];
      await run(process.execPath, [CLI, ...words], { signal: context.signal });
      const peakOf = async (mebibytes: number): Promise<number> => {
        const path = join(folder, `${mebibytes}.bin`);
        await makeFile(path, mebibytes * MIB);
        const meter = startPeak(pid);
        const url = `${gateway}/v1/files/${mebibytes}.bin`;
        await run("curl", ["-q", "-sS", "--fail", "-o", "/dev/null", "-T", path, url], {
          signal: context.signal,
        });
        return meter.read().peakBytes / 1e6;
      };
      await peakOf(1);
      const small = await peakOf(64);
      const large = await peakOf(1024);
      peaks.small.push(small);
      peaks.large.push(large);
      growths.push(((large - small) * 1e6) / MIB);
    });
  }
  const name = "gateway-memory";
  return [
    figure([name, "peak at 64 MiB", "MB"], peaks.small, context),
    figure([name, "peak at 1 GiB", "MB"], peaks.large, context),
    figure([name, "peak at 1 GiB - peak at 64 MiB", "MiB"], growths, context),
  ];
}

interface Product {
  readonly pid: number;
  readonly gateway: string;
  readonly folder: string;
  /** Its data folder. */
  readonly data: string;
  readonly readyMs: number;
}

/** Runs `changeover start` in a process of its own, with the flags of this checkout, and stops it. */
async function withProduct(
  nodeFlags: readonly string[],
  { clock, signal, folder }: CaseContext,
  work: (product: Product) => Promise<unknown>,
): Promise<void> {
  const own = await mkdtemp(join(folder, "product-"));
  const startedMs = clock.monotonicMs();
  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const data = join(own, "data");
  const args = [...nodeFlags, main, "start", "--json", "--flags", "file", "--data-dir", data];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] ?? "", CHANGEOVER_PORT: "0", NODE_ENV: "production" },
  });
  const ended = once(child, "close");
  const onAbort = (): void => void child.kill("SIGTERM");
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = clock.after(START_LIMIT_MS, () => child.kill("SIGKILL"));
  try {
    const gateway = await gatewayOf(child.stdout, child.stderr, ended);
    const readyMs = clock.monotonicMs() - startedMs;
    timer.cancel();
    await work({ pid: child.pid ?? 0, gateway, folder: own, data, readyMs });
  } finally {
    timer.cancel();
    child.kill("SIGTERM");
    const killer = clock.after(START_LIMIT_MS / 4, () => child.kill("SIGKILL"));
    await ended;
    killer.cancel();
    signal.removeEventListener("abort", onAbort);
    await rm(own, { recursive: true, force: true });
  }
  signal.throwIfAborted();
}

/** The gateway's address, from the first complete JSON value that the product prints. */
function gatewayOf(
  stdout: NodeJS.ReadableStream,
  stderr: NodeJS.ReadableStream,
  ended: Promise<unknown>,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = "";
  let problem = "";
  stderr.on("data", (chunk: Buffer) => {
    problem = (problem + chunk.toString()).slice(-1000);
  });
  stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    const gateway = /"gateway":\s*"(http[^"]+)"/.exec(text)?.[1];
    if (gateway !== undefined) resolve(gateway);
  });
  void ended.then(() =>
    reject(new CodedError("BENCH_PRODUCT_ENDED", `changeover start ended: ${problem}`)),
  );
  return promise;
}

function figure(
  [name, measure, unit]: readonly [string, string, string],
  values: readonly number[],
  context: CaseContext,
): Figure {
  const groups = values.map((value) => [value]);
  return {
    case: name,
    measure,
    unit,
    value: medianOfGroups(groups),
    ci95: bootstrapInterval(groups, { random: seededRandom(context.seed) }),
  };
}
