import { addEvidence, addPath, noEvidence } from "./evidence.ts";
import { askGates } from "./gates.ts";
import type { RolloutPhase, RolloutRecord } from "./ports.ts";
import { exposureOf, type Step, type World } from "./world.ts";

/*
 * One step of a rollout: a pure function from what was read to what is to be done. What it keeps to:
 *
 *   - exposure rises by one stage, from exactly what the record says, when every gate is passed; nothing
 *     else raises it, and a flag is never switched on;
 *   - a step is announced in the record before the flag is touched. Whoever finds an announced step of
 *     another lease puts the flag back: of two controllers the lower state holds;
 *   - a tripped latch ends the rollout, also one that was re-armed meanwhile;
 *   - a flag that says something else than the record was changed by hand: hold until a person resumes.
 */

/** What a pause between two looks may add to the time a stage was held, in milliseconds. */
const passedMsMax = 5000;
/** How late after the end of a rollout one of its steps is still taken for its own, in milliseconds. */
const lateMsMax = 600_000;

/** Decides the next step. Throws nothing but for a record whose stage does not exist. */
export function advance(world: World): Step {
  const { record } = world;
  if (record.phase === "rolled-back") return afterRollback(world);
  if (record.phase === "aborted") return afterAbort(world);
  const fallen = rolledBack(world) ?? lateStep(world) ?? drift(world);
  if (fallen !== null) return fallen;
  if (record.phase !== "running") return still(world, "wait", record.why);
  return walk(world);
}

function walk(world: World): Step {
  const counted: World = { ...world, record: count(world) };
  const gates = askGates(counted);
  const holding = gates.find(({ state }) => state === "holding");
  if (holding !== undefined) {
    // What was counted stays counted; the time on hold does not count towards the stage.
    const record = { ...counted.record, heldMs: world.record.heldMs };
    return { kind: "hold", record, from: null, to: null, gates, why: holding.sentence };
  }
  const waiting = gates.find(({ state }) => state === "waiting");
  const { record } = counted;
  if (waiting !== undefined) {
    return { kind: "wait", record, from: null, to: null, gates, why: waiting.sentence };
  }
  const next = record.plan.stages[record.stage + 1];
  if (next === undefined) {
    const why = `The last stage, ${record.percentage} %, was passed.`;
    const done = { ...inPhase(record, "complete", world.nowMs), why };
    return { kind: "complete", record: done, from: null, to: null, gates, why };
  }
  const why = `Every gate of ${record.percentage} % is passed.`;
  const pending = {
    from: record.percentage,
    to: next.percentage,
    stage: record.stage + 1,
    leaseEpoch: world.leaseEpoch,
  };
  const announced = { ...record, pending, why };
  return { kind: "raise", record: announced, from: pending.from, to: pending.to, gates, why };
}

/** Adds what was counted, and the time, to the stage. */
function count({ record, passedMs, counted }: World): RolloutRecord {
  const passed = Math.min(Math.max(0, passedMs), passedMsMax);
  return {
    ...record,
    heldMs: record.heldMs + passed,
    evidence: counted === null ? record.evidence : addEvidence(record.evidence, counted),
  };
}

function rolledBack(world: World): Step | null {
  const { record, latch, nowMs } = world;
  if (latch === null || (!latch.tripped && latch.epoch <= record.latchEpoch)) return null;
  const why = `Rolled back: ${latch.reason}`.slice(0, 500);
  const fallen: RolloutRecord = {
    ...inPhase(giveUp(record), "rolled-back", nowMs),
    percentage: 0,
    latchEpoch: Math.max(record.latchEpoch, latch.epoch),
    why,
  };
  return { kind: "rolled-back", record: fallen, from: record.percentage, to: 0, gates: [], why };
}

/** The latch keeps callers on legacy; the flag must say so too, whoever touched it since. */
function afterRollback(world: World): Step {
  const { record, flag, latch } = world;
  const exposed = flag === null ? 0 : exposureOf(flag);
  if (exposed > 0 && latch?.tripped === true) {
    const why = `The flag says ${exposed} % although the operation is rolled back.`;
    return { kind: "switch-off", record, from: exposed, to: 0, gates: [], why };
  }
  return afterAbort(world);
}

/** It ended at 0 %: a step that was announced before may still be made, late, and is taken back. */
function afterAbort(world: World): Step {
  return lateStep(world) ?? still(world, "wait", world.record.why);
}

/** Settles a step that was announced, by this leader or another one. */
function lateStep(world: World): Step | null {
  const { record, flag } = world;
  const { pending, givenUp } = record;
  if (pending === null) {
    if (flag === null || givenUp === null) return null;
    const exposed = exposureOf(flag);
    return isLate(world, exposed, givenUp) ? lower(record, exposed) : null;
  }
  if (flag === null)
    return still(world, "hold", "A step was announced, and the flag cannot be read.");
  const exposed = exposureOf(flag);
  const mine = pending.leaseEpoch === world.leaseEpoch && record.phase === "running";
  if (exposed === pending.to && mine) return enter(world, pending.stage, pending.to);
  const given = giveUp(record);
  if (exposed === pending.to) return lower(given, exposed);
  const why = `The step to ${pending.to} % was announced and not made.`;
  return still(world, "wait", why, { ...given, why });
}

/**
 * After its end a rollout must not fight people for ever: a flag that is set by hand to one of its stages
 * later than that is theirs.
 */
function isLate({ record, nowMs }: World, exposed: number, givenUp: number): boolean {
  const ended = record.phase === "aborted" || record.phase === "rolled-back";
  if (ended && nowMs - Date.parse(record.phaseSince) > lateMsMax) return false;
  const announced = record.plan.stages.some(({ percentage }) => percentage === exposed);
  return announced && exposed > record.percentage && exposed <= givenUp;
}

function enter({ record, nowMs }: World, stage: number, percentage: number): Step {
  const at = new Date(nowMs).toISOString();
  const why = `Entered ${percentage} %.`;
  const late = record.givenUp !== null && record.givenUp > percentage;
  const entered: RolloutRecord = {
    ...record,
    stage,
    percentage,
    pending: null,
    givenUp: late ? record.givenUp : null,
    stageSince: at,
    heldMs: 0,
    evidence: noEvidence,
    baseline: addPath(record.baseline, record.evidence.legacy),
    approval: null,
    skip: null,
    why,
  };
  const from = record.percentage;
  return { kind: "enter", record: entered, from, to: percentage, gates: [], why };
}

function lower(record: RolloutRecord, exposed: number): Step {
  const why = `A step to ${exposed} % that had been given up was made late; back to ${record.percentage} %.`;
  const to = record.percentage;
  return { kind: "lower", record: { ...record, why }, from: exposed, to, gates: [], why };
}

function drift(world: World): Step | null {
  const { record, flag, nowMs } = world;
  if (flag === null || record.phase === "held") return null;
  const exposed = exposureOf(flag);
  const off = !flag.enabled && record.percentage === 0;
  if (exposed === record.percentage && !off) return null;
  // After its end a rollout only follows what people do.
  if (record.phase === "complete") return null;
  const said = flag.enabled ? `${flag.percentage} %` : "off";
  const why = `The flag is ${said} (${flag.origin}), and the rollout had it at ${record.percentage} %: somebody changed it by hand. Resume to go on from what it says, or abort.`;
  const held = { ...inPhase(record, "held", nowMs), why };
  return { kind: "hold", record: held, from: null, to: null, gates: [], why };
}

/** Nothing is done; `record` is what is written down of it, if anything. */
function still(world: World, kind: "wait" | "hold", why: string, record = world.record): Step {
  return { kind, record, from: null, to: null, gates: [], why };
}

/** An announced step is no longer expected. */
export function giveUp(record: RolloutRecord): RolloutRecord {
  const { pending, givenUp } = record;
  return pending === null
    ? record
    : { ...record, pending: null, givenUp: Math.max(pending.to, givenUp ?? 0) };
}

/** The same record in another phase, since now. */
export function inPhase(record: RolloutRecord, phase: RolloutPhase, nowMs: number): RolloutRecord {
  return { ...record, phase, phaseSince: new Date(nowMs).toISOString() };
}

/** The record of a rollout that a person resumes at what the flag says: evidence and hold begin again. */
export function resumeAt(record: RolloutRecord, exposed: number, nowMs: number): RolloutRecord {
  const at = new Date(nowMs).toISOString();
  const stage = Math.max(
    0,
    record.plan.stages.findLastIndex(({ percentage }) => percentage <= exposed),
  );
  const moved = exposed !== record.percentage;
  const resumed = inPhase(giveUp(record), "running", nowMs);
  if (!moved) return { ...resumed, stage: record.stage };
  return {
    ...resumed,
    stage,
    percentage: exposed,
    stageSince: at,
    heldMs: 0,
    evidence: noEvidence,
    approval: null,
    skip: null,
  };
}
