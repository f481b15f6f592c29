import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../src/base/clock.ts";
import { codeOf, toError } from "../src/base/errors.ts";
import { runInChild } from "../src/harness/child.ts";
import { currentLoad, machineFacts } from "../src/harness/machine.ts";
import type { CaseDistribution, Comparison } from "../src/harness/measurement.ts";
import type { BenchmarkReport, CaseFailure } from "../src/harness/report.ts";
import type { TargetResult } from "../src/harness/target.ts";
import { type Sandbox, startSandbox } from "../src/sandbox/sandbox.ts";
import type { BenchmarkCase, CaseContext } from "./case.ts";
import type { Progress } from "./progress.ts";

/** How a run is made. */
export interface RunOptions {
  readonly quick: boolean;
  readonly seed: number;
  readonly clock: Clock;
  /** Aborting kills the children, stops the sandbox and rejects with the signal's reason. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

/**
 * Measures the cases one after the other. A case that fails is reported and the others still run; an
 * abort ends everything. Whatever it started or wrote is gone afterwards.
 */
export async function runBenchmark(
  cases: readonly BenchmarkCase[],
  options: RunOptions,
): Promise<BenchmarkReport> {
  const { clock, signal, quick, seed } = options;
  const loadBefore = currentLoad();
  const startedAt = new Date(clock.now()).toISOString();
  const comparisons: Comparison[] = [];
  const distributions: CaseDistribution[] = [];
  const targets: TargetResult[] = [];
  const failures: CaseFailure[] = [];
  const workplace = new Workplace(options, await mkdtemp(join(tmpdir(), "changeover-bench-")));
  try {
    for (const each of cases) {
      options.progress.begin(each.name);
      try {
        const result = await each.run(workplace.context());
        comparisons.push(...result.comparisons);
        distributions.push(...result.distributions);
        targets.push(...(result.targets ?? []));
      } catch (thrown) {
        signal.throwIfAborted();
        const message = toError(thrown).message;
        failures.push({ case: each.name, code: codeOf(thrown) ?? "", message });
      }
    }
  } finally {
    await workplace.close();
  }
  return {
    schemaVersion: 1,
    product: "changeover",
    startedAt,
    finishedAt: new Date(clock.now()).toISOString(),
    quick,
    seed,
    machine: machineFacts(loadBefore),
    comparisons,
    distributions,
    targets,
    failures,
  };
}

/** What the cases of one run share, and what must be gone after it. */
class Workplace {
  readonly #options: RunOptions;
  readonly #folder: string;
  #sandbox: Promise<Sandbox> | undefined;

  constructor(options: RunOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  context(): CaseContext {
    const { quick, seed, clock, signal, progress } = this.#options;
    return {
      quick,
      seed,
      clock,
      signal,
      folder: this.#folder,
      progress: (text) => progress.update(text),
      runChild: (job) =>
        runInChild({ ...job, clock, signal, onProgress: (text) => progress.update(text) }),
      sandbox: async () => {
        signal.throwIfAborted();
        this.#sandbox ??= startSandbox({ dataDir: join(this.#folder, "sandbox"), clock });
        return (await this.#sandbox).addresses;
      },
    };
  }

  async close(): Promise<void> {
    await this.#sandbox?.then(
      (sandbox) => sandbox.close(),
      () => undefined,
    );
    await rm(this.#folder, { recursive: true, force: true });
  }
}
