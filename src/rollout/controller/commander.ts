import { codeOf } from "../../base/errors.ts";
import type { FlagState } from "../../migration/flags.ts";
import { type Commanded, obey, type RolloutCommand } from "../commands.ts";
import type { RolloutRecord } from "../ports.ts";
import type { LeaderStatus, RolloutStatus } from "../status.ts";
import { within } from "../within.ts";
import type { World } from "../world.ts";
import { statusOf } from "./describe-status.ts";
import type { FlagSteps } from "./flag-steps.ts";
import type { RolloutControllerOptions } from "./product.ts";
import type { StepTaker } from "./step-taker.ts";
import type { WorldReader } from "./world-reader.ts";

/** Who tells a rollout something, and why. */
export interface RolloutChange {
  readonly by: string;
  readonly reason: string;
}

/** What a command did, or would do. */
export interface RolloutReport {
  readonly operation: string;
  readonly command: RolloutCommand;
  /** False for a dry run. */
  readonly done: boolean;
  /** One sentence. */
  readonly sentence: string;
  /** The flag as it is set by the command; null: it is left alone. */
  readonly flag: { readonly percentage: number; readonly shadowPercentage: number } | null;
  readonly status: RolloutStatus;
}

/** What commands are carried out with, beside the controller's own options. */
export interface CommanderOptions
  extends Pick<RolloutControllerOptions, "product" | "plan" | "store" | "clock" | "fleet"> {
  readonly flags: FlagSteps;
  readonly reader: WorldReader;
  readonly steps: StepTaker;
  readonly timeoutMs: number;
  readonly leader: () => LeaderStatus | null;
}

/** Tries of one command against a leader that writes at the same time. */
const triesMax = 3;

/** Carries out what a person tells a rollout: in any process, whoever leads. */
export class Commander {
  readonly #options: CommanderOptions;

  constructor(options: CommanderOptions) {
    this.#options = options;
  }

  /** With `dryRun` it only says what would be done. Rejects with `ROLLOUT_…`. */
  async command(
    command: RolloutCommand,
    operation: string,
    change: RolloutChange,
    dryRun: boolean,
  ): Promise<RolloutReport> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#command(command, operation, change, dryRun);
      } catch (error) {
        // The leader wrote at the same time: what is stored now decides.
        if (codeOf(error) !== "ROLLOUT_CONFLICT" || attempt === triesMax) throw error;
      }
    }
  }

  async #command(
    command: RolloutCommand,
    name: string,
    { by, reason }: RolloutChange,
    dryRun: boolean,
  ): Promise<RolloutReport> {
    const { product, plan, store, clock, reader } = this.#options;
    const operation = product.operations().find((each) => each.name === name);
    const kind = operation?.kind ?? "read";
    const [record, flag, latch] = await Promise.all([
      this.#within("the rollout store", store.read(name)),
      reader.flag(name),
      this.#latchOf(name),
    ]);
    const nowMs = clock.now();
    const facts = { flag, latch, nowMs, operation: name, record, by, reason };
    const commanded = obey(command, { ...facts, plan: plan.of(name, kind) });
    if (!dryRun) await this.#carryOut(command, commanded, { by, reason }, record);
    const status = await this.#statusAfter(commanded.record, flag);
    const { sentence } = commanded;
    return { operation: name, command, done: !dryRun, sentence, flag: commanded.flag, status };
  }

  async #carryOut(
    command: RolloutCommand,
    { record, flag }: Commanded,
    change: RolloutChange,
    before: RolloutRecord | null,
  ): Promise<void> {
    const { store, flags, steps, product, reader } = this.#options;
    const { operation } = record;
    // A start at 0 % harms nobody without its record; an end must be known before the flag moves.
    if (command === "start" && flag !== null) {
      await flags.start(operation, flag.shadowPercentage, change);
    }
    await this.#within("the rollout store", store.save(record, null));
    if (command === "start") {
      product.beginPeriod(operation);
      reader.beginPeriod(operation);
    }
    await steps.journal(record, {
      actor: { type: "person", name: change.by },
      from: before === null ? "idle" : `${before.phase}, ${before.percentage} %`,
      to: `${record.phase}, ${record.percentage} %`,
      why: `${command}: ${change.reason}`,
      evidence: { command, epoch: record.epoch, stage: record.stage },
    });
    if (command === "abort" && flag !== null) {
      await flags.lower(operation, 0, change);
      await flags.shadow(operation, 0, change);
    }
  }

  async #latchOf(name: string): Promise<World["latch"]> {
    const { fleet, product } = this.#options;
    const operation = product.operations().find((each) => each.name === name);
    if (fleet === null) return operation?.latch ?? { tripped: false, epoch: 0, reason: "" };
    try {
      const latches = await this.#within("the fleet's latches", fleet.load());
      return (
        latches.find((each) => each.operation === name) ?? { tripped: false, epoch: 0, reason: "" }
      );
    } catch {
      return null;
    }
  }

  async #statusAfter(record: RolloutRecord, flag: FlagState | null): Promise<RolloutStatus> {
    const { why } = record;
    const step = { kind: "wait", record, from: null, to: null, gates: [], why } as const;
    const { clock, product } = this.#options;
    const { shadowable = false } =
      product.operations().find(({ name }) => name === record.operation) ?? {};
    const world = {
      record,
      nowMs: clock.now(),
      passedMs: 0,
      flag,
      latch: null,
      instances: null,
      judged: { kind: "inconclusive", sentence: "" },
      counted: null,
      drilledMs: null,
      reached: new Map<string, number>(),
      shadowable,
      leaseEpoch: -1,
    } as const;
    return statusOf({ world, step }, this.#options.leader());
  }

  #within<T>(what: string, work: Promise<T>): Promise<T> {
    return within(this.#options.clock, this.#options.timeoutMs, what, work);
  }
}
