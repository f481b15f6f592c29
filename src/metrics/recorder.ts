import { type Metric, type OpenMetricsContentType, Registry } from "prom-client";
import type { RollbackReport } from "../guard/rollback.ts";
import type { Verdict } from "../guard/verdict.ts";
import type { Path } from "../migration/call.ts";
import type { Observation } from "../migration/observation.ts";
import type { AnyOperation } from "../migration/operation.ts";
import { isBad, type Outcome, outcomeKinds } from "../migration/outcome.ts";
import { skipReasons } from "../shadow/budget.ts";
import { type DifferenceKind, differenceKinds } from "../shadow/difference.ts";
import { type ShadowResult, type ShadowSkip, shadowResultKinds } from "../shadow/shadow.ts";
import { catalogue, type MetricId } from "./catalogue.ts";
import { fallbackResults } from "./definitions/call-metrics.ts";
import {
  rollbackCauses,
  rollbackParts,
  rollbackResults,
  ruleNames,
  verdictKinds,
} from "./definitions/guard-metrics.ts";
import { errorTypeOf, errorTypes } from "./error-type.ts";
import { type EvidenceCounts, evidenceOf } from "./evidence.ts";
import {
  type Cells,
  Family,
  type FamilySnapshot,
  type Labels,
  OpenMetricsFamily,
} from "./family.ts";
import { finite, gaugeReaders, positionOf, type Slot, setInternalErrors } from "./gauges.ts";
import { type MetricDefinition, otherOperations } from "./metric.ts";
import type { MetricsSources } from "./sources.ts";

/** Options of a {@link MetricsRecorder}. */
export interface MetricsRecorderOptions {
  /** Operations with series of their own; further ones share `__other__`. Default 50. */
  readonly operationsMax?: number;
  /** The application's version, for `changeover_build_info`; default `unknown`. */
  readonly version?: string;
  /** The runtime's version; default that of the process. */
  readonly node?: string;
  /**
   * Keep the request id of the last served call in each bucket of the durations, and print it in the
   * OpenMetrics format. Default false: it makes an id for every call, and costs an object.
   */
  readonly exemplars?: boolean;
}

/** A rule's verdict, as the guard announces it. */
export type RuleVerdict = Pick<Verdict, "operation" | "kind" | "observed" | "limit"> & {
  /** One of `ruleNames`; anything else is recorded as `other`. */
  readonly rule: string;
};

/** A rollback that came to its end; a {@link RollbackReport} and what started it. */
export interface RollbackRecord extends Pick<RollbackReport, "operation" | "result"> {
  /** One of `rollbackCauses`; anything else is recorded as `other`. */
  readonly rule: string;
  /** ISO 8601, when it began. */
  readonly at?: string;
  readonly ms?: number;
  readonly steps?: RollbackReport["steps"];
}

/** What one path did since the start of the process, for callers only: shadows are left out. */
export interface PathTotals {
  readonly runs: number;
  readonly failed: number;
  readonly timedOut: number;
  /** Runs by duration: one number for each bucket of `catalogue.callDuration`, and one for what is slower. */
  readonly durations: Float64Array;
}

/** What others may do with the metrics: print them, feed them, and add their own. */
export type MetricsDoor = Omit<
  MetricsRecorder,
  "addOperation" | "observation" | "rollback" | "shadowResult" | "shadowSkip" | "verdict"
>;

/** What is sent to a scraper. */
export interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

const metricIds = Object.keys(catalogue) as readonly MetricId[];
const indexed = (values: readonly string[]): ReadonlyMap<string, number> =>
  new Map(values.map((value, index) => [value, index]));

const outcomeIndex = indexed(outcomeKinds);
const failedAt = outcomeKinds.indexOf("failed");
const timedOutAt = outcomeKinds.indexOf("timed-out");
const reasons = catalogue.decisions.labels["reason"] ?? [];
const reasonIndex = indexed(reasons);
const reasonCount = reasons.length;
const kindCount = outcomeKinds.length;
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
  readonly #openMetrics: Registry<OpenMetricsContentType>;
  readonly #operationsMax: number;
  readonly #exemplars: boolean;
  readonly #families: Readonly<Record<MetricId, Family>>;
  readonly #slots = new Map<AnyOperation, Slot>();
  readonly #byName = new Map<string, Slot>();
  /** The series of the process; those of operations are in their slots. */
  readonly #own: Readonly<Record<MetricId, Cells>>;
  readonly #extraReaders: (() => void)[] = [];
  #overflow: Slot | null = null;
  #sources: MetricsSources = {};
  #ownErrors = 0;
  #isFresh = false;

  constructor(options: MetricsRecorderOptions = {}) {
    const { operationsMax = 50, version = "unknown", node = process.version } = options;
    this.#operationsMax = operationsMax;
    this.#exemplars = options.exemplars ?? false;
    this.registry = new Registry();
    this.#openMetrics = new Registry<OpenMetricsContentType>();
    this.#openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const families = {} as Record<MetricId, Family>;
    const own = {} as Record<MetricId, Cells>;
    const fixed: Partial<Record<MetricId, Labels>> = {
      buildInfo: { version: version.slice(0, 64), node: node.slice(0, 64) },
      flagsRevision: { revision: "unknown" },
    };
    for (const id of metricIds) {
      families[id] = this.#register(catalogue[id]);
      if (!catalogue[id].perOperation) own[id] = families[id].addCells(fixed[id] ?? {});
    }
    own.buildInfo.set(0, 1);
    this.#families = families;
    this.#own = own;
  }

  /** Of `text()`, for the response's header. */
  get contentType(): string {
    return this.registry.contentType;
  }

  /** Everything, in the text format of Prometheus 0.0.4. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  /** Everything, in the OpenMetrics format where the request's `Accept` header names it, else as `text()`. */
  async exposition(accept: string | undefined): Promise<Exposition> {
    const wanted = /(^|,)\s*application\/openmetrics-text(?![^,]*;\s*q=0(\.0*)?\s*(,|;|$))/.test(
      accept ?? "",
    );
    const { contentType } = wanted ? this.#openMetrics : this.registry;
    const text = await (wanted ? this.#openMetrics.metrics() : this.registry.metrics());
    return { contentType, text };
  }

  /** Everything as data, counters and gauges as they are right now. */
  async snapshots(): Promise<readonly FamilySnapshot[]> {
    return (await this.registry.getMetricsAsJSON()) as unknown as readonly FamilySnapshot[];
  }

  /** Names where to read what others keep; may be called again with more. */
  readFrom(sources: MetricsSources): void {
    this.#sources = { ...this.#sources, ...sources };
  }

  /**
   * Adds metrics of a part that the library does not know. `read` is called before every scrape, with the
   * series of each definition, all at 0 from the start; what it throws is counted as an error of ours.
   * Definitions must not be per operation. Throws for a name that is taken.
   */
  addFamilies<Id extends string>(
    definitions: Readonly<Record<Id, MetricDefinition>>,
    read: (cells: Readonly<Record<Id, Cells>>) => void,
  ): void {
    const cells = {} as Record<Id, Cells>;
    for (const id of Object.keys(definitions) as Id[]) {
      cells[id] = this.#register(definitions[id]).addCells({});
    }
    this.#extraReaders.push(() => read(cells));
  }

  /** Creates the operation's series, all at 0. Adding it again does nothing. */
  addOperation(operation: AnyOperation): void {
    this.#slotOf(operation);
  }

  /** A call has ended. */
  observation(observation: Observation): void {
    const { first, fallback, decision } = observation;
    const slot = this.#slotOf(observation.operation);
    const { callDuration, decisions } = slot.hot;
    const chosen = decision.path === "legacy" ? 0 : 1;
    const reason = reasonIndex.get(decision.reason);
    if (reason !== undefined) decisions.add(chosen * reasonCount + reason, 1);
    const place = countOutcome(slot, first, SERVED);
    if (this.#exemplars) keepExemplar(callDuration, place, observation);
    if (fallback !== null) countOutcome(slot, fallback, SERVED);
    if (first.path === "candidate" && isBad(first)) {
      slot.cells.fallbacks.add(fallbackResults.indexOf(fallbackResult(fallback)), 1);
    }
  }

  /** A shadow has ended. */
  shadowResult(result: ShadowResult): void {
    const slot = this.#slotOf(result.operation);
    const { cells } = slot;
    cells.shadowRuns.add(shadowResultKinds.indexOf(result.result), 1);
    if (result.shadow !== null) countOutcome(slot, result.shadow, SHADOW);
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
  rollback({ operation, rule, result, at, ms, steps }: RollbackRecord): void {
    const cells = this.#byName.get(operation)?.cells;
    if (cells === undefined) return;
    const index = positionOf(rollbackCauses, rule) * rollbackResults.length;
    cells.rollbacks.add(index + rollbackResults.indexOf(result), 1);
    if (at !== undefined) cells.lastRollback.set(0, finite(Date.parse(at)) / 1000);
    const ends = endsOf(steps ?? [], ms);
    for (const [part, name] of rollbackParts.entries()) {
      const tookMs = ends[name];
      if (tookMs !== null) cells.rollbackDuration.observe(part, tookMs / 1000);
    }
  }

  /** A rule came to another verdict. An operation that was never added is not recorded. */
  verdict({ operation, rule, kind, observed, limit }: RuleVerdict): void {
    const cells = this.#byName.get(operation)?.cells;
    if (cells === undefined) return;
    const at = positionOf(ruleNames, rule);
    cells.ruleObserved.set(at, finite(observed));
    cells.ruleLimit.set(at, finite(limit));
    for (const [index, each] of verdictKinds.entries()) {
      cells.verdict.set(at * verdictKinds.length + index, each === kind ? 1 : 0);
    }
    cells.verdictChanges.add(at * verdictKinds.length + verdictKinds.indexOf(kind), 1);
  }

  /** What both paths did since the start; null for an operation that was never added. */
  totals(operation: string): Readonly<Record<Path, PathTotals>> | null {
    const cells = this.#byName.get(operation)?.cells;
    if (cells === undefined) return null;
    return { legacy: totalsOf(cells, 0), candidate: totalsOf(cells, 1) };
  }

  /** Fallbacks and comparisons since the start; null as `totals` is. */
  evidence(operation: string): EvidenceCounts | null {
    const cells = this.#byName.get(operation)?.cells;
    return cells === undefined ? null : evidenceOf(cells);
  }

  #register(definition: MetricDefinition): Family {
    const family = new Family(definition, () => this.#refresh());
    // The registry asks no more of a metric than a family offers; its type lists its own four classes.
    this.registry.registerMetric(family as unknown as Metric);
    this.#openMetrics.registerMetric(new OpenMetricsFamily(family) as unknown as Metric);
    return family;
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
    this.#own.overflow.add(0, 1);
    this.#overflow ??= this.#makeSlot(otherOperations);
    return this.#overflow;
  }

  #makeSlot(operation: string): Slot {
    const cells = {} as Record<MetricId, Cells>;
    for (const id of metricIds) {
      if (catalogue[id].perOperation) cells[id] = this.#families[id].addCells({ operation });
    }
    const { calls, callDuration, decisions, firstByte, bytes } = cells;
    return { operations: [], cells, hot: { calls, callDuration, decisions, firstByte, bytes } };
  }

  /**
   * Brings all gauges up to date, once for all families that are read in the same tick: a scrape asks
   * them one after the other. A source that throws costs its own gauges, not the whole scrape.
   */
  #refresh(): void {
    if (this.#isFresh) return;
    this.#isFresh = true;
    queueMicrotask(() => {
      this.#isFresh = false;
    });
    const slots = [...new Set(this.#slots.values())];
    const view = { slots, own: this.#own, families: this.#families, sources: this.#sources };
    for (const read of gaugeReaders) this.#safely(() => read(view));
    for (const read of this.#extraReaders) this.#safely(read);
    this.#own.buildInfo.set(0, 1);
    let errors: ReadonlyMap<string, number> = new Map();
    this.#safely(() => {
      errors = this.#sources.internalErrors?.() ?? errors;
    });
    setInternalErrors(this.#own.internalErrors, errors, this.#ownErrors);
  }

  #safely(read: () => void): void {
    try {
      read();
    } catch {
      this.#ownErrors += 1;
    }
  }
}

/** Milliseconds from the start to the end of each timed part; null for a part that did not come to its end. */
function endsOf(
  steps: RollbackReport["steps"],
  ms: number | undefined,
): Readonly<Record<(typeof rollbackParts)[number], number | null>> {
  // Only what comes one after the other adds up: the fleet is told while the flag is switched off.
  const after = (...names: readonly string[]): number | null => {
    const chain = names.map((name) => steps.find((step) => step.name === name));
    const isDone = chain.every((step) => step?.result === "done" || step?.result === "already");
    return isDone ? chain.reduce((sum, step) => sum + (step?.ms ?? 0), 0) : null;
  };
  return {
    latch: after("latch"),
    flag: after("latch", "flag", "read-back"),
    whole: ms ?? null,
  };
}

function keepExemplar(cells: Cells, place: number, { call, first, atMs }: Observation): void {
  cells.keepExemplar(place, {
    labelSet: { request_id: call.requestId.slice(0, 100) },
    value: first.durationMs / 1000,
    timestamp: atMs / 1000,
  });
}

/** Returns the place of the duration's bucket. */
function countOutcome({ hot, cells }: Slot, outcome: Outcome, source: number): number {
  const path = outcome.path === "legacy" ? 0 : 1;
  const kind = outcomeIndex.get(outcome.kind) ?? 0;
  hot.calls.add((path * kindCount + kind) * 2 + source, 1);
  const place = hot.callDuration.observe(path * 2 + source, outcome.durationMs / 1000);
  if (source === SHADOW) return place;
  if (outcome.firstByteMs !== null) hot.firstByte.observe(path, outcome.firstByteMs / 1000);
  if (outcome.bytes > 0) hot.bytes.add(path, outcome.bytes);
  if (kind === failedAt || kind === timedOutAt) countError(cells, path, outcome);
  return place;
}

/** By itself, so that what every call runs through stays small enough to be inlined. */
function countError({ errors }: Slot["cells"], path: number, outcome: Outcome): void {
  errors.add(path * errorTypes.length + errorTypes.indexOf(errorTypeOf(outcome)), 1);
}

function fallbackResult(fallback: Outcome | null): string {
  if (fallback === null) return "denied";
  if (fallback.kind === "aborted") return "aborted";
  return isBad(fallback) ? "failed" : "answered";
}

function totalsOf({ calls, callDuration }: Slot["cells"], path: number): PathTotals {
  const count = (kind: Outcome["kind"]): number =>
    calls.numbers[(path * outcomeKinds.length + outcomeKinds.indexOf(kind)) * 2 + SERVED] ?? 0;
  const start = (path * 2 + SERVED) * callDuration.width;
  return {
    runs: outcomeKinds.reduce((sum, kind) => sum + count(kind), 0),
    failed: count("failed"),
    timedOut: count("timed-out"),
    durations: callDuration.numbers.slice(start, start + callDuration.width - 1),
  };
}
