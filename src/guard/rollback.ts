import { CodedError } from "../base/errors.ts";
import type { Actor } from "../migration/journal.ts";
import type { AnyOperation } from "../migration/operation.ts";
import { isOff, type RollbackPorts, type RollbackReport, Steps } from "./rollback-steps.ts";

export type { RollbackPorts, RollbackReport } from "./rollback-steps.ts";

/** What is rolled back, by whom and why. */
export interface RollbackRequest {
  readonly operation: AnyOperation;
  readonly by: Actor;
  readonly reason: string;
  readonly evidence?: Readonly<Record<string, unknown>>;
  /**
   * `fleet` (default): every route is taken. `instance`: this process's own evidence; it latches itself, and
   * goes on only when enough instances have latched.
   */
  readonly scope?: "fleet" | "instance";
}

/**
 * Brings every caller of an operation back to legacy: latch; then, at the same time, the broadcast to the
 * other instances and the flag, which is read back; journal. Then it lets candidate calls that still run come
 * to their end. Any one of latch, broadcast and flag is enough for the calls it reaches. Idempotent, and
 * never throws: the report says of each step what it came to, and `done` is only said of the flag when the
 * flag system confirmed it. Where legacy was removed the latch is `failed` with `GUARD_NO_LEGACY`: nothing
 * can take the calls.
 */
export async function rollBack(
  request: RollbackRequest,
  ports: RollbackPorts,
): Promise<RollbackReport> {
  const { operation, by, reason, evidence = {} } = request;
  const { clock, logger } = ports;
  const run = new Steps(ports);
  const change = { by, reason, evidence, at: run.at };
  const latched = await run.step("latch", async () => {
    if (operation.hasLegacy) return operation.latch.trip(change) ? "done" : "already";
    throw new CodedError(
      "GUARD_NO_LEGACY",
      `Legacy was removed from ${operation.name}, so nothing can take its calls back. Deploy a version that has it.`,
      { status: 409 },
    );
  });
  const endMs = clock.monotonicMs() + (ports.deadlineMs ?? 30_000);
  const alone = request.scope === "instance" ? await run.missingQuorum(operation) : null;
  if (alone === null) {
    const wasLatched = latched.result === "already";
    await Promise.all([
      run.withFleet(endMs, async (fleet) => {
        await fleet.trip(operation.name, { by, reason, evidence });
        return "done";
      }),
      switchOff(run, request, endMs, wasLatched),
    ]);
  } else {
    for (const name of ["broadcast", "flag", "read-back"] as const)
      run.note(name, "skipped", alone);
  }
  const { epoch } = operation.latch;
  await run.journal({
    at: run.at,
    operation: operation.name,
    kind: "rollback",
    actor: by,
    from: "candidate",
    to: "legacy",
    why: reason,
    evidence: {
      ...evidence,
      epoch,
      scope: alone === null ? "fleet" : "instance",
      steps: run.steps,
    },
  });
  await run.drain(operation);
  const report = run.report(operation.name, epoch);
  const fields = { operation: operation.name, epoch, ms: report.ms, steps: report.steps };
  if (alone !== null) logger.error(fields, "This process alone rolled back to legacy");
  else if (report.result === "complete") logger.warn(fields, "Rolled back to legacy");
  else logger.error(fields, "Rolled back in this process, but a step of the rollback failed");
  return report;
}

/** Switches the flag off and reads it back. */
async function switchOff(
  run: Steps,
  { operation, by, reason }: RollbackRequest,
  endMs: number,
  wasLatched: boolean,
): Promise<void> {
  const change = { by: by.name, reason };
  const offBefore = wasLatched && (await run.isOff(operation.name));
  const flag = await run.withControl("flag", endMs, async (control) => {
    await control.switchOff(operation.name, change);
    return offBefore ? "already" : "done";
  });
  if (flag.result === "failed" || flag.result === "skipped") {
    run.note("read-back", "skipped", "the flag was not switched off");
    return;
  }
  await run.withControl("read-back", endMs, async (control) => {
    const state = await control.read(operation.name);
    if (isOff(state)) return "done";
    // Somebody, or an old replica, says that it is still on: say it once more and look again.
    await control.switchOff(operation.name, change);
    throw new CodedError(
      "GUARD_FLAG_STILL_ON",
      `The flag of ${operation.name} still gives ${state.percentage} % to the candidate after it was switched off.`,
      { retryable: true, status: 502 },
    );
  });
}

/** Who re-arms what. Only a person does. */
export interface RearmRequest {
  readonly operation: AnyOperation;
  /** The person's name. */
  readonly by: string;
  readonly reason: string;
}

/**
 * Clears the latch, and the hold that the rollback put on the flag. The percentage stays 0 until a person
 * sets it: a rollback of all callers whose flag could not be switched off then is made good first, and
 * while that cannot be done nothing is re-armed. Never throws; the report says what was done.
 */
export async function rearm(request: RearmRequest, ports: RollbackPorts): Promise<RollbackReport> {
  const { operation, by, reason } = request;
  const run = new Steps(ports);
  const actor: Actor = { type: "person", name: by };
  const safe = !operation.latch.tripped || (await flagIsOff(run, request, ports));
  if (safe) await clear(run, request, ports);
  else run.note("latch", "skipped", "the flag would send callers to the candidate at once");
  const { epoch } = operation.latch;
  await run.journal({
    at: run.at,
    operation: operation.name,
    kind: "rearm",
    actor,
    from: "tripped",
    to: safe ? "armed" : "tripped",
    why: reason,
    evidence: { epoch, steps: run.steps },
  });
  const report = run.report(operation.name, epoch);
  const fields = { operation: operation.name, epoch, by, steps: report.steps };
  ports.logger.warn(fields, safe ? "Re-armed" : "Not re-armed: the flag is not off");
  return report;
}

async function clear(
  run: Steps,
  { operation, by, reason }: RearmRequest,
  ports: RollbackPorts,
): Promise<void> {
  const actor: Actor = { type: "person", name: by };
  await run.step("latch", () =>
    Promise.resolve(operation.latch.rearm({ by: actor, reason, at: run.at }) ? "done" : "already"),
  );
  const endMs = ports.clock.monotonicMs() + (ports.deadlineMs ?? 30_000);
  await Promise.all([
    run.withFleet(endMs, async (fleet) => {
      await fleet.rearm(operation.name, { by: actor, reason });
      return "done";
    }),
    run.withControl("release-hold", endMs, async (control) => {
      await control.releaseHold(operation.name, { by, reason });
      return "done";
    }),
  ]);
}

/**
 * Makes sure that nobody goes to the candidate when the latch is cleared, where all callers were rolled
 * back. Where only this process was, the others' share is its own too.
 */
async function flagIsOff(
  run: Steps,
  { operation, by, reason }: RearmRequest,
  { control, fleet = null }: RollbackPorts,
): Promise<boolean> {
  if (control === null || (await run.isOff(operation.name))) return true;
  if (fleet !== null && !(await run.fleetIsLatched(operation.name))) return true;
  const step = await run.step("flag", async () => {
    await control.switchOff(operation.name, { by, reason });
    // Whoever has not looked at the flags since would follow the old ones.
    await run.flagIsFollowed(operation.name);
    return "done";
  });
  return step.result !== "failed";
}
