import { type Metric, Registry } from "prom-client";
import type { RollbackReport } from "../guard/rollback.ts";
import type { VerdictKind } from "../guard/verdict.ts";
import type { FlagSource } from "../migration/flags.ts";
import type { Observation } from "../migration/observation.ts";
import type { AnyOperation } from "../migration/operation.ts";
import { isBad, type Outcome, outcomeKinds } from "../migration/outcome.ts";
import { skipReasons } from "../shadow/budget.ts";
import { type DifferenceKind, differenceKinds } from "../shadow/difference.ts";
import { type ShadowResult, type ShadowSkip, shadowResultKinds } from "../shadow/shadow.ts";
import {
  catalogue,
  fallbackResults,
  internalParts,
  type MetricId,
  otherOperations,
  rollbackCauses,
  rollbackResults,
  ruleNames,
  verdictKinds,
} from "./catalogue.ts";
import { type Cells, Family, type Labels } from "./family.ts";

/** Options of a {@link MetricsRecorder}. */
export interface MetricsRecorderOptions {
  /** Operations with series of their own; further ones share `__other__`. Default 50. */
  readonly operationsMax?: number;
  /** The application's version, for `changeover_build_info`; default `unknown`. */
  readonly version?: string;
  /** The runtime's version; default that of the process. */
  readonly node?: string;
}

/** What a rule of the guard says about an operation. */
export interface RuleVerdict {
  readonly operation: string;
  /** One of `ruleNames`; anything else is recorded as `other`. */
  readonly rule: string;
  readonly verdict: VerdictKind;
  /** In the rule's own unit; what is not a finite number is recorded as 0. */
  readonly observed: number;
  readonly limit: number;
}

/** A rollback that came to its end. */
export interface RollbackRecord {
  readonly operation: string;
  /** One of `rollbackCauses`; anything else is recorded as `other`. */
  readonly rule: string;
  readonly result: RollbackReport["result"];
}

/** Memory of the process, in bytes; 0 for what is not known. */
interface MemoryReading {
  readonly limitBytes: number;
  readonly usedBytes: number;
}

/** Where gauges that others keep are read from when somebody scrapes. */
export interface MetricsSources {
  readonly flags?: Pick<FlagSource, "freshness" | "problems" | "state">;
  readonly memory?: () => MemoryReading;
  /** Errors of our own by part, ever growing; `Facade.internalErrors`. */
  readonly internalErrors?: () => ReadonlyMap<string, number>;
}

interface Slot {
  readonly operations: AnyOperation[];
  readonly cells: Readonly<Record<MetricId, Cells>>;
}

const metricIds = Object.keys(catalogue) as readonly MetricId[];
const indexed = (values: readonly string[]): ReadonlyMap<string, number> =>
  new Map(values.map((value, index) => [value, index]));

const outcomeIndex = indexed(outcomeKinds);
const reasons = catalogue.decisions.labels["reason"] ?? [];
const reasonIndex = indexed(reasons);
const SERVED = 0;
const SHADOW = 1;

/**
 * Counts everything that happens and prints it for Prometheus. Writing is an addition in an array of
 * numbers; labels are put together when somebody scrapes. Has its own registry: it never touches
 * prom-client's global one and never registers default metrics, which are the application's business.
 */
export class MetricsRecorder {
  /** To be merged with the application's own, if it has one: `Registry.merge([own, recorder.registry])`. */
  readonly registry: Registry;
  readonly #operationsMax: number;
  readonly #families: Readonly<Record<MetricId, Family>>;
  readonly #slots = new Map<AnyOperation, Slot>();
  readonly #byName = new Map<string, Slot>();
  readonly #process: Readonly<Partial<Record<MetricId, Cells>>>;
  #overflow: Slot | null = null;
  #sources: MetricsSources = {};
  #ownErrors = 0;

  constructor(options: MetricsRecorderOptions = {}) {
    const { operationsMax = 50, version = "unknown", node = process.version } = options;
    this.#operationsMax = operationsMax;
    this.registry = new Registry();
    const families = {} as Record<MetricId, Family>;
    const own: Partial<Record<MetricId, Cells>> = {};
    for (const id of metricIds) {
      const family = new Family(catalogue[id], () => this.#refresh(id));
      families[id] = family;
      // The registry asks no more of a metric than a family offers; its type lists its own four classes.
      this.registry.registerMetric(family as unknown as Metric);
      if (catalogue[id].perOperation) continue;
      const fixed: Labels =
        id === "buildInfo" ? { version: version.slice(0, 64), node: node.slice(0, 64) } : {};
      own[id] = family.addCells(fixed);
    }
    this.#families = families;
    this.#process = own;
  }

  /** Of `text()`, for the response's header. */
  get contentType(): string {
    return this.registry.contentType;
  }

  /** Everything, in the text format of Prometheus 0.0.4. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  /** Names where to read what others keep; may be called again with more. */
  readFrom(sources: MetricsSources): void {
    this.#sources = { ...this.#sources, ...sources };
  }

  /** Creates the operation's series, all at 0. Adding it again does nothing. */
  addOperation(operation: AnyOperation): void {
    this.#slotOf(operation);
  }

  /** A call has ended. */
  observation(observation: Observation): void {
    const { first, fallback, decision } = observation;
    const { cells } = this.#slotOf(observation.operation);
    const chosen = decision.path === "legacy" ? 0 : 1;
    const reason = reasonIndex.get(decision.reason);
    if (reason !== undefined) cells.decisions.add(chosen * reasons.length + reason, 1);
    countOutcome(cells, first, SERVED);
    if (fallback !== null) countOutcome(cells, fallback, SERVED);
    if (first.path === "candidate" && isBad(first)) {
      cells.fallbacks.add(fallbackResults.indexOf(fallbackResult(fallback)), 1);
    }
  }

  /** A shadow has ended. */
  shadowResult(result: ShadowResult): void {
    const { cells } = this.#slotOf(result.operation);
    cells.shadowRuns.add(shadowResultKinds.indexOf(result.result), 1);
    if (result.shadow !== null) countOutcome(cells, result.shadow, SHADOW);
    if (result.comparison?.kind !== "different") return;
    const kinds = new Set<DifferenceKind>();
    for (const { kind } of result.comparison.differences) kinds.add(kind);
    for (const kind of kinds) cells.mismatches.add(differenceKinds.indexOf(kind), 1);
  }

  /** A call was picked for shadowing and not shadowed. */
  shadowSkip({ operation, reason }: ShadowSkip): void {
    this.#slotOf(operation).cells.shadowSkipped.add(skipReasons.indexOf(reason), 1);
  }

  /** A rollback has ended. An operation that was never added is not counted. */
  rollback({ operation, rule, result }: RollbackRecord): void {
    const cells = this.#byName.get(operation)?.cells.rollbacks;
    const index = positionOf(rollbackCauses, rule) * rollbackResults.length;
    cells?.add(index + rollbackResults.indexOf(result), 1);
  }

  /** A rule has judged. An operation that was never added is not recorded. */
  verdict({ operation, rule, verdict, observed, limit }: RuleVerdict): void {
    const cells = this.#byName.get(operation)?.cells;
    if (cells === undefined) return;
    const at = positionOf(ruleNames, rule);
    cells.ruleObserved.set(at, finite(observed));
    cells.ruleLimit.set(at, finite(limit));
    for (const [index, kind] of verdictKinds.entries()) {
      cells.verdict.set(at * verdictKinds.length + index, kind === verdict ? 1 : 0);
    }
  }

  #slotOf(operation: AnyOperation): Slot {
    const known = this.#slots.get(operation);
    if (known !== undefined) return known;
    const slot = this.#newSlot(operation);
    slot.operations.push(operation);
    this.#slots.set(operation, slot);
    this.#byName.set(operation.name, slot);
    return slot;
  }

  #newSlot(operation: AnyOperation): Slot {
    const sameName = this.#byName.get(operation.name);
    if (sameName !== undefined) return sameName;
    if (this.#byName.size < this.#operationsMax) return this.#makeSlot(operation.name);
    this.#process.overflow?.add(0, 1);
    this.#overflow ??= this.#makeSlot(otherOperations);
    return this.#overflow;
  }

  #makeSlot(operation: string): Slot {
    const cells = {} as Record<MetricId, Cells>;
    for (const id of metricIds) {
      if (catalogue[id].perOperation) cells[id] = this.#families[id].addCells({ operation });
    }
    return { operations: [], cells };
  }

  /** Brings one gauge up to date. A source that throws costs its own gauges, not the whole scrape. */
  #refresh(id: MetricId): void {
    try {
      this.#read(id);
    } catch {
      this.#ownErrors += 1;
    }
  }

  #read(id: MetricId): void {
    const { flags, memory, internalErrors } = this.#sources;
    const read = perOperationGauges[id];
    if (read !== undefined) {
      for (const slot of new Set(this.#slots.values())) read(slot, flags);
    } else if (id === "buildInfo") this.#process.buildInfo?.set(0, 1);
    else if (id === "flagsLastRefresh" && flags !== undefined) {
      this.#process.flagsLastRefresh?.set(0, (flags.freshness().lastRefreshMs ?? 0) / 1000);
    } else if (id === "flagProblems" && flags !== undefined) {
      this.#process.flagProblems?.set(0, flags.problems().length);
    } else if (id === "memoryLimit" && memory !== undefined) {
      this.#process.memoryLimit?.set(0, finite(memory().limitBytes));
    } else if (id === "memoryUsed" && memory !== undefined) {
      this.#process.memoryUsed?.set(0, finite(memory().usedBytes));
    } else if (id === "internalErrors") this.#countInternalErrors(internalErrors?.() ?? new Map());
  }

  #countInternalErrors(errors: ReadonlyMap<string, number>): void {
    const cells = this.#process.internalErrors;
    cells?.numbers.fill(0);
    for (const [part, count] of errors) cells?.add(positionOf(internalParts, part), count);
    cells?.add(internalParts.indexOf("metrics"), this.#ownErrors);
  }
}

type GaugeReader = (slot: Slot, flags: MetricsSources["flags"]) => void;

const perPath =
  (id: MetricId, read: "calls" | "bytes" | "abandoned"): GaugeReader =>
  ({ operations, cells }) => {
    cells[id].numbers.fill(0);
    for (const { load } of operations) {
      cells[id].add(0, load.legacy[read]);
      cells[id].add(1, load.candidate[read]);
    }
  };

/** Of several operations under one label the worst counts. */
const worst = (id: MetricId, slot: Slot, read: (operation: AnyOperation) => number): void =>
  slot.cells[id].set(0, Math.max(0, ...slot.operations.map(read)));

const perOperationGauges: Readonly<Partial<Record<MetricId, GaugeReader>>> = {
  inFlightCalls: perPath("inFlightCalls", "calls"),
  inFlightBytes: perPath("inFlightBytes", "bytes"),
  abandonedCalls: perPath("abandonedCalls", "abandoned"),
  latchTripped: (slot) => worst("latchTripped", slot, ({ latch }) => (latch.tripped ? 1 : 0)),
  latchEpoch: (slot) => worst("latchEpoch", slot, ({ latch }) => latch.epoch),
  flagPercentage: (slot, flags) =>
    worst("flagPercentage", slot, ({ name }) => {
      const state = flags?.state(name);
      return state?.enabled === true ? finite(state.percentage) : 0;
    }),
};

function countOutcome(cells: Slot["cells"], outcome: Outcome, source: number): void {
  const path = outcome.path === "legacy" ? 0 : 1;
  const kind = outcomeIndex.get(outcome.kind) ?? 0;
  cells.calls.add((path * outcomeKinds.length + kind) * 2 + source, 1);
  cells.callDuration.observe(path * 2 + source, outcome.durationMs / 1000);
  if (source === SHADOW) return;
  if (outcome.firstByteMs !== null) cells.firstByte.observe(path, outcome.firstByteMs / 1000);
  if (outcome.bytes > 0) cells.bytes.add(path, outcome.bytes);
}

function fallbackResult(fallback: Outcome | null): string {
  if (fallback === null) return "denied";
  if (fallback.kind === "aborted") return "aborted";
  return isBad(fallback) ? "failed" : "answered";
}

/** Where a value is in a closed list; what is not in it is `other`, the last. */
function positionOf(values: readonly string[], value: string): number {
  const at = values.indexOf(value);
  return at < 0 ? values.length - 1 : at;
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}
