import { addPath, badShare } from "./evidence.ts";
import type { Stage } from "./plan/plan.ts";
import { quietAt } from "./plan/quiet.ts";
import type { RolloutRecord } from "./ports.ts";
import type { GateName, GateState, GateStatus } from "./status.ts";
import type { World } from "./world.ts";

const dayMs = 86_400_000;

/** The stage that a record is at. */
export function stageOf({ plan, stage }: RolloutRecord): Stage {
  const found = plan.stages[stage];
  if (found === undefined) throw new RangeError(`There is no stage ${stage} in plan ${plan.name}.`);
  return found;
}

/** Candidate calls of the stage; comparisons, where the candidate serves nobody. */
export function samplesOf(record: RolloutRecord): number {
  const { evidence } = record;
  return stageOf(record).percentage === 0 ? evidence.compared : evidence.candidate.calls;
}

/** Nothing of a stage at 0 % can be counted or judged where nothing is shadowed. */
export function isUnseen(world: Pick<World, "record" | "shadowable">): boolean {
  const { percentage, shadowPercentage } = stageOf(world.record);
  return percentage === 0 && (shadowPercentage === 0 || !world.shadowable);
}

/**
 * Asks every gate of the present stage; `record` already holds what was counted up to now. A gate that
 * cannot be told is `holding`, never passed.
 */
export function askGates(world: World): readonly GateStatus[] {
  const stage = stageOf(world.record);
  return [
    latchGate(world),
    flagGate(world),
    instancesGate(world),
    verdictGate(world),
    holdTimeGate(world, stage),
    samplesGate(world, stage),
    ...rateGates(world, stage),
    ...latencyGate(world, stage),
    ...drillGate(world, stage),
    ...earlierGate(world, stage),
    ...windowGate(world),
    ...approvalGate(world, stage),
  ];
}

const gate = (name: GateName, state: GateState, sentence: string): GateStatus => ({
  name,
  state,
  sentence,
});

function latchGate({ latch }: World): GateStatus {
  if (latch === null)
    return gate("latch", "holding", "It cannot be told whether the fleet is latched.");
  return gate("latch", "passed", "The latch is armed.");
}

function flagGate({ flag, record }: World): GateStatus {
  if (flag === null) return gate("flag", "holding", "The flag cannot be read.");
  return gate("flag", "passed", `The flag says ${record.percentage} %, as it should.`);
}

function instancesGate({ instances, record }: World): GateStatus {
  if (instances === null) {
    return gate("instances", "passed", "This process is the only one: there is no fleet.");
  }
  if (instances.length === 0) return gate("instances", "holding", "No instance reports.");
  const names = (views: typeof instances): string => views.map((each) => each.instance).join(", ");
  const latched = instances.filter((each) => each.latched);
  if (latched.length > 0) {
    const sentence = `${latched.length} of ${instances.length} live instances have latched this operation: ${names(latched)}.`;
    return gate("instances", "holding", sentence);
  }
  const stale = instances.filter((each) => !each.fresh);
  if (stale.length > 0) {
    return gate("instances", "holding", `The flags of ${names(stale)} are not fresh.`);
  }
  const apart = instances.filter((each) => each.percentage !== record.percentage);
  if (apart.length > 0) {
    const told = apart.map((each) => `${each.instance} (${each.percentage ?? "no flag"} %)`);
    const sentence = `${told.join(", ")} do not go by ${record.percentage} % yet.`;
    return gate("instances", "waiting", sentence);
  }
  const all = `All ${instances.length} live instances go by ${record.percentage} %.`;
  return gate("instances", "passed", all);
}

function verdictGate({ judged }: World): GateStatus {
  const { kind, sentence } = judged;
  if (kind === "healthy") return gate("verdict", "passed", sentence);
  const state = kind === "inconclusive" ? "waiting" : "holding";
  return gate("verdict", state, `${kind}: ${sentence}`);
}

function holdTimeGate({ record }: World, { holdSeconds }: Stage): GateStatus {
  const left = holdSeconds * 1000 - record.heldMs;
  if (left <= 0) return gate("hold-time", "passed", `Held for ${holdSeconds} s.`);
  const sentence = `${Math.ceil(left / 1000)} s of ${holdSeconds} s are left.`;
  if (isSkipped(record)) return gate("hold-time", "passed", `Skipped by a person: ${sentence}`);
  return gate("hold-time", "waiting", sentence);
}

function samplesGate(world: World, { samples, percentage }: Stage): GateStatus {
  const { record } = world;
  const what = percentage === 0 ? "comparisons" : "candidate calls";
  if (isUnseen(world)) {
    return gate("samples", "passed", "Nothing is shadowed at this stage, so nothing is counted.");
  }
  const seen = samplesOf(record);
  const sentence = `${seen} of ${samples} ${what}.`;
  if (seen >= samples) return gate("samples", "passed", sentence);
  if (isSkipped(record)) return gate("samples", "passed", `Skipped by a person: ${sentence}`);
  return gate("samples", "waiting", sentence);
}

function rateGates({ record }: World, stage: Stage): GateStatus[] {
  const { candidate } = record.evidence;
  const { successRateMin, errorRateMax } = stage;
  const bad = badShare(candidate);
  const failed = candidate.calls === 0 ? 0 : candidate.failed / candidate.calls;
  const gates: GateStatus[] = [];
  // A rate of no calls is nothing that a gate could pass by.
  const unknown = candidate.calls === 0;
  if (errorRateMax !== null) {
    const sentence = `${percent(failed)} of ${candidate.calls} candidate calls failed; ${percent(errorRateMax)} may.`;
    const state = unknown ? "waiting" : failed <= errorRateMax ? "passed" : "holding";
    gates.push(gate("error-rate", state, sentence));
  }
  if (successRateMin !== null) {
    const sentence = `${percent(1 - bad)} of ${candidate.calls} candidate calls succeeded; ${percent(successRateMin)} must.`;
    const state = unknown ? "waiting" : 1 - bad >= successRateMin ? "passed" : "holding";
    gates.push(gate("success-rate", state, sentence));
  }
  return gates;
}

function latencyGate({ record }: World, { latencyFactorMax }: Stage): GateStatus[] {
  if (latencyFactorMax === null) return [];
  const { candidate } = record.evidence;
  const legacy = addPath(record.baseline, record.evidence.legacy);
  const known = candidate.durationMs !== null && legacy.durationMs !== null;
  if (!known || candidate.calls === 0 || legacy.calls === 0) {
    return [gate("latency", "waiting", "Not both paths have been timed yet.")];
  }
  const mean = (candidate.durationMs ?? 0) / candidate.calls;
  const baseline = (legacy.durationMs ?? 0) / legacy.calls;
  const sentence = `The candidate's calls take ${mean.toFixed(1)} ms, legacy's ${baseline.toFixed(1)} ms; ${latencyFactorMax} times that is allowed.`;
  const state = mean <= baseline * latencyFactorMax ? "passed" : "holding";
  return [gate("latency", state, sentence)];
}

function drillGate({ nowMs, drilledMs }: World, { drillMaxAgeDays }: Stage): GateStatus[] {
  if (drillMaxAgeDays === null) return [];
  if (drilledMs === null) {
    return [gate("drill", "waiting", "No drill of this operation has passed yet.")];
  }
  const days = (nowMs - drilledMs) / dayMs;
  const sentence = `The last drill passed ${days.toFixed(1)} days ago; ${drillMaxAgeDays} are allowed.`;
  return [gate("drill", days <= drillMaxAgeDays ? "passed" : "waiting", sentence)];
}

function earlierGate({ record, reached }: World, { percentage }: Stage): GateStatus[] {
  const { after } = record.plan;
  if (percentage > 0 || after.length === 0) return [];
  const late = after.filter(({ operation, reach }) => (reached.get(operation) ?? 0) < reach);
  if (late.length === 0) {
    return [gate("earlier-operations", "passed", "The operations before it are far enough.")];
  }
  const told = late.map(
    ({ operation, reach }) => `${operation} (${reached.get(operation) ?? 0} of ${reach} %)`,
  );
  return [gate("earlier-operations", "waiting", `It comes after ${told.join(", ")}.`)];
}

function windowGate({ record, nowMs }: World): GateStatus[] {
  const { quiet } = record.plan;
  if (quiet.length === 0) return [];
  const now = quietAt(nowMs, quiet);
  if (now === null) return [gate("window", "passed", "No quiet time.")];
  const sentence = `Quiet from ${now.from} to ${now.to} (${now.timeZone}).`;
  return [gate("window", "waiting", sentence)];
}

function approvalGate({ record }: World, { approval }: Stage): GateStatus[] {
  if (!approval) return [];
  const given = record.approval;
  if (given?.stage === record.stage) {
    return [gate("approval", "passed", `Approved by ${given.by} at ${given.at}.`)];
  }
  return [gate("approval", "waiting", "A person must approve this stage.")];
}

const isSkipped = (record: RolloutRecord): boolean => record.skip?.stage === record.stage;

const percent = (share: number): string => `${Number((share * 100).toFixed(3))} %`;
