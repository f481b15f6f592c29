import type { Logger } from "../../src/base/logger.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { type Breach, Guard, type VerdictChange } from "../../src/guard/guard.ts";
import type { FloorReading } from "../../src/guard/memory/heap-floor.ts";
import type { MemoryReading } from "../../src/guard/memory/memory-sampler.ts";
import { defaultPolicy, parsePolicy } from "../../src/guard/policy.ts";
import type { RuleName, Verdict } from "../../src/guard/verdict.ts";
import { ActiveCall, type Path } from "../../src/migration/call.ts";
import type { Journal } from "../../src/migration/journal.ts";
import type { Observation } from "../../src/migration/observation.ts";
import {
  type AnyOperation,
  Operation,
  type OperationDefinition,
} from "../../src/migration/operation.ts";
import type { Outcome } from "../../src/migration/outcome.ts";

/** An operation whose paths are never called: the guard only sees observations. */
export function anOperation(
  definition: Partial<OperationDefinition<number, string>> = {},
): AnyOperation {
  const never = (): string => {
    throw new Error("a test of the guard called a path");
  };
  return new Operation(
    { name: "test.read", kind: "read", legacy: never, candidate: never, ...definition },
    (part, error) => {
      throw new Error(part, { cause: error });
    },
  );
}

export interface Watching {
  readonly clock: ManualClock;
  readonly guard: Guard;
  readonly operation: AnyOperation;
  readonly breaches: Breach[];
  readonly changes: VerdictChange[];
  readonly errors: unknown[];
  /** What the memory source says next. */
  memory: MemoryReading | null;
  /** A major garbage collection. */
  collected(reading: FloorReading): void;
  see(happening: Happening): void;
  verdict(rule: RuleName): Verdict;
}

/** One call as the guard sees it. */
export interface Happening {
  readonly path: Path;
  readonly kind?: Outcome["kind"];
  readonly key?: string;
  readonly source?: "served" | "shadow";
  readonly error?: unknown;
  readonly ms?: number;
  readonly firstByteMs?: number;
  readonly input?: unknown;
  /** What legacy did after the candidate failed; left out: it was not asked. */
  readonly fallback?: Outcome["kind"];
  readonly fallbackError?: unknown;
  readonly operation?: AnyOperation;
}

/** 10 % of 1 GiB used. */
export const calm: MemoryReading = {
  ratio: 0.1,
  usedBytes: 107_374_182,
  limitBytes: 1_073_741_824,
  limitFrom: "configured",
  heapRatio: 0.05,
};

function outcome(path: Path, kind: Outcome["kind"], h: Partial<Happening>): Outcome {
  const common = { path, durationMs: h.ms ?? 10, firstByteMs: h.firstByteMs ?? null, bytes: 0 };
  if (kind === "succeeded") return { ...common, kind, output: "ok", digest: null };
  return { ...common, kind, error: h.error ?? Object.assign(new Error("down"), { code: "EDOWN" }) };
}

let calls = 0;

export function observationOf(h: Happening, operation: AnyOperation, atMs: number): Observation {
  const source = h.source ?? "served";
  calls += 1;
  const key = h.key ?? `user-${calls}`;
  return {
    operation,
    call: new ActiveCall(operation.name, h.path, source, key, { requestId: "r" }),
    decision: { path: h.path, shadow: false, reason: h.path === "legacy" ? "flag-off" : "flag-on" },
    first: outcome(h.path, h.kind ?? "succeeded", h),
    fallback:
      h.fallback === undefined ? null : outcome("legacy", h.fallback, { error: h.fallbackError }),
    input: h.input ?? 1,
    atMs,
  };
}

/** A guard on a clock that stands still, watching one operation. */
export function watching(
  policy: unknown = {},
  options: {
    operation?: AnyOperation;
    journal?: Journal;
    logger?: Logger;
    memory?: MemoryReading | null;
    clock?: ManualClock;
    shadowed?: () => boolean;
  } = {},
): Watching {
  const clock = options.clock ?? new ManualClock();
  const operation = options.operation ?? anOperation();
  const errors: unknown[] = [];
  const state = { memory: options.memory === undefined ? calm : options.memory };
  let collected: (reading: FloorReading) => void = () => undefined;
  const guard = new Guard({
    collections: {
      subscribe: (listener) => {
        collected = listener;
        return () => undefined;
      },
    },
    policy: parsePolicy(policy),
    clock,
    logger: options.logger ?? silentLogger,
    report: (_part, error) => errors.push(error),
    memory: { sample: () => state.memory ?? calm },
    ...(options.journal === undefined ? {} : { journal: options.journal }),
    ...(options.shadowed === undefined ? {} : { shadowed: options.shadowed }),
  });
  const breaches: Breach[] = [];
  const changes: VerdictChange[] = [];
  guard.breached.subscribe((breach) => breaches.push(breach));
  guard.verdictChanged.subscribe((change) => changes.push(change));
  guard.watch(operation);
  return {
    clock,
    guard,
    operation,
    breaches,
    changes,
    errors,
    get memory() {
      return state.memory;
    },
    set memory(reading) {
      state.memory = reading;
    },
    collected: (reading) => collected(reading),
    see: (h) => guard.observe(observationOf(h, h.operation ?? operation, clock.now())),
    verdict: (rule) => {
      const found = guard.verdicts(operation.name).find((each) => each.rule === rule);
      if (found === undefined) throw new Error(`no verdict of ${rule}`);
      return found;
    },
  };
}

/** `seconds` of health: so many good calls a second on each path. */
export function healthyFor(w: Watching, seconds: number, legacy = 99, candidate = 1): void {
  for (let second = 0; second < seconds; second += 1) {
    for (let call = 0; call < legacy; call += 1) w.see({ path: "legacy" });
    for (let call = 0; call < candidate; call += 1) w.see({ path: "candidate" });
    w.clock.advance(1000);
  }
}

/** A policy with only these rules switched on. */
export const only = (...rules: string[]): Record<string, unknown> =>
  Object.fromEntries(
    Object.keys(defaultPolicy)
      .filter((rule) => rule !== "engine")
      .map((rule) => [rule, { enabled: rules.includes(rule) }]),
  );
/** A policy with one rule, with these settings. */
export const withRule = (rule: string, settings: object): Record<string, unknown> => ({
  ...only(rule),
  [rule]: settings,
});
