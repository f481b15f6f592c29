import type { Clock } from "../src/base/clock.ts";
import type { ChildJob } from "../src/harness/child.ts";
import type { CaseDistribution, Comparison } from "../src/harness/measurement.ts";
import type { TargetResult } from "../src/harness/target.ts";
import type { SandboxAddresses } from "../src/sandbox/sandbox.ts";

/** What a case gets to work with. */
export interface CaseContext {
  /** Measure little: only to see that it runs. */
  readonly quick: boolean;
  readonly seed: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** An empty folder of this run, removed afterwards. */
  readonly folder: string;
  /** Says how far the case is; shown, never recorded. */
  readonly progress: (text: string) => void;
  /** Runs a program of `bench/children` in a fresh process, under the run's signal. */
  readonly runChild: <R>(job: Omit<ChildJob, "clock" | "signal" | "onProgress">) => Promise<R>;
  /** The real backend in its own processes; started at first use, shared by all cases. */
  readonly sandbox: () => Promise<SandboxAddresses>;
}

/** What a case measured. */
export interface CaseResult {
  readonly comparisons: readonly Comparison[];
  readonly distributions: readonly CaseDistribution[];
  /** What the case set itself, judged; none by default. */
  readonly targets?: readonly TargetResult[];
}

/** One thing the benchmark can measure. */
export interface BenchmarkCase {
  /** Kebab-case; `--case` selects by it. */
  readonly name: string;
  /** One line for `--list`. */
  readonly title: string;
  readonly run: (context: CaseContext) => Promise<CaseResult>;
}
