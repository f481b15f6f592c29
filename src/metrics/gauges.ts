import { createHash } from "node:crypto";
import { worst as worstVerdict } from "../guard/verdict.ts";
import { paths } from "../migration/call.ts";
import type { AnyOperation } from "../migration/operation.ts";
import { type RolloutStatus, rolloutStates } from "../rollout/status.ts";
import type { MetricId } from "./catalogue.ts";
import { ruleNames, verdictKinds } from "./definitions/guard-metrics.ts";
import { gcKinds, internalParts, memorySources } from "./definitions/process-metrics.ts";
import { flagsStates, gateNames, gateStates } from "./definitions/rollout-metrics.ts";
import type { Cells, Family } from "./family.ts";
import { other } from "./metric.ts";
import type { MetricsSources } from "./sources.ts";

/** The series of one operation, or of all beyond the limit. */
export interface Slot {
  readonly operations: AnyOperation[];
  readonly cells: Readonly<Record<MetricId, Cells>>;
  /** Those that every call writes, once more: a look into the large record costs as much as the write. */
  readonly hot: Readonly<Record<HotMetricId, Cells>>;
}

type HotMetricId = "calls" | "callDuration" | "decisions" | "firstByte" | "bytes";

/** What a reader may read from and write to. */
export interface GaugeView {
  readonly slots: readonly Slot[];
  /** The series of the process. */
  readonly own: Readonly<Record<MetricId, Cells>>;
  readonly families: Readonly<Record<MetricId, Family>>;
  readonly sources: MetricsSources;
}

/** Brings some gauges up to date. One that throws leaves its own gauges as they are. */
export type GaugeReader = (view: GaugeView) => void;

/** Where a value is in a closed list; what is not in it is `other`, where there is one, else -1. */
export function positionOf(values: readonly string[], value: string): number {
  const at = values.indexOf(value);
  return at < 0 ? values.lastIndexOf(other) : at;
}

export function finite(value: number | null | undefined): number {
  return Number.isFinite(value) ? Number(value) : 0;
}

/** Of several operations under one label the worst counts. */
const worst = (id: MetricId, slot: Slot, read: (operation: AnyOperation) => number): void =>
  slot.cells[id].set(0, Math.max(0, ...slot.operations.map(read)));

/** The one value of a closed list that holds becomes 1, the others 0. */
function setState(cells: Cells, values: readonly string[], value: string | undefined): void {
  for (const [index, each] of values.entries()) cells.set(index, each === value ? 1 : 0);
}

const readLoad: GaugeReader = ({ slots }) => {
  const pairs = [
    ["inFlightCalls", "calls"],
    ["inFlightBytes", "bytes"],
    ["abandonedCalls", "abandoned"],
  ] as const;
  for (const { operations, cells } of slots) {
    for (const [id, field] of pairs) {
      cells[id].numbers.fill(0);
      for (const { load } of operations) {
        for (const [index, path] of paths.entries()) cells[id].add(index, load[path][field]);
      }
    }
  }
};

const readLatches: GaugeReader = ({ slots }) => {
  for (const slot of slots) {
    worst("latchTripped", slot, ({ latch }) => (latch.tripped ? 1 : 0));
    worst("latchEpoch", slot, ({ latch }) => latch.epoch);
  }
};

const readVerdicts: GaugeReader = ({ slots, sources: { verdicts } }) => {
  if (verdicts === undefined) return;
  for (const { operations, cells } of slots) {
    // Several operations under one label: each rule's worst verdict would need a rule of its own.
    const [operation] = operations;
    if (operation === undefined) continue;
    const known = verdicts(operation.name);
    cells.verdict.numbers.fill(0);
    for (const verdict of [...known, { ...worstVerdict(operation.name, known), rule: "overall" }]) {
      const at = positionOf(ruleNames, verdict.rule);
      cells.verdict.set(at * verdictKinds.length + verdictKinds.indexOf(verdict.kind), 1);
      if (verdict.rule === "overall") continue;
      cells.ruleObserved.set(at, finite(verdict.observed));
      cells.ruleLimit.set(at, finite(verdict.limit));
    }
  }
};

const readFlags: GaugeReader = ({ slots, own, families, sources: { flags, flagRevision } }) => {
  if (flags === undefined) return;
  const { state, lastRefreshMs } = flags.freshness();
  setState(own.flagsState, flagsStates, state);
  own.flagsLastRefresh.set(0, (lastRefreshMs ?? 0) / 1000);
  own.flagProblems.set(0, flags.problems().length);
  for (const slot of slots) {
    worst("flagPercentage", slot, ({ name }) => {
      const flag = flags.state(name);
      return flag?.enabled === true ? finite(flag.percentage) : 0;
    });
    worst("flagShadowPercentage", slot, ({ name }) => finite(flags.state(name)?.shadowPercentage));
  }
  const revision = flagRevision?.() ?? digestOf(slots, flags);
  families.flagsRevision.replaceCells({ revision: revision.slice(0, 64) }).set(0, 1);
};

/** Equal where the flags say the same about the same operations, whatever they are kept in. */
function digestOf(slots: readonly Slot[], flags: NonNullable<MetricsSources["flags"]>): string {
  const said = slots
    .flatMap(({ operations }) => operations)
    .map(({ name }) => {
      const flag = flags.state(name);
      return [name, flag?.enabled, flag?.percentage, flag?.shadowPercentage].join(" ");
    });
  return createHash("sha256").update(said.sort().join("\n")).digest("hex").slice(0, 12);
}

const readRollout: GaugeReader = ({ slots, own, sources: { rollout } }) => {
  if (rollout === undefined) return;
  const known = rollout();
  for (const { operations, cells } of slots) {
    const status = known.find((each) => operations.some(({ name }) => name === each.operation));
    setRollout(cells, status);
  }
  own.controllerLeader.set(0, known.some(({ leader }) => leader?.self === true) ? 1 : 0);
  const evaluatedMs = known.map(({ evaluatedAt }) => finite(Date.parse(evaluatedAt ?? "")));
  own.controllerEvaluated.set(0, Math.max(0, ...evaluatedMs) / 1000);
};

function setRollout(cells: Slot["cells"], status: RolloutStatus | undefined): void {
  setState(cells.rolloutState, rolloutStates, status?.state);
  const stage = status?.stage ?? null;
  cells.rolloutStage.set(0, stage === null ? 0 : stage + 1);
  cells.rolloutStages.set(0, status?.stages.length ?? 0);
  cells.rolloutPercentage.set(0, finite(status?.expectedPercentage));
  cells.rolloutHoldLeft.set(0, finite(status?.holdLeftMs) / 1000);
  cells.rolloutSamples.set(0, finite(status?.samples));
  cells.rolloutSamplesNeeded.set(0, finite(status?.samplesNeeded));
  cells.rolloutGate.numbers.fill(0);
  for (const { name, state } of status?.gates ?? []) {
    const at = gateNames.indexOf(name);
    if (at >= 0) cells.rolloutGate.set(at * gateStates.length + gateStates.indexOf(state), 1);
  }
}

const readFleet: GaugeReader = ({ slots, own, sources: { fleet } }) => {
  const view = fleet?.() ?? null;
  if (view === null) return;
  const live = view.instances.filter((each) => each.live);
  own.fleetConnected.set(0, view.connected ? 1 : 0);
  own.fleetInstances.set(0, live.length);
  own.fleetInstances.set(1, view.instances.length - live.length);
  own.fleetRevisions.set(0, new Set(live.map(({ flags }) => flags.revision)).size);
  const latched = (name: string): number =>
    live.filter((each) =>
      each.operations.some((report) => report.operation === name && report.latched),
    ).length;
  for (const slot of slots) worst("fleetLatched", slot, ({ name }) => latched(name));
};

const readMemory: GaugeReader = ({ own, sources: { memory, backPressure } }) => {
  if (memory !== undefined) {
    const view = memory();
    own.memoryUsed.set(0, finite(view?.usedBytes));
    own.memoryLimit.set(0, finite(view?.limitBytes));
    own.memoryUsedRatio.set(0, finite(view?.ratio));
    setState(own.memorySource, memorySources, view?.limitFrom ?? "none");
  }
  if (backPressure === undefined) return;
  const { shedShadows, hold } = backPressure();
  own.backPressure.set(0, shedShadows ? 1 : 0);
  own.backPressure.set(1, hold ? 1 : 0);
};

const readProcess: GaugeReader = ({ own, sources: { process: read } }) => {
  if (read === undefined) return;
  const view = read();
  own.memoryResident.set(0, finite(view.residentBytes));
  own.memoryHeap.set(0, finite(view.heapUsedBytes));
  own.memoryArrayBuffers.set(0, finite(view.arrayBufferBytes));
  own.memoryHeapFloor.set(0, finite(view.heapFloorBytes));
  for (const [index, kind] of gcKinds.entries()) {
    own.gcPause.set(index, finite(view.gcSeconds.get(kind)));
  }
  own.eventLoop.set(0, finite(view.loopActiveSeconds));
  own.eventLoop.set(1, finite(view.loopIdleSeconds));
};

const readAdmission: GaugeReader = ({ own, sources: { admission, shadowsInFlight } }) => {
  if (shadowsInFlight !== undefined) own.shadowsInFlight.set(0, finite(shadowsInFlight()));
  if (admission === undefined) return;
  const views = admission();
  for (const [index, path] of paths.entries()) {
    own.admissionWaiting.set(index, views[path].waiting);
    own.admissionBytes.set(index, views[path].claimedBytes);
    own.admissionLimit.set(index, finite(views[path].limitBytes));
  }
};

/** Everything that is read at a scrape, but `internalErrors`, which count what goes wrong here. */
export const gaugeReaders: readonly GaugeReader[] = [
  readLoad,
  readLatches,
  readVerdicts,
  readFlags,
  readRollout,
  readFleet,
  readMemory,
  readProcess,
  readAdmission,
];

/** Errors of our own by part; `ownErrors` are those of these readers. */
export function setInternalErrors(
  cells: Cells,
  errors: ReadonlyMap<string, number>,
  ownErrors: number,
): void {
  cells.numbers.fill(0);
  for (const [part, count] of errors) cells.add(positionOf(internalParts, part), count);
  cells.add(internalParts.indexOf("metrics"), ownErrors);
}
