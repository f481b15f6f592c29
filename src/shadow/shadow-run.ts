import type { Clock } from "../base/clock.ts";
import { bodyOf, discardBody, drain } from "../migration/body.ts";
import type { ActiveCall } from "../migration/call.ts";
import {
  type AnyOperation,
  isVoidRehearsal,
  type RehearsalScope,
  voidRehearsal,
} from "../migration/operation.ts";
import type { Outcome, Succeeded } from "../migration/outcome.ts";
import { kindOf, run } from "../migration/run.ts";

/** What a shadow's run reports beside its outcome: errors of an operation's declarations. */
export type RunReport = (part: string, error: unknown) => void;

/**
 * Runs one path of a call as a shadow: a read for real, a write as its rehearsal and never otherwise.
 * Resolves when nothing of it is left; never rejects.
 */
export async function runShadow(
  operation: AnyOperation,
  input: unknown,
  call: ActiveCall,
  clock: Clock,
  report: RunReport,
): Promise<Outcome> {
  if (operation.definition.kind === "read") return runToEnd(operation, input, call, clock);
  let scope: RehearsalScope;
  try {
    scope = openScope(operation, input, call);
  } catch (error) {
    if (!isVoidRehearsal(error)) report("shadow", error);
    return voided(call, error);
  }
  try {
    const outcome = await run(onStage(operation, scope), input, call, clock);
    const isVoid = outcome.kind !== "succeeded" && isVoidRehearsal(outcome.error);
    return isVoid ? voided(call, outcome.error) : outcome;
  } finally {
    await close(scope, report);
  }
}

function openScope(operation: AnyOperation, input: unknown, call: ActiveCall): RehearsalScope {
  const { rehearse } = operation.definition;
  if (rehearse === undefined) throw voidRehearsal(`${operation.name} declares no rehearsal`);
  return rehearse.open(input, call);
}

/** The operation with its rehearsal in the place of both paths; load and latch are its own. */
function onStage(operation: AnyOperation, scope: RehearsalScope): AnyOperation {
  const { definition } = operation;
  const rehearsed = { ...definition, result: "value", legacy: scope.run, candidate: scope.run };
  return Object.create(operation, { definition: { value: rehearsed } }) as AnyOperation;
}

/** Like a run that was given up: it says nothing about the path. */
function voided({ path }: ActiveCall, error: unknown): Outcome {
  return { kind: "aborted", path, error, durationMs: 0, firstByteMs: null, bytes: 0 };
}

async function close(scope: RehearsalScope, report: RunReport): Promise<void> {
  try {
    await scope.close();
  } catch (error) {
    // What is left is found by the sweep.
    report("shadow", error);
  }
}

/**
 * Runs one path as a shadow, for a stream to the end of its body, which is hashed and thrown away. Never
 * rejects. When the call's signal aborts, a Node stream is destroyed; a web stream has to mind the signal.
 */
async function runToEnd(
  operation: AnyOperation,
  input: unknown,
  call: ActiveCall,
  clock: Clock,
): Promise<Outcome> {
  const startedMs = clock.monotonicMs();
  const outcome: Outcome = await run(operation, input, call, clock);
  if (outcome.kind !== "succeeded" || operation.definition.result !== "stream") return outcome;
  const load = operation.load[call.path];
  load.calls += 1;
  try {
    return await drained(operation, outcome, call, () => clock.monotonicMs() - startedMs);
  } finally {
    load.calls -= 1;
  }
}

async function drained(
  operation: AnyOperation,
  outcome: Succeeded<unknown>,
  call: ActiveCall,
  took: () => number,
): Promise<Outcome> {
  const { path, output } = outcome;
  const giveUp = (): void => discardBody(output);
  try {
    const body = bodyOf(output);
    if (body === null) return outcome;
    if (call.signal.aborted) giveUp();
    else call.signal.addEventListener("abort", giveUp, { once: true });
    const { bytes, digest } = await drain(body);
    return { ...outcome, durationMs: took(), bytes, digest };
  } catch (error) {
    const kind = kindOf(operation, call, error);
    return { kind, path, error, durationMs: took(), firstByteMs: null, bytes: 0 };
  } finally {
    call.signal.removeEventListener("abort", giveUp);
  }
}
