import type { Clock, Timer } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { Fleet, FleetLatch, InstanceReport, Quorum } from "../../migration/fleet.ts";
import type { AnyOperation } from "../../migration/operation.ts";

/** What a member of a fleet works with. */
export interface FleetMemberOptions {
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly operations: () => readonly AnyOperation[];
  /** What this process tells the others every second. */
  readonly describe: () => InstanceReport;
  /** The flag of an operation gives another percentage: what is healthy is judged anew. */
  readonly beginPeriod: (operation: string) => void;
  /** Enough instances have latched an operation: it is rolled back for all. */
  readonly quorumMet: (operation: AnyOperation, quorum: Quorum) => void;
  /** Milliseconds after a start until the fleet's latches are no longer waited for; default 5,000. */
  readonly waitMs?: number;
}

const beatMs = 1000;
/** Milliseconds until a report or a question that gets no answer is given up, so that the next may be sent. */
const answerMs = 5000;
/** By whom this process's latch is tripped and re-armed when the fleet's is. */
const byFleet = { type: "system", name: "fleet" } as const;

/**
 * This process as one of many. It takes over the fleet's latches, tells the others every second what it
 * counted, and, while its own latch is tripped by its own evidence, asks every second whether enough others
 * have latched, too. A fleet that cannot be reached costs no call anything.
 */
export class FleetMember {
  readonly #options: FleetMemberOptions;
  readonly #timers: Timer[] = [];
  /** The fleet's latches by operation, as they were last heard of. */
  readonly #latches = new Map<string, FleetLatch>();
  /** Epochs of own trips that the fleet has been told. */
  readonly #published = new Map<string, number>();
  readonly #percentages = new Map<string, number | null>();
  readonly #busy = new Set<string>();
  #decided = false;
  #reachable = true;
  #closed = false;

  constructor(options: FleetMemberOptions) {
    this.#options = options;
    options.fleet.latches.subscribe((latch) => this.#hear(latch));
  }

  /** The fleet answered when it was last asked. */
  get reachable(): boolean {
    return this.#reachable;
  }

  /**
   * Begins: everything stays on legacy until the fleet's latches are known, or cannot be waited for any
   * longer. Resolves when the first reading ended, well or not.
   */
  async start(): Promise<void> {
    const { clock, waitMs = 5000, logger, fleet } = this.#options;
    for (const operation of this.#options.operations()) operation.undecided = true;
    const timer = clock.after(waitMs, () => {
      if (this.#decided) return;
      logger.error(
        { waitMs },
        "The fleet's latches cannot be read: this process goes by its own latches and the flags",
      );
      this.#decide();
    });
    this.#timers.push(
      timer,
      clock.every(beatMs, () => this.beat()),
    );
    await this.#load();
    fleet.start();
  }

  /** Takes an operation into account that was declared after the start. */
  add(operation: AnyOperation): void {
    operation.undecided = !this.#decided;
    const latch = this.#latches.get(operation.name);
    if (latch !== undefined) this.#takeOver(operation, latch);
    operation.latch.changed.subscribe((record) => {
      if (!record.tripped) void this.#publish(operation);
    });
  }

  /** Once a second: report, and ask for the quorum of what is latched here. */
  beat(): void {
    const { fleet, describe, operations } = this.#options;
    if (!this.#decided) void this.#load();
    const report = describe();
    this.#followFlags(report);
    void this.#once("report", () => fleet.report(report));
    for (const operation of operations()) {
      if (this.#speaksAlone(operation)) void this.#ask(operation);
    }
  }

  /** Stops; the fleet itself is its owner's to close. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
  }

  #followFlags({ operations }: InstanceReport): void {
    for (const { operation, percentage } of operations) {
      const before = this.#percentages.get(operation);
      this.#percentages.set(operation, percentage);
      if (before !== undefined && before !== percentage) this.#options.beginPeriod(operation);
    }
  }

  /** Tripped by its own evidence, and the fleet is not latched: as far as is known here. */
  #speaksAlone({ name, latch }: AnyOperation): boolean {
    if (!latch.tripped || latch.record?.by.type !== "rule") return false;
    return this.#latches.get(name)?.tripped !== true;
  }

  async #ask(operation: AnyOperation): Promise<void> {
    const { fleet, quorumMet } = this.#options;
    const { name, latch } = operation;
    const known = this.#published.get(name) === latch.epoch;
    const quorum = known
      ? await this.#once(`quorum ${name}`, () => fleet.quorum(name))
      : await this.#publish(operation);
    if (quorum?.met === true && this.#speaksAlone(operation)) quorumMet(operation, quorum);
  }

  async #publish({ name, latch }: AnyOperation): Promise<Quorum | null> {
    const { record } = latch;
    if (record === null) return null;
    const quorum = await this.#once(`publish ${name}`, () => this.#options.fleet.publish(record));
    if (quorum !== null) this.#published.set(name, record.epoch);
    return quorum;
  }

  async #load(): Promise<void> {
    const latches = await this.#once("load", () => this.#options.fleet.load());
    if (latches === null) return;
    for (const latch of latches) this.#hear(latch);
    this.#decide();
  }

  #decide(): void {
    this.#decided = true;
    for (const operation of this.#options.operations()) operation.undecided = false;
  }

  #hear(latch: FleetLatch): void {
    const before = this.#latches.get(latch.operation);
    if (before !== undefined && before.epoch > latch.epoch) return;
    this.#latches.set(latch.operation, latch);
    const operation = this.#options.operations().find(({ name }) => name === latch.operation);
    if (operation === undefined) return;
    if (before?.tripped === true && !latch.tripped) this.#rearm(operation, latch);
    else this.#takeOver(operation, latch);
  }

  #takeOver(operation: AnyOperation, latch: FleetLatch): void {
    const { clock, logger } = this.#options;
    if (!latch.tripped) {
      // Re-armed while this process was not there: what the fleet had tripped here, it re-arms.
      const { record } = operation.latch;
      const theirs = record?.by.type === "system" && record.by.name === byFleet.name;
      if (theirs && Number(record.evidence["fleetEpoch"]) <= latch.epoch) {
        this.#rearm(operation, latch);
      }
      return;
    }
    if (!operation.hasLegacy) return;
    const tripped = operation.latch.trip({
      by: byFleet,
      reason: `${latch.reason} (${latch.by.type} ${latch.by.name}, for all instances)`.slice(
        0,
        1000,
      ),
      evidence: { ...latch.evidence, fleetEpoch: latch.epoch },
      at: new Date(clock.now()).toISOString(),
    });
    const fields = { operation: operation.name, fleetEpoch: latch.epoch, reason: latch.reason };
    if (tripped) logger.warn(fields, "Rolled back with the whole fleet");
  }

  #rearm(operation: AnyOperation, { by, reason, epoch }: FleetLatch): void {
    const { clock, logger } = this.#options;
    const at = new Date(clock.now()).toISOString();
    const evidence = { fleetEpoch: epoch };
    const why = `${reason} (${by.type} ${by.name}, for all instances)`.slice(0, 1000);
    if (operation.latch.rearm({ by: byFleet, reason: why, evidence, at })) {
      logger.warn(
        { operation: operation.name, fleetEpoch: epoch },
        "Re-armed with the whole fleet",
      );
    }
  }

  /** One of a kind at a time; null: it failed, or the one before has had no answer yet. */
  async #once<T>(what: string, work: () => Promise<T>): Promise<T | null> {
    if (this.#busy.has(what) || this.#closed) return null;
    const { clock } = this.#options;
    this.#busy.add(what);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = clock.after(answerMs, () => reject(new Error(`no answer within ${answerMs} ms`)));
    try {
      const working = work();
      working.catch(() => undefined);
      const answer = await Promise.race([working, late]);
      this.#note(null, what);
      return answer;
    } catch (error) {
      this.#note(error, what);
      return null;
    } finally {
      timer.cancel();
      this.#busy.delete(what);
    }
  }

  /** Said when it changes, and not every second. */
  #note(error: unknown, what: string): void {
    const { logger } = this.#options;
    const reachable = error === null;
    if (reachable === this.#reachable || this.#closed) return;
    this.#reachable = reachable;
    if (reachable) logger.warn({}, "The fleet can be reached again");
    else logger.error({ what, reason: toError(error).message }, "The fleet cannot be reached");
  }
}
