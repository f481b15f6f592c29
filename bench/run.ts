import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../src/base/clock.ts";
import { codeOf, toError } from "../src/base/errors.ts";
import { seededRandom } from "../src/base/random.ts";
import { currentLoad, machineFacts } from "../src/harness/machine.ts";
import type { CaseDistribution, Comparison, Figure } from "../src/harness/measurement.ts";
import type {
  BenchmarkReport,
  CaseDuration,
  CaseFailure,
  SkippedCase,
} from "../src/harness/report.ts";
import { judgeTarget, type Target, type TargetResult } from "../src/harness/target.ts";
import type { BenchmarkCase, Tier } from "./case.ts";
import type { Progress } from "./progress.ts";
import { judgePeers, type PeerException } from "./targets.ts";
import { Workplace } from "./workplace.ts";

/** How a run is made. */
export interface RunOptions {
  readonly tier: Tier;
  readonly seed: number;
  readonly clock: Clock;
  /** Aborting kills the children, stops the servers and rejects with the signal's reason. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** What the results are judged by; default: nothing. */
  readonly targets?: readonly Target[];
  /** Peers that may be better than we are. */
  readonly exceptions?: readonly PeerException[];
  /** What cannot be measured at all, and why. */
  readonly gaps?: readonly SkippedCase[];
  /** Milliseconds within which all should be over; default: no limit. */
  readonly limitMs?: number;
  /** About how many seconds a case takes, null where nobody knows; default: nobody does. */
  readonly secondsOf?: (each: BenchmarkCase) => number | null;
}

/**
 * Measures the cases one after the other. A case that fails is reported and the others still run; one
 * for which the machine or the time is short is skipped with its reason (a shorter one may still fit); an abort ends everything.
 * Whatever it started or wrote is gone afterwards.
 */
export async function runBenchmark(
  cases: readonly BenchmarkCase[],
  options: RunOptions,
): Promise<BenchmarkReport> {
  const { clock, signal, tier, seed, progress } = options;
  const loadBefore = currentLoad();
  const startedAt = new Date(clock.now()).toISOString();
  const results = new Results(clock);
  const folder = await mkdtemp(join(tmpdir(), "changeover-bench-"));
  const update = (text: string): void => progress.update(text);
  const workplace = new Workplace({ tier, seed, clock, signal, update }, folder);
  const pace = new Pace(options);
  try {
    for (const each of cases) {
      const late = pace.hasTimeFor(each) ? null : "the time of this tier was used up";
      const reason = late ?? (await workplace.shortOf(each.needs ?? {}));
      if (reason !== null) {
        results.skipped.push({ case: each.name, reason });
        continue;
      }
      progress.begin(each.name);
      await results.add(each, workplace, signal);
      pace.add(each);
    }
  } finally {
    await workplace.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
  const machine = machineFacts(loadBefore);
  const measured = { ...results, cores: machine.cores, quick: tier === "quick" };
  const judged = (options.targets ?? []).map((target) =>
    judgeTarget(target, { ...measured, random: seededRandom(seed) }),
  );
  const peers: readonly TargetResult[] =
    options.exceptions === undefined ? [] : judgePeers(measured, options.exceptions);
  return {
    schemaVersion: 1,
    product: "changeover",
    startedAt,
    finishedAt: new Date(clock.now()).toISOString(),
    quick: tier === "quick",
    tier,
    seed,
    machine,
    comparisons: results.comparisons,
    distributions: results.distributions,
    figures: results.figures,
    targets: [...judged, ...peers],
    failures: results.failures,
    skipped: [...results.skipped, ...(options.gaps ?? [])],
    durations: results.durations,
  };
}

/** Whether there is time for another case, on a machine that may be slower than the one that was timed. */
class Pace {
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #limitMs: number;
  readonly #secondsOf: (each: BenchmarkCase) => number | null;
  #expectedMs = 0;

  constructor({
    clock,
    limitMs = Number.POSITIVE_INFINITY,
    secondsOf = () => null,
  }: Pick<RunOptions, "clock" | "limitMs" | "secondsOf">) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
    this.#limitMs = limitMs;
    this.#secondsOf = secondsOf;
  }

  hasTimeFor(each: BenchmarkCase): boolean {
    const passedMs = this.#clock.monotonicMs() - this.#startedMs;
    const slowness = this.#expectedMs === 0 ? 1 : Math.max(1, passedMs / this.#expectedMs);
    return passedMs + this.#expectedOf(each) * slowness <= this.#limitMs;
  }

  /** A case that has been measured. */
  add(each: BenchmarkCase): void {
    this.#expectedMs += this.#expectedOf(each);
  }

  #expectedOf(each: BenchmarkCase): number {
    return 1000 * (this.#secondsOf(each) ?? 0);
  }
}

/** What the cases of one run came to. */
class Results {
  readonly comparisons: Comparison[] = [];
  readonly distributions: CaseDistribution[] = [];
  readonly figures: Figure[] = [];
  readonly failures: CaseFailure[] = [];
  readonly skipped: SkippedCase[] = [];
  readonly durations: CaseDuration[] = [];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async add(each: BenchmarkCase, workplace: Workplace, signal: AbortSignal): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    try {
      const { comparisons, distributions, figures = [] } = await each.run(workplace.context());
      this.comparisons.push(...comparisons);
      this.distributions.push(...distributions);
      this.figures.push(...figures);
    } catch (thrown) {
      signal.throwIfAborted();
      const message = toError(thrown).message;
      this.failures.push({ case: each.name, code: codeOf(thrown) ?? "", message });
    }
    const seconds = Math.round((this.#clock.monotonicMs() - startedMs) / 100) / 10;
    this.durations.push({ case: each.name, seconds });
  }
}
