import type { Clock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { TypedEvent } from "../../src/base/event.ts";
import {
  type Fleet,
  type FleetChange,
  type FleetLatch,
  type InstanceReport,
  type InstanceStatus,
  type Quorum,
  quorumNeeded,
  quorumWindowMs,
} from "../../src/migration/fleet.ts";
import type { LatchRecord } from "../../src/migration/latch.ts";

const liveMs = 5000;

/** A fleet in one process's memory: what its members share. */
export class MemoryFleetHub {
  readonly #clock: Clock;
  readonly #latches = new Map<string, FleetLatch>();
  readonly #reports = new Map<string, { report: InstanceReport; seenMs: number }>();
  readonly #trips = new Map<string, { tripped: boolean; atMs: number }>();
  readonly #members = new Map<string, MemoryFleet>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  member(instance: string): MemoryFleet {
    const member = new MemoryFleet(this, instance);
    this.#members.set(instance, member);
    return member;
  }

  latches(): readonly FleetLatch[] {
    return [...this.#latches.values()];
  }

  report(instance: string, report: InstanceReport): void {
    this.#reports.set(instance, { report, seenMs: this.#clock.monotonicMs() });
  }

  publish(instance: string, { operation, tripped }: LatchRecord): Quorum {
    const atMs = this.#clock.monotonicMs();
    this.#trips.set(`${operation} ${instance}`, { tripped, atMs });
    return this.quorum(operation);
  }

  set(operation: string, tripped: boolean, { by, reason, evidence = {} }: FleetChange): FleetLatch {
    const before = this.#latches.get(operation);
    if (before?.tripped === tripped && tripped) return before;
    const epoch = (before?.epoch ?? 0) + (tripped ? 1 : 0);
    const at = new Date(this.#clock.now()).toISOString();
    const latch = { operation, tripped, epoch, at, by, reason, evidence };
    this.#latches.set(operation, latch);
    if (!tripped) {
      for (const key of this.#trips.keys()) {
        if (key.startsWith(`${operation} `)) this.#trips.delete(key);
      }
    }
    for (const member of this.#members.values()) member.hear(latch);
    return latch;
  }

  quorum(operation: string): Quorum {
    const nowMs = this.#clock.monotonicMs();
    const live = this.instances().filter((each) => each.live).length;
    const latched = [...this.#trips].filter(
      ([key, { tripped, atMs }]) =>
        key.startsWith(`${operation} `) && tripped && nowMs - atMs < quorumWindowMs,
    ).length;
    const needed = quorumNeeded(live);
    return { live, latched, needed, met: latched >= needed };
  }

  instances(): readonly InstanceStatus[] {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#reports].map(([instance, { report, seenMs }]) => ({
      ...report,
      instance,
      seenAt: new Date(this.#clock.now()).toISOString(),
      live: nowMs - seenMs < liveMs,
    }));
  }
}

/** One member, which can be cut off from the others. */
export class MemoryFleet implements Fleet {
  readonly instance: string;
  readonly latches: TypedEvent<FleetLatch> = new TypedEvent("fleet.latches", () => undefined);
  /** Nothing reaches the others, and nothing of theirs arrives. */
  cutOff = false;
  readonly #hub: MemoryFleetHub;
  #started = false;

  constructor(hub: MemoryFleetHub, instance: string) {
    this.#hub = hub;
    this.instance = instance;
  }

  get connected(): boolean {
    return this.#started && !this.cutOff;
  }

  load(): Promise<readonly FleetLatch[]> {
    return this.#reach(() => this.#hub.latches());
  }

  start(): void {
    this.#started = true;
  }

  report(report: InstanceReport): Promise<void> {
    return this.#reach(() => this.#hub.report(this.instance, report));
  }

  publish(latch: LatchRecord): Promise<Quorum> {
    return this.#reach(() => this.#hub.publish(this.instance, latch));
  }

  trip(operation: string, change: FleetChange): Promise<FleetLatch> {
    return this.#reach(() => this.#hub.set(operation, true, change));
  }

  rearm(operation: string, change: FleetChange): Promise<FleetLatch> {
    return this.#reach(() => this.#hub.set(operation, false, change));
  }

  quorum(operation: string): Promise<Quorum> {
    return this.#reach(() => this.#hub.quorum(operation));
  }

  instances(): Promise<readonly InstanceStatus[]> {
    return this.#reach(() => this.#hub.instances());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  hear(latch: FleetLatch): void {
    if (this.connected) this.latches.emit(latch);
  }

  /** Comes back after it was cut off: what was missed is told now. */
  reconnect(): void {
    this.cutOff = false;
    for (const latch of this.#hub.latches()) this.hear(latch);
  }

  async #reach<T>(work: () => T): Promise<T> {
    if (!this.cutOff) return work();
    throw new CodedError("TEST_FLEET_CUT_OFF", "The fleet cannot be reached.", { retryable: true });
  }
}
