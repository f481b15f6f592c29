import type { Clock } from "../src/base/clock.ts";
import type { SupabaseAccess } from "../src/files/storage/supabase-connection.ts";
import type { ChildJob } from "../src/harness/child.ts";
import type { CaseDistribution, Comparison, Figure } from "../src/harness/measurement.ts";
import type { NetworkName } from "./network/profiles.ts";
import type { SinkReady } from "./servers/sink.ts";

/** How much is measured: to see that it runs, within ten minutes, or everything. */
export type Tier = "quick" | "default" | "full";

/** What a case needs of the machine; it is skipped where that is short. */
export interface CaseNeeds {
  /** Free memory, in bytes. */
  readonly memoryBytes?: number;
  /** Free disk in the folder for temporary files, in bytes. */
  readonly diskBytes?: number;
  readonly cores?: number;
  /** A program that must be there. */
  readonly program?: string;
}

/** What a case gets to work with. */
export interface CaseContext {
  /** Measure little: only to see that it runs. */
  readonly quick: boolean;
  readonly tier: Tier;
  readonly seed: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** An empty folder of this run, removed afterwards. */
  readonly folder: string;
  /** Says how far the case is; shown, never recorded. */
  readonly progress: (text: string) => void;
  /** Runs a program of `bench/children` in a fresh process, under the run's signal. */
  readonly runChild: <R>(job: Omit<ChildJob, "clock" | "signal" | "onProgress">) => Promise<R>;
  /** The real backend in its own processes, behind a network (default `loopback`); started at first use. */
  readonly sandbox: (network?: NetworkName) => Promise<SupabaseAccess>;
  /** Whether that backend keeps what it is given in memory, or on the disk of this machine. */
  readonly storesInMemory: () => Promise<boolean>;
  /** A server that reads and forgets, in its own process. */
  readonly sink: () => Promise<SinkReady>;
}

/** What a case measured. */
export interface CaseResult {
  readonly comparisons: readonly Comparison[];
  readonly distributions: readonly CaseDistribution[];
  /** Single values that are no comparison of two; none by default. */
  readonly figures?: readonly Figure[];
}

/** One thing the benchmark can measure. */
export interface BenchmarkCase {
  /** Kebab-case; `--case` selects by it. */
  readonly name: string;
  /** One line for `--list`. */
  readonly title: string;
  /** Where it runs unless it is asked for by name; default: every tier. */
  readonly tiers?: readonly Tier[];
  readonly needs?: CaseNeeds;
  readonly run: (context: CaseContext) => Promise<CaseResult>;
}
