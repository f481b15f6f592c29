import type { Timer } from "../../base/clock.ts";
import { codeOf } from "../../base/errors.ts";
import { type InstanceStatus, quorumNeeded } from "../../migration/fleet.ts";
import type { Actor } from "../../migration/journal.ts";
import { advance } from "../advance.ts";
import type { RolloutCommand } from "../commands.ts";
import { Leadership } from "../leadership.ts";
import type { LeaseHold, RolloutRecord } from "../ports.ts";
import type { LeaderStatus, RolloutStatus } from "../status.ts";
import { within } from "../within.ts";
import { Commander, type RolloutChange, type RolloutReport } from "./commander.ts";
import { idleStatus, type Looked, statusOf } from "./describe-status.ts";
import { FlagSteps } from "./flag-steps.ts";
import type { RolloutControllerOptions, RolloutOperation } from "./product.ts";
import { StepTaker } from "./step-taker.ts";
import { type Look, WorldReader } from "./world-reader.ts";

/** Milliseconds after which the progress of a stage is written down although nothing else changed. */
const keepEveryMs = 5000;

/** Progress that is not written down yet, on top of a record that is. */
interface Progress {
  readonly record: RolloutRecord;
  readonly keptMs: number;
}

/**
 * Walks every operation's rollout, one step at most in each look, as long as this process leads; else it only
 * watches. Everything that matters is in the store, so that any process can go on where another stopped.
 */
export class RolloutController {
  readonly #options: RolloutControllerOptions;
  readonly #leadership: Leadership;
  readonly #reader: WorldReader;
  readonly #steps: StepTaker;
  readonly #commander: Commander;
  readonly #timeoutMs: number;
  readonly #progress = new Map<string, Progress>();
  readonly #looked = new Map<string, Looked>();
  readonly #rollbacks = new Set<string>();
  /** How an operation's last step failed: said once, and not every second. */
  readonly #failed = new Map<string, string>();
  #records: readonly RolloutRecord[] = [];
  #instances: readonly InstanceStatus[] = [];
  #timer: Timer | null = null;
  #ticking: Promise<void> | null = null;
  #problem: string | null = null;
  #closed = false;

  constructor(options: RolloutControllerOptions) {
    const { lease, holder, clock, control, timeoutMs = 3000 } = options;
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    this.#leadership = new Leadership(lease, holder, clock);
    this.#reader = new WorldReader(options);
    const flags = new FlagSteps(control, clock, timeoutMs);
    this.#steps = new StepTaker({
      ...options,
      flags,
      timeoutMs,
      mayWrite: () => this.#leadership.hold !== null,
      beginPeriod: (operation) => this.#reader.beginPeriod(operation),
    });
    this.#commander = new Commander({
      ...options,
      flags,
      timeoutMs,
      reader: this.#reader,
      steps: this.#steps,
      leader: () => this.#leader(),
    });
  }

  /** Begins to look every second. */
  start(): void {
    const { clock, everyMs = 1000 } = this.#options;
    this.#timer ??= clock.every(everyMs, () => void this.tick());
  }

  /** The instances of the fleet at the last look; empty without a fleet. */
  get instances(): readonly InstanceStatus[] {
    return this.#instances;
  }

  /** One operation's rollout as of the last look. */
  status(operation: string): RolloutStatus {
    const { product, plan } = this.#options;
    const looked = this.#looked.get(operation);
    const leader = this.#leader();
    if (looked !== undefined) {
      const status = statusOf(looked, leader);
      return this.#problem === null ? status : { ...status, why: `${this.#problem} ${status.why}` };
    }
    const kind = product.operations().find(({ name }) => name === operation)?.kind ?? "read";
    const percentage = product.flag(operation)?.percentage ?? null;
    const idle = { ...idleStatus(operation, plan.of(operation, kind), percentage), leader };
    return this.#problem === null ? idle : { ...idle, why: this.#problem };
  }

  /** One look at everything, and one step at most. A look under way is shared. Never rejects. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = null;
    });
    return this.#ticking;
  }

  /**
   * Carries out a person's command, wherever this process stands: who leads sees it at the next look.
   * With `dryRun` it only says what would be done. Rejects with `ROLLOUT_…`.
   */
  command(
    command: RolloutCommand,
    operation: string,
    change: RolloutChange,
    dryRun = false,
  ): Promise<RolloutReport> {
    return this.#commander.command(command, operation, change, dryRun);
  }

  /** Stops looking, waits for a step under way, and lets another process lead. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#ticking;
    const hold = this.#leadership.hold;
    if (hold !== null) await this.#keepAll(hold);
    await this.#leadership.release();
    await this.#options.store.close();
  }

  async #tick(): Promise<void> {
    const { logger } = this.#options;
    try {
      await (this.#options.mayLead === false ? this.#leadership.look() : this.#leadership.keep());
      this.#records = await this.#within("the rollout store", this.#options.store.load());
      this.#problem = null;
    } catch (error) {
      // Nothing is known of the others: nothing is done until they can be asked again.
      if (this.#problem === null) logger.warn({ err: error }, "Rollouts stand still");
      this.#problem = "The rollout store cannot be reached, so nothing moves.";
      return;
    }
    const look = await this.#reader.look();
    this.#instances = look.fleet?.instances ?? this.#instances;
    const hold = this.#leadership.hold;
    if (hold !== null) this.#judgeFleet(look);
    const worlds = await Promise.all(
      this.#options.product.operations().map((each) => this.#lookAt(each, look, hold)),
    );
    await this.#take(worlds.filter((each) => each !== null));
  }

  /** What is known of one operation now, and what is to be done about it; null without a rollout. */
  async #lookAt(
    operation: RolloutOperation,
    look: Look,
    hold: LeaseHold | null,
  ): Promise<Looked | null> {
    const { product } = this.#options;
    const stored = this.#records.find((each) => each.operation === operation.name);
    if (stored === undefined) return null;
    product.setComplete(operation.name, stored.phase === "complete");
    const progress = this.#progress.get(operation.name)?.record;
    const record = hold !== null && progress?.revision === stored.revision ? progress : stored;
    // Who only watches does not ask the flag system every second.
    const flag =
      hold === null ? product.flag(operation.name) : await this.#reader.flag(operation.name);
    const reached = new Map(
      this.#records.map((each) => [
        each.operation,
        each.phase === "rolled-back" || each.phase === "aborted" ? 0 : each.percentage,
      ]),
    );
    const leaseEpoch = hold?.epoch ?? -1;
    const world = await this.#reader.world(operation, record, flag, { look, reached, leaseEpoch });
    const looked = { world, step: advance(world) };
    this.#looked.set(operation.name, looked);
    return looked;
  }

  /** Takes the steps: all those that go down or stand still, and one that goes up. */
  async #take(looks: readonly Looked[]): Promise<void> {
    const { clock, logger } = this.#options;
    const ups = looks.filter(({ step }) => step.kind === "raise");
    const downs = looks.filter(({ step }) => step.kind !== "raise");
    for (const looked of [...downs, ...ups.slice(0, 1)]) {
      const hold = this.#leadership.hold;
      if (hold === null || this.#closed) return;
      const { operation } = looked.world.record;
      try {
        if (this.#isOnlyProgress(looked)) {
          this.#remember(looked.step.record);
          continue;
        }
        const record = await this.#steps.take(looked, hold);
        this.#failed.delete(operation);
        this.#progress.set(operation, { record, keptMs: clock.monotonicMs() });
        const { world, step } = looked;
        this.#looked.set(operation, { world, step: { ...step, record } });
      } catch (error) {
        // The next look reads what became of it, and settles it.
        this.#progress.delete(operation);
        const failure = `${looked.step.kind} ${codeOf(error) ?? "unknown"}`;
        if (this.#failed.get(operation) === failure) continue;
        this.#failed.set(operation, failure);
        logger.warn({ operation, step: looked.step.kind, err: error }, "A rollout step failed");
      }
    }
  }

  #isOnlyProgress({ world, step }: Looked): boolean {
    if (step.kind !== "wait" && step.kind !== "hold") return false;
    const { record: before } = world;
    const { record: after, kind } = step;
    if (before === after) return true;
    if (before.phase !== after.phase || before.pending !== after.pending) return false;
    const keptMs = this.#progress.get(before.operation)?.keptMs;
    if (keptMs === undefined) return true;
    return kind === "hold" || this.#options.clock.monotonicMs() - keptMs < keepEveryMs;
  }

  #remember(record: RolloutRecord): void {
    const known = this.#progress.get(record.operation);
    const same = known?.record.revision === record.revision;
    const keptMs = known !== undefined && same ? known.keptMs : this.#options.clock.monotonicMs();
    this.#progress.set(record.operation, { record, keptMs });
  }

  async #keepAll(hold: LeaseHold): Promise<void> {
    const { store } = this.#options;
    const open = [...this.#progress.values()].filter(({ record }) => record.phase === "running");
    await Promise.allSettled(
      open.map(({ record }) => this.#within("the rollout store", store.save(record, hold))),
    );
  }

  /** A breach of the pooled counts, or a quorum of latched instances, rolls the whole fleet back. */
  #judgeFleet(look: Look): void {
    if (look.fleet === null) return;
    for (const operation of this.#options.product.operations()) {
      const latch = this.#reader.latch(operation, look);
      if (latch === null || latch.tripped) continue;
      const verdict = this.#reader.pooledVerdict(operation.name);
      if (verdict?.kind === "breached" && verdict.action === "rollback") {
        const { rule, observed, limit, samples, sentence } = verdict;
        const evidence = { rule, observed, limit, samples, scope: "fleet" };
        const by: Actor = { type: "rule", name: `fleet-${rule}` };
        this.#rollBack(operation.name, by, `All instances together: ${sentence}`, evidence);
        continue;
      }
      const latched = (look.fleet.instances ?? []).filter(
        (each) =>
          each.live &&
          each.operations.some((one) => one.operation === operation.name && one.latched),
      );
      if (latched.length > 0) void this.#askQuorum(operation.name);
    }
  }

  async #askQuorum(operation: string): Promise<void> {
    const { fleet, logger } = this.#options;
    if (fleet === null) return;
    try {
      const quorum = await this.#within("the fleet", fleet.quorum(operation));
      if (!quorum.met || quorum.needed < quorumNeeded(quorum.live)) return;
      const { latched, live, needed } = quorum;
      const reason = `${latched} of ${live} live instances latched it; ${needed} speak for all.`;
      this.#rollBack(operation, { type: "rule", name: "quorum" }, reason, { ...quorum });
    } catch (error) {
      logger.warn({ operation, err: error }, "The quorum of latched instances cannot be read");
    }
  }

  /** Begun and not waited for: a flag system that hangs must not keep the other operations. */
  #rollBack(
    operation: string,
    by: Actor,
    reason: string,
    evidence: Readonly<Record<string, unknown>>,
  ): void {
    if (this.#rollbacks.has(operation)) return;
    this.#rollbacks.add(operation);
    void this.#options.product
      .rollBack(operation, { by, reason, evidence })
      .catch((error: unknown) => {
        this.#options.logger.error({ operation, err: error }, "A fleet-wide rollback failed");
      })
      .finally(() => this.#rollbacks.delete(operation));
  }

  #leader(): LeaderStatus | null {
    const { leader, hold } = this.#leadership;
    if (leader === null) return null;
    return { holder: leader.holder, epoch: leader.epoch, self: hold !== null };
  }

  #within<T>(what: string, work: Promise<T>): Promise<T> {
    return within(this.#options.clock, this.#timeoutMs, what, work);
  }
}
