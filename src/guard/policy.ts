import * as v from "valibot";
import { CodedError } from "../base/errors.ts";
import type { Action } from "./verdict.ts";

const share = v.pipe(v.number(), v.gtValue(0), v.ltValue(1));
const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const seconds = v.pipe(v.number(), v.minValue(0), v.maxValue(86_400));
const ratio = v.pipe(v.number(), v.gtValue(0), v.maxValue(1));
const names = v.pipe(v.array(v.pipe(v.string(), v.minLength(1))), v.maxLength(1000));
const action = v.picklist(["rollback", "hold", "alert", "stop-shadow"]);
/** What was seen in the shadow harmed nobody. */
const shadowAction = v.picklist(["hold", "alert", "stop-shadow"]);
const enabled = v.optional(v.boolean(), true);

const rate = (increase: number) =>
  v.strictObject({
    enabled,
    action: v.optional(action, "rollback"),
    increase: v.optional(share, increase),
    callsMin: v.optional(count, 50),
  });

const engine = v.strictObject({
  threshold: v.optional(v.pipe(v.number(), v.minValue(5), v.maxValue(40)), 14),
  baselineRate: v.optional(share, 0.01),
  baselineCallsMin: v.optional(count, 30),
  failuresPerKeyAndMinute: v.optional(v.pipe(count, v.maxValue(255)), 2),
  failingKeysMin: v.optional(v.pipe(count, v.maxValue(8)), 3),
  topKeyShareMax: v.optional(ratio, 0.7),
  holdAfterSeconds: v.optional(seconds, 60),
  freshSeconds: v.optional(seconds, 60),
  healthyAfterSeconds: v.optional(seconds, 60),
  probe: v.optional(
    v.strictObject({
      pairsMax: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 800),
      forSeconds: v.optional(seconds, 60),
      pauseSeconds: v.optional(seconds, 60),
      waitingMax: v.optional(v.pipe(count, v.maxValue(1000)), 16),
      threshold: v.optional(v.pipe(v.number(), v.minValue(3), v.maxValue(40)), 12),
    }),
    {},
  ),
});

const newException = v.strictObject({
  enabled,
  action: v.optional(action, "rollback"),
  blamedMin: v.optional(v.pipe(count, v.maxValue(100)), 3),
  keysMin: v.optional(v.pipe(count, v.maxValue(100)), 2),
  withinSeconds: v.optional(seconds, 600),
  legacyCallsMin: v.optional(count, 100),
  rememberedMax: v.optional(v.pipe(count, v.maxValue(100_000)), 1000),
  allowed: v.optional(names, []),
});

const latency = v.strictObject({
  enabled,
  action: v.optional(action, "rollback"),
  increase: v.optional(share, 0.05),
  callsMin: v.optional(count, 50),
  quantile: v.optional(share, 0.95),
  factor: v.optional(v.pipe(v.number(), v.minValue(1)), 1.25),
  baselineCallsMin: v.optional(count, 200),
});

const mismatch = v.strictObject({
  enabled,
  action: v.optional(action, "hold"),
  increase: v.optional(share, 0.01),
  noiseRate: v.optional(share, 0.001),
  callsMin: v.optional(count, 50),
});

const shadowErrorRate = v.strictObject({
  enabled,
  action: v.optional(shadowAction, "hold"),
  increase: v.optional(share, 0.05),
  callsMin: v.optional(count, 50),
});

const rung = (atRatio: number, forSeconds: number) =>
  v.optional(
    v.strictObject({
      ratio: v.optional(ratio, atRatio),
      forSeconds: v.optional(seconds, forSeconds),
    }),
    {},
  );

const memory = v.strictObject({
  enabled,
  action: v.optional(action, "rollback"),
  inFlightBytesMax: v.optional(v.nullable(count), 256 * 1024 * 1024),
  limitBytes: v.optional(v.nullable(count), null),
  shedShadows: rung(0.8, 5),
  hold: rung(0.85, 5),
  critical: rung(0.92, 1),
  recovered: rung(0.7, 60),
  shedAgainSeconds: v.optional(seconds, 3600),
  abortAfterSeconds: v.optional(v.nullable(seconds), 5),
  heapFull: v.optional(
    v.strictObject({ ratio: v.optional(ratio, 0.85), inARow: v.optional(count, 3) }),
    {},
  ),
  leak: v.optional(
    v.strictObject({
      action: v.optional(action, "hold"),
      pointsMin: v.optional(v.pipe(count, v.maxValue(120)), 8),
      seconds: v.optional(v.pipe(seconds, v.minValue(1)), 600),
      factor: v.optional(v.pipe(v.number(), v.gtValue(1)), 1.3),
      bytesPerSecondMin: v.optional(v.pipe(v.number(), v.minValue(0)), 16_384),
      warmUpSeconds: v.optional(seconds, 180),
    }),
    {},
  ),
});

const exposureBudget = v.strictObject({
  enabled,
  action: v.optional(v.picklist(["hold", "alert"]), "hold"),
  harmedCallsPerDay: v.optional(count, 200),
});

const fatal = v.strictObject({
  enabled,
  action: v.optional(action, "rollback"),
  codes: v.optional(names, ["ERR_MEMORY_ALLOCATION_FAILED", "ERR_WORKER_OUT_OF_MEMORY"]),
  flag: v.optional(v.nullable(v.pipe(v.string(), v.minLength(1))), "dataLoss"),
});

const policySchema = v.pipe(
  v.strictObject({
    engine: v.optional(engine, {}),
    errorRate: v.optional(rate(0.05), {}),
    timeoutRate: v.optional(rate(0.02), {}),
    latency: v.optional(latency, {}),
    newException: v.optional(newException, {}),
    mismatch: v.optional(mismatch, {}),
    shadowErrorRate: v.optional(shadowErrorRate, {}),
    memory: v.optional(memory, {}),
    exposureBudget: v.optional(exposureBudget, {}),
    fatal: v.optional(fatal, {}),
  }),
  v.check(
    ({ memory: m }) =>
      m.recovered.ratio < m.shedShadows.ratio &&
      m.shedShadows.ratio <= m.hold.ratio &&
      m.hold.ratio <= m.critical.ratio,
    "memory: the ratios must rise from recovered over shedShadows and hold to critical",
  ),
);

/** From half of the traffic up: how legacy is run beside calls of the candidate after a SIZE alarm. */
export interface ProbePolicy {
  /** Calls of one probe; default 800. 0: never probe. */
  readonly pairsMax: number;
  /** Seconds that one probe may last; default 60. Then the rollout is held and somebody is paged. */
  readonly forSeconds: number;
  /** Seconds between two probes of one operation; default 60. */
  readonly pauseSeconds: number;
  /** Calls picked and not yet compared (1 to 1,000); default 16. */
  readonly waitingMax: number;
  /** Evidence to blame the candidate (3 to 40, default 12): e to its negative power is the chance of an error. */
  readonly threshold: number;
}

/** How detection works, for all rate rules. */
export interface EnginePolicy {
  /** Base threshold of the detectors (5 to 40, default 14); e to its power is the run to a false alarm. */
  readonly threshold: number;
  /** Legacy's rate before anything is known about it, as a share; default 0.01. */
  readonly baselineRate: number;
  /** Legacy calls in 5 minutes below which its own rate is no baseline; default 30. */
  readonly baselineCallsMin: number;
  /** Failures of one key that count within a minute (1 to 255); default 2. */
  readonly failuresPerKeyAndMinute: number;
  /** Different keys that must fail before a rollback, unless fewer exist (1 to 8); default 3. */
  readonly failingKeysMin: number;
  /** The most that one key may hold of the failures behind a rollback, as a share; default 0.7. */
  readonly topKeyShareMax: number;
  /** Seconds that SIZE alone may stay over its threshold before the rollout is held; default 60. */
  readonly holdAfterSeconds: number;
  /** Seconds without a candidate call after which the guard is blind; default 60. */
  readonly freshSeconds: number;
  /** Seconds that an evidence period must have lasted, and been free of a hold, to be healthy; default 60. */
  readonly healthyAfterSeconds: number;
  readonly probe: ProbePolicy;
}

/** A rule about the share of bad calls. */
export interface RatePolicy<A extends Action = Action> {
  readonly enabled: boolean;
  /**
   * What a breach does: roll back; hold the rollout where it is; only tell somebody; or stop the shadows,
   * while callers stay where they are.
   */
  readonly action: A;
  /** The allowed increase over legacy, as a share: 0.05 is 5 percentage points. */
  readonly increase: number;
  /** Candidate calls below which nothing is called healthy; default 50. */
  readonly callsMin: number;
}

/** Calls slower than `factor` times legacy's `quantile` of the 5 minutes before. */
export interface LatencyPolicy extends RatePolicy {
  /** Default 0.95. */
  readonly quantile: number;
  /** At least 1; default 1.25. */
  readonly factor: number;
  /** Legacy calls in 5 minutes that the quantile must rest on; default 200. */
  readonly baselineCallsMin: number;
}

/** Answers that differ, over what two runs of legacy would differ anyway. */
export interface MismatchPolicy extends RatePolicy {
  /** Share of comparisons that differ for no reason; default 0.001. */
  readonly noiseRate: number;
}

/** An exception that legacy never threw. */
export interface NewExceptionPolicy {
  readonly enabled: boolean;
  readonly action: Action;
  /** Blamed occurrences of one kind (1 to 100) that breach; default 3. The first one holds. */
  readonly blamedMin: number;
  /** From at least so many keys; default 2. */
  readonly keysMin: number;
  /** Within so many seconds; default 600. */
  readonly withinSeconds: number;
  /** Legacy calls that must have been seen before "legacy never threw it" means anything; default 100. */
  readonly legacyCallsMin: number;
  /** Kinds remembered (1 to 100,000), known and unknown each; default 1,000. */
  readonly rememberedMax: number;
  /** Error codes or class names that are expected. */
  readonly allowed: readonly string[];
}

/** A step of the memory ladder: the ratio of used to allowed memory, and how long it must last. */
export interface Rung {
  readonly ratio: number;
  readonly forSeconds: number;
}

/** Memory of the process, and what the candidate holds of it. */
export interface MemoryPolicy {
  readonly enabled: boolean;
  readonly action: Action;
  /** Declared bytes of candidate calls in flight; null: no limit; default 256 MiB. */
  readonly inFlightBytesMax: number | null;
  /** The process's memory limit in bytes where the machine does not tell; default null. */
  readonly limitBytes: number | null;
  /** Shadows are shed: default 0.80 for 5 s. */
  readonly shedShadows: Rung;
  /** The rollout is held: default 0.85 for 5 s. */
  readonly hold: Rung;
  /** Rollback, where that helps: default 0.92 for 1 s. */
  readonly critical: Rung;
  /** Everything is let go: default below 0.70 for 60 s. */
  readonly recovered: Rung;
  /**
   * At `hold`, where legacy is the lighter path, new calls are sent there until memory recovers. When that
   * happens again within so many seconds, the operation is rolled back; default 3,600.
   */
  readonly shedAgainSeconds: number;
  /** Seconds after a rollback for memory until running candidate calls are aborted; null: never; default 5. */
  readonly abortAfterSeconds: number | null;
  /** The heap is nearly full: default over 0.85 of the old generation after 3 major collections in a row. */
  readonly heapFull: { readonly ratio: number; readonly inARow: number };
  readonly leak: LeakPolicy;
}

/** When the floor of the heap, what major garbage collections leave, rises like a leak. */
export interface LeakPolicy {
  /** Default `hold`. */
  readonly action: Action;
  /** Floor points that it needs (1 to 120); default 8. */
  readonly pointsMin: number;
  /** Seconds that they must span; default 600. */
  readonly seconds: number;
  /** The floor over its baseline; default 1.3. */
  readonly factor: number;
  /** The slope in bytes a second that it must exceed; default 16,384. */
  readonly bytesPerSecondMin: number;
  /** Seconds after a start or a new stage that do not count; default 180. */
  readonly warmUpSeconds: number;
}

/** How many calls the rollout may harm. */
export interface ExposureBudgetPolicy {
  readonly enabled: boolean;
  readonly action: "hold" | "alert";
  /** Failed calls within 24 h beyond what legacy would have failed; default 200. */
  readonly harmedCallsPerDay: number;
}

/** Errors of which one is too many. */
export interface FatalPolicy {
  readonly enabled: boolean;
  readonly action: Action;
  /** Error codes; default: out of memory. */
  readonly codes: readonly string[];
  /** A property that marks an error as fatal when it is `true`; default `dataLoss`; null: none. */
  readonly flag: string | null;
}

/** Everything the guard goes by. */
export interface Policy {
  readonly engine: EnginePolicy;
  /** Default: 5 percentage points above legacy. */
  readonly errorRate: RatePolicy;
  /** Default: 2 percentage points above legacy. */
  readonly timeoutRate: RatePolicy;
  readonly latency: LatencyPolicy;
  readonly newException: NewExceptionPolicy;
  readonly mismatch: MismatchPolicy;
  /** Failures of the candidate in the shadow; may hold or stop the shadow, never roll back. */
  readonly shadowErrorRate: RatePolicy<"hold" | "alert" | "stop-shadow">;
  readonly memory: MemoryPolicy;
  readonly exposureBudget: ExposureBudgetPolicy;
  readonly fatal: FatalPolicy;
}

type Loose<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: Loose<T[K]> }
    : T;

/** The shape of a policy file: every field may be left out. */
export type PolicyInput = Loose<Policy>;

/**
 * Completes a policy with the defaults. Throws `GUARD_INVALID_POLICY`, naming every field that is wrong
 * or unknown.
 */
export function parsePolicy(value: unknown): Policy {
  const parsed = v.safeParse(policySchema, value);
  if (parsed.success) return parsed.output;
  const problems = parsed.issues.map((issue) => {
    const path = v.getDotPath(issue);
    const told = issue.expected === "never" ? "there is no such field" : issue.message;
    return path === null ? told : `${path}: ${told}`;
  });
  throw new CodedError(
    "GUARD_INVALID_POLICY",
    `The guard policy is not valid: ${problems.join("; ")}. Correct or remove these fields.`,
    { status: 400, details: { problems } },
  );
}

/** The policy that holds when nothing is said. */
export const defaultPolicy: Policy = parsePolicy({});
