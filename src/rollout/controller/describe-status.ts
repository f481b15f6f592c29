import { isUnseen, samplesOf, stageOf } from "../gates.ts";
import type { OperationPlan } from "../plan/plan.ts";
import type { RolloutRecord } from "../ports.ts";
import type { LeaderStatus, RolloutState, RolloutStatus } from "../status.ts";
import { exposureOf, type Step, type World } from "../world.ts";

/** One look at one operation. */
export interface Looked {
  readonly world: World;
  readonly step: Step;
}

/** What is shown of an operation without a rollout. */
export function idleStatus(
  operation: string,
  plan: OperationPlan,
  actualPercentage: number | null,
): RolloutStatus {
  return {
    operation,
    state: "idle",
    plan: plan.name,
    stages: plan.stages,
    stage: null,
    expectedPercentage: null,
    actualPercentage,
    since: null,
    stageSince: null,
    holdLeftMs: null,
    samples: null,
    samplesNeeded: null,
    gates: [],
    leader: null,
    evaluatedAt: null,
    why: "Never started.",
  };
}

/** What is shown of a rollout after a look. */
export function statusOf({ world, step }: Looked, leader: LeaderStatus | null): RolloutStatus {
  const { record } = step;
  const stage = stageOf(record);
  const unseen = isUnseen({ record, shadowable: world.shadowable });
  const state = stateOf(record, step);
  const { plan, percentage, phaseSince, stageSince } = record;
  return {
    operation: record.operation,
    state,
    plan: plan.name,
    stages: plan.stages,
    stage: record.stage,
    expectedPercentage: percentage,
    actualPercentage: world.flag === null ? null : exposureOf(world.flag),
    since: phaseSince,
    stageSince,
    holdLeftMs: Math.max(0, stage.holdSeconds * 1000 - record.heldMs),
    samples: unseen ? null : samplesOf(record),
    samplesNeeded: unseen ? null : stage.samples,
    gates: step.gates,
    leader,
    evaluatedAt: new Date(world.nowMs).toISOString(),
    why: leader === null && record.phase === "running" ? `Nobody leads. ${step.why}` : step.why,
  };
}

function stateOf({ phase }: RolloutRecord, { kind, gates }: Step): RolloutState {
  if (phase !== "running") return phase;
  if (kind === "hold") return "held";
  const open = gates.filter(({ state }) => state !== "passed");
  return open.length === 1 && open[0]?.name === "approval" ? "waiting-approval" : "running";
}
