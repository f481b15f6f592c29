import { CodedError } from "../base/errors.ts";
import type { FlagState } from "../migration/flags.ts";
import { giveUp, inPhase, resumeAt } from "./advance.ts";
import { noEvidence } from "./evidence.ts";
import { stageOf } from "./gates.ts";
import type { OperationPlan } from "./plan/plan.ts";
import type { RolloutPhase, RolloutRecord } from "./ports.ts";
import { exposureOf, type World } from "./world.ts";

/** What a person can tell a rollout. */
export type RolloutCommand = "start" | "pause" | "resume" | "approve" | "advance" | "abort";

/** What a command is carried out on: plain data, read before. */
export interface CommandWorld extends Pick<World, "flag" | "latch" | "nowMs"> {
  readonly operation: string;
  readonly record: RolloutRecord | null;
  /** What a start would go by. */
  readonly plan: OperationPlan;
  readonly by: string;
  readonly reason: string;
}

/** What a command comes to. */
export interface Commanded {
  readonly record: RolloutRecord;
  /** Where the flag is to be set, before the record is written (start) or after it; null: left alone. */
  readonly flag: { readonly percentage: number; readonly shadowPercentage: number } | null;
  /** One sentence: what it does. */
  readonly sentence: string;
}

/**
 * Decides what a command does, without doing it. Throws `ROLLOUT_WRONG_STATE`, `ROLLOUT_LATCHED`,
 * `ROLLOUT_NOT_AT_ZERO`, `ROLLOUT_FLAG_UNREADABLE`, `ROLLOUT_FLAG_OFF` and `ROLLOUT_NO_APPROVAL`.
 */
export function obey(command: RolloutCommand, world: CommandWorld): Commanded {
  if (command === "start") return start(world);
  const record = requirePhase(command, world);
  const { nowMs, by, reason } = world;
  const at = new Date(nowMs).toISOString();
  const said = { by, at, stage: record.stage };
  switch (command) {
    case "pause":
      return told({ ...inPhase(record, "paused", nowMs), by, why: `Paused by ${by}: ${reason}` });
    case "resume":
      return resume(record, world);
    case "approve":
      if (!stageOf(record).approval) throw noApproval(record);
      return told({ ...record, approval: said, by, why: `Approved by ${by}: ${reason}` });
    case "advance":
      return told({ ...record, skip: said, by, why: `The wait is skipped by ${by}: ${reason}` });
    default:
      return abort(record, world);
  }
}

const told = (record: RolloutRecord): Commanded => ({ record, flag: null, sentence: record.why });

function start(world: CommandWorld): Commanded {
  const { operation, record, plan, nowMs, by, reason } = world;
  if (record !== null && phases.pause.includes(record.phase)) throw wrongState("start", world);
  const { epoch: latchEpoch } = requireArmed(world);
  const exposed = exposureOf(requireFlag(world));
  if (exposed > 0) {
    throw new CodedError(
      "ROLLOUT_NOT_AT_ZERO",
      `The flag of ${operation} gives ${exposed} % to the candidate; a rollout starts at 0 %. Set it to 0 first (changeover flags set ${operation} 0).`,
      { status: 409, details: { operation, exposed } },
    );
  }
  const at = new Date(nowMs).toISOString();
  const why = `Started by ${by}: ${reason}`;
  const begun: RolloutRecord = {
    operation,
    revision: record?.revision ?? 0,
    epoch: (record?.epoch ?? 0) + 1,
    plan,
    phase: "running",
    stage: 0,
    percentage: 0,
    pending: null,
    // A step of an earlier start may still be made, late.
    givenUp: record?.givenUp ?? null,
    stageSince: at,
    phaseSince: at,
    heldMs: 0,
    evidence: noEvidence,
    baseline: noEvidence.legacy,
    approval: null,
    skip: null,
    latchEpoch,
    why,
    by,
  };
  const { shadowPercentage } = stageOf(begun);
  return { record: begun, flag: { percentage: 0, shadowPercentage }, sentence: why };
}

function resume(record: RolloutRecord, world: CommandWorld): Commanded {
  const { nowMs, by, reason, operation } = world;
  requireArmed(world);
  const flag = requireFlag(world);
  if (!flag.enabled) {
    throw new CodedError(
      "ROLLOUT_FLAG_OFF",
      `The flag of ${operation} is off (${flag.origin}), and a rollout never switches one on. Abort it and start it again.`,
      { status: 409, details: { operation } },
    );
  }
  const exposed = exposureOf(flag);
  // What another leader announced is put back first; a person resumes what is there without it.
  const from = record.pending === null ? exposed : record.percentage;
  return told({
    ...resumeAt(record, from, nowMs),
    by,
    why: `Resumed at ${from} % by ${by}: ${reason}`,
  });
}

function abort(record: RolloutRecord, { nowMs, by, reason }: CommandWorld): Commanded {
  const ended = inPhase(giveUp(record), "aborted", nowMs);
  // If the flag cannot be set now, whoever leads takes what it still says for a late step, and puts it to 0.
  const givenUp = Math.max(ended.givenUp ?? 0, record.percentage) || null;
  const why = `Aborted by ${by}: ${reason}`;
  return {
    record: { ...ended, percentage: 0, givenUp, by, why },
    flag: { percentage: 0, shadowPercentage: 0 },
    sentence: why,
  };
}

/** The phases in which a command means something. */
const phases: Readonly<Record<Exclude<RolloutCommand, "start">, readonly RolloutPhase[]>> = {
  pause: ["running", "paused", "held"],
  resume: ["paused", "held"],
  approve: ["running", "paused", "held"],
  advance: ["running"],
  abort: ["running", "paused", "held", "complete"],
};

function requirePhase(
  command: Exclude<RolloutCommand, "start">,
  world: CommandWorld,
): RolloutRecord {
  const { record } = world;
  if (record !== null && phases[command].includes(record.phase)) return record;
  throw wrongState(command, world);
}

function wrongState(command: RolloutCommand, { operation, record }: CommandWorld): CodedError {
  const now = record === null ? "was never started" : `is ${record.phase}: ${record.why}`;
  return new CodedError(
    "ROLLOUT_WRONG_STATE",
    `The rollout of ${operation} cannot be told to ${command}: it ${now}`,
    { status: 409, details: { operation, command, phase: record?.phase ?? "idle" } },
  );
}

function requireArmed({ latch, operation }: CommandWorld): { readonly epoch: number } {
  if (latch !== null && !latch.tripped) return latch;
  const why =
    latch === null
      ? "it cannot be told whether its latch is tripped; look at the connection to the fleet"
      : `its latch is tripped (${latch.reason}); re-arm it first (changeover rearm ${operation})`;
  throw new CodedError("ROLLOUT_LATCHED", `${operation} cannot go on: ${why}.`, {
    status: 409,
    details: { operation },
  });
}

function requireFlag({ flag, operation }: CommandWorld): FlagState {
  if (flag !== null) return flag;
  throw new CodedError(
    "ROLLOUT_FLAG_UNREADABLE",
    `The flag of ${operation} cannot be read, so nothing is done with its rollout. Look at the flag system, and that the flag exists.`,
    { status: 503, retryable: true, details: { operation } },
  );
}

const noApproval = ({ operation, percentage }: RolloutRecord): CodedError =>
  new CodedError(
    "ROLLOUT_NO_APPROVAL",
    `The present stage of ${operation}, ${percentage} %, asks for no approval.`,
    { status: 409, details: { operation } },
  );
