import type { Clock } from "../base/clock.ts";
import type { TypedEvent } from "../base/event.ts";
import type { Logger } from "../base/logger.ts";
import type { Random } from "../base/random.ts";
import type { OperationTotals } from "../guard/fleet/running-totals.ts";
import type { Breach } from "../guard/guard.ts";
import type { WindowSnapshot } from "../guard/outcome-counts.ts";
import type { PolicyInput } from "../guard/policy.ts";
import type { RollbackReport } from "../guard/rollback.ts";
import type { Verdict } from "../guard/verdict.ts";
import type { MetricsDoor, MetricsRecorderOptions } from "../metrics/recorder.ts";
import type { AdmissionLimits } from "../migration/admission/path-budgets.ts";
import type { Decision, DecisionInput } from "../migration/decision.ts";
import type { FlagSource } from "../migration/flags.ts";
import type { Fleet } from "../migration/fleet.ts";
import type { Actor, Journal } from "../migration/journal.ts";
import type { LatchStore } from "../migration/latch.ts";
import type { Observation } from "../migration/observation.ts";
import type {
  AnyOperation,
  MigratedFunction,
  OperationDeclaration,
} from "../migration/operation.ts";
import type { ShadowBudget } from "../shadow/budget.ts";
import type { MismatchCase } from "../shadow/cases/mismatch-case.ts";
import type { MismatchCases } from "../shadow/cases/mismatch-cases.ts";
import type { CaseStore } from "../shadow/mismatch-log.ts";
import type { NoiseField, NoiseLimits } from "../shadow/noise.ts";

/** Everything has a safe default: legacy for everyone, guard on, shadow off, journal in memory. */
export interface ChangeoverOptions {
  readonly flags?: FlagSource;
  /** Fields of the guard's policy that differ from the default. */
  readonly guard?: PolicyInput;
  readonly journal?: Journal;
  readonly latchStore?: LatchStore;
  /** The other instances of a fleet; closed by whoever opened it. Default: this process is the only one. */
  readonly fleet?: Fleet;
  readonly shadow?: Partial<ShadowBudget>;
  readonly noise?: Partial<NoiseLimits>;
  /** Where the last 100 shapes of difference are kept over restarts. Default: in memory only. */
  readonly mismatchStore?: CaseStore;
  readonly limits?: AdmissionLimits;
  /** How many operations have series of their own, and whether buckets keep a request id. */
  readonly metrics?: Pick<MetricsRecorderOptions, "operationsMax" | "exemplars">;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Who asks for a change, and why; both are journalled. */
export interface Change {
  readonly by: Actor;
  readonly reason: string;
  readonly evidence?: Readonly<Record<string, unknown>>;
}

/** One migration's worth of routing, shadow, guard and metrics in this process. */
export interface Changeover {
  /**
   * Wraps two implementations; with `legacy` left out the candidate serves every call. Throws
   * `MIGRATION_INVALID_NAME` and `MIGRATION_DUPLICATE_NAME`.
   */
  migrate<I, O>(definition: OperationDeclaration<I, O>): MigratedFunction<I, O>;
  /** One routing key, and one path per migration, for every call made inside `fn`. */
  scope<T>(key: string, fn: () => T): T;
  /** Everything for a scraper, and doors for parts that bring metrics of their own. */
  readonly metrics: MetricsDoor;
  readonly flags: FlagSource;
  readonly journal: Journal;
  readonly operations: readonly AnyOperation[];
  /** One event for each call; a listener that throws is counted and cannot hurt the caller. */
  readonly observations: TypedEvent<Observation>;
  readonly breaches: TypedEvent<Breach>;
  /** Every rule's verdict on one operation, the overall one first. */
  verdicts(operation: string): readonly Verdict[];
  windows(operation: string): WindowSnapshot;
  /** What the guard counted of an operation since the start; it only grows. */
  totals(operation: string): OperationTotals;
  /** Begins a new evidence period: what is healthy is judged by calls from now on. */
  beginPeriod(operation: string): void;
  /** In which ways the two paths differed, the newest sighting first; each way once, with a counter. */
  mismatches(): readonly MismatchCase[];
  /** What can be done with them: show, replay, export as a test. */
  readonly cases: MismatchCases;
  /** How often which fields differed, between the paths and between two runs of legacy. */
  noise(operation?: string): readonly NoiseField[];
  readonly shadowsInFlight: number;
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number | null };
  explain(operation: string, key: string): { decision: Decision; input: DecisionInput };
  /** Brings every caller of an operation back to legacy, on every instance and in the flags. Never throws. */
  rollBack(operation: string, change: Change): Promise<RollbackReport>;
  /** Clears the latch only: the percentage stays 0 until a person sets it. */
  rearm(operation: string, change: Change): Promise<RollbackReport>;
  close(): Promise<void>;
}
