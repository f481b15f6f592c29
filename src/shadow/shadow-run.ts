import type { Clock } from "../base/clock.ts";
import { bodyOf, discardBody, drain } from "../migration/body.ts";
import type { ActiveCall } from "../migration/call.ts";
import type { AnyOperation } from "../migration/operation.ts";
import type { Outcome, Succeeded } from "../migration/outcome.ts";
import { kindOf, run } from "../migration/run.ts";

/**
 * Runs one path as a shadow, for a stream to the end of its body, which is hashed and thrown away. Never
 * rejects. When the call's signal aborts, a Node stream is destroyed; a web stream has to mind the signal.
 */
export async function runToEnd(
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
