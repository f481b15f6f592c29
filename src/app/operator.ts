import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import type {
  Changeover,
  MismatchCase,
  Replay,
  RollbackReport,
  VitestOptions,
} from "../changeover.ts";
import type { Path } from "../migration/call.ts";
import type { FlagControl, FlagState } from "../migration/flags.ts";
import type { JournalEntry, JournalQuery } from "../migration/journal.ts";
import { describeFault, type Fault, type FaultSwitch } from "../rehearsal/faults.ts";
import type { RolloutCommand } from "../rollout/commands.ts";
import type { RolloutReport } from "../rollout/controller/commander.ts";
import type { RolloutController } from "../rollout/controller/controller.ts";
import type { RolloutStatus } from "../rollout/status.ts";
import type {
  Control,
  ControlChange,
  ControlReport,
  Explanation,
  MismatchEntry,
} from "./control.ts";
import { overallVerdict } from "./take-snapshot.ts";

/** What an operator's commands work on. */
export interface OperatorParts {
  readonly changeover: Changeover;
  readonly faults: FaultSwitch;
  /** Left out: no rollout is led from here. */
  readonly rollout?: Pick<RolloutController, "status" | "command">;
  readonly clock: Clock;
}

/** An operator's hands: every change is made through the ports and written to the journal. */
export class Operator implements Control {
  readonly #parts: OperatorParts;

  constructor(parts: OperatorParts) {
    this.#parts = parts;
  }

  async setFlag(
    operation: string,
    values: { readonly percentage?: number; readonly shadow?: number },
    change: ControlChange,
  ): Promise<FlagState> {
    const name = this.#nameOf(operation);
    const control = this.#flagControl();
    const { percentage, shadow } = values;
    const before = await control.read(name);
    let after = before;
    if (percentage !== undefined) after = await control.setPercentage(name, percentage, change);
    if (shadow !== undefined) after = await control.setShadow(name, shadow, change);
    await this.#journal(name, "flag", change, describe(before), describe(after));
    return after;
  }

  async rollBack(operation: string, change: ControlChange): Promise<ControlReport> {
    const name = this.#nameOf(operation);
    const by = { type: "person", name: change.by } as const;
    const report = await this.#parts.changeover.rollBack(name, { by, reason: change.reason });
    return this.#report(report);
  }

  rollBackAll(change: ControlChange): Promise<readonly ControlReport[]> {
    const { operations } = this.#parts.changeover;
    return Promise.all(operations.map(({ name }) => this.rollBack(name, change)));
  }

  async rearm(operation: string, change: ControlChange): Promise<ControlReport> {
    const name = this.#nameOf(operation);
    const by = { type: "person", name: change.by } as const;
    const report = await this.#parts.changeover.rearm(name, { by, reason: change.reason });
    return this.#report(report);
  }

  rollouts(operation?: string): readonly RolloutStatus[] {
    const { changeover, rollout } = this.#parts;
    const names =
      operation === undefined
        ? changeover.operations.map(({ name }) => name)
        : [this.#nameOf(operation)];
    return rollout === undefined ? [] : names.map((name) => rollout.status(name));
  }

  async commandRollout(
    operation: string,
    command: RolloutCommand,
    change: ControlChange,
    dryRun = false,
  ): Promise<RolloutReport> {
    const { rollout } = this.#parts;
    if (rollout !== undefined) {
      return rollout.command(command, this.#nameOf(operation), change, dryRun);
    }
    throw new CodedError(
      "ROLLOUT_NOT_LED",
      "This process leads no rollouts. Send the command to one that was started with changeover start.",
      { status: 409 },
    );
  }

  async setFault(
    path: Path,
    fault: Partial<Fault>,
    change: ControlChange = { by: "operator", reason: "set over the control API" },
  ): Promise<Fault> {
    const { faults, changeover } = this.#parts;
    const before = describeFault(faults.current[path]);
    const set = faults.set(path, fault);
    const after = describeFault(set);
    if (after === before) return set;
    const what = after === null ? `no fault in ${path} any more` : `fault in ${path}: ${after}`;
    const told = { ...change, reason: `${change.reason} (${what})` };
    // Whoever reads one operation's history must see why it misbehaved.
    const names = changeover.operations.map(({ name }) => name);
    const used = names.filter((name) => path === "legacy" || this.#runsCandidate(name));
    const where = used.length === 0 ? names : used;
    await Promise.all(where.map((name) => this.#journal(name, "fault", told, null, null)));
    return set;
  }

  /** The flag lets the candidate run, for callers or in the shadow. */
  #runsCandidate(operation: string): boolean {
    const flag = this.#parts.changeover.flags.state(operation);
    return flag?.enabled === true && (flag.percentage > 0 || flag.shadowPercentage > 0);
  }

  mismatches(): readonly MismatchEntry[] {
    return this.#parts.changeover.mismatches();
  }

  mismatch(id: string): MismatchCase {
    return this.#parts.changeover.cases.show(id);
  }

  replayMismatch(id: string): Promise<Replay> {
    return this.#parts.changeover.cases.replay(id);
  }

  exportMismatch(id: string, options?: VitestOptions): string {
    return this.#parts.changeover.cases.exportVitest(id, options);
  }

  explain(operation: string, key: string): Explanation {
    const name = this.#nameOf(operation);
    const { changeover } = this.#parts;
    const { decision, input } = changeover.explain(name, key);
    return {
      operation: name,
      key,
      ...decision,
      bucket: changeover.flags.bucket?.(name, key) ?? null,
      flag: changeover.flags.state(name),
      latch: changeover.operations.find((each) => each.name === name)?.latch.record ?? null,
      verdict: overallVerdict(changeover, name),
      input,
    };
  }

  journal(query: JournalQuery): Promise<readonly JournalEntry[]> {
    const { operation, ...rest } = query;
    const named = operation === undefined ? {} : { operation: this.#nameOf(operation) };
    return this.#parts.changeover.journal.read({ ...rest, ...named });
  }

  /** The full name of an operation given in full or by its last part. */
  #nameOf(operation: string): string {
    const names = this.#parts.changeover.operations.map(({ name }) => name);
    const found = names.filter((name) => name === operation || name.endsWith(`.${operation}`));
    if (found.length === 1 && found[0] !== undefined) return found[0];
    throw new CodedError(
      "MIGRATION_UNKNOWN_OPERATION",
      `There is no operation "${operation.slice(0, 80)}". Known: ${names.join(", ")}.`,
      { status: 404 },
    );
  }

  #flagControl(): FlagControl {
    const { control, kind } = this.#parts.changeover.flags;
    if (control !== null) return control;
    throw new CodedError(
      "FLAGS_READ_ONLY",
      `Flags from the source "${kind}" cannot be changed from here; change them where they are kept.`,
      { status: 409 },
    );
  }

  #report({ operation, result, steps }: RollbackReport): ControlReport {
    return {
      operation,
      complete: result === "complete",
      steps: steps.map(({ name, result: done, ms, error }) => ({
        name,
        result: done,
        ms,
        detail: error,
      })),
      flag: this.#parts.changeover.flags.state(operation),
    };
  }

  #journal(
    operation: string,
    kind: JournalEntry["kind"],
    change: ControlChange,
    from: string | null,
    to: string | null,
  ): Promise<void> {
    const { changeover, clock } = this.#parts;
    return changeover.journal.append({
      at: new Date(clock.now()).toISOString(),
      operation,
      kind,
      actor: { type: "person", name: change.by },
      from,
      to,
      why: change.reason,
      evidence: {},
    });
  }
}

const describe = ({ enabled, percentage, shadowPercentage }: FlagState): string =>
  `${enabled ? "on" : "off"} ${percentage} %, shadow ${shadowPercentage} %`;
