import type { Clock, Timer } from "../base/clock.ts";
import { CodedError, codeOf } from "../base/errors.ts";
import { TypedEvent } from "../base/event.ts";
import { type Random, systemRandom } from "../base/random.ts";
import type {
  Fleet,
  FleetChange,
  FleetLatch,
  InstanceReport,
  InstanceStatus,
  Quorum,
} from "../migration/fleet.ts";
import type { LatchRecord } from "../migration/latch.ts";
import { FleetLatches } from "./fleet-latches.ts";
import { InstanceReports } from "./instance-reports.ts";
import { LatchListener, type LatchListenerOptions } from "./latch-listener.ts";
import type { PostgresPool } from "./pool.ts";
import type { OperationTotals } from "./totals.ts";

/** What a fleet on Postgres needs. */
export interface PostgresFleetOptions {
  readonly pool: PostgresPool;
  /** This instance's name: unique in the fleet, 1 to 80 characters. */
  readonly instance: string;
  readonly clock: Clock;
  readonly report: (part: string, error: unknown) => void;
  readonly random?: Random;
  /** Milliseconds between two readings of all latches, whether anything was heard or not; default 5,000. */
  readonly rereadMs?: number;
  /** Limits of the listening connection. */
  readonly listener?: Pick<
    LatchListenerOptions,
    "probeTimeoutMs" | "heartbeatMs" | "heartbeatTimeoutMs" | "retryMaxMs" | "lostRetryMs"
  >;
}

/**
 * The other instances, by way of Postgres. A latch of the fleet is a row; each change is announced with
 * `NOTIFY` and read from the table, so that nothing depends on a message: the table is also read whenever
 * the listening connection stands anew, and every `rereadMs`.
 */
export class PostgresFleet implements Fleet {
  readonly instance: string;
  readonly latches: TypedEvent<FleetLatch>;
  readonly #options: PostgresFleetOptions;
  readonly #table: FleetLatches;
  readonly #reports: InstanceReports;
  readonly #listener: LatchListener;
  readonly #known = new Map<string, FleetLatch>();
  #publishing: Promise<unknown> = Promise.resolve();
  #reading: Promise<void> | null = null;
  #readAgain = false;
  #readProblem: unknown = null;
  /** The code of the trouble that was told of; it may have begun before the listener was connected. */
  #toldCode: string | null = null;
  #reread: Timer | null = null;
  #closed = false;

  /** Throws `CONFIG_INVALID` for a name that cannot be one. */
  constructor(options: PostgresFleetOptions) {
    const { pool, clock, report, instance } = options;
    if (!/^[\x21-\x7e]{1,80}$/.test(instance)) {
      throw new CodedError(
        "CONFIG_INVALID",
        `The name ${JSON.stringify(instance.slice(0, 100))} of this instance is not accepted: use 1 to 80 printable ASCII characters without spaces.`,
        { status: 400 },
      );
    }
    this.instance = instance;
    this.#options = options;
    this.latches = new TypedEvent("fleet.latches", report);
    this.#table = new FleetLatches(pool);
    this.#reports = new InstanceReports(pool, instance, () => clock.now());
    this.#listener = new LatchListener({
      ...{ pool, clock, report, random: options.random ?? systemRandom },
      onHint: () => this.#look(),
      ...options.listener,
    });
  }

  get connected(): boolean {
    return this.#listener.connected && this.#readProblem === null;
  }

  /** Why `connected` is false, as a coded error; null while it is true, and before the first try. */
  get problem(): unknown {
    return this.#listener.problem ?? this.#readProblem;
  }

  async load(): Promise<readonly FleetLatch[]> {
    const latches = await this.#table.read();
    const listening = this.#reread !== null;
    for (const latch of latches) {
      // Whoever reads first in a process that listens must not keep it from the others there.
      if (listening) this.#announce(latch);
      else this.#isNews(latch);
    }
    return latches;
  }

  start(): void {
    if (this.#reread !== null || this.#closed) return;
    this.#reread = this.#options.clock.every(this.#options.rereadMs ?? 5000, () => this.#look());
    this.#listener.start();
  }

  report(report: InstanceReport): Promise<void> {
    return this.#reports.report(report);
  }

  publish(latch: LatchRecord): Promise<Quorum> {
    // One after the other: a re-arming must not be overtaken by the trip before it.
    const result = this.#publishing.then(() => this.#reports.publish(latch));
    this.#publishing = result.catch(() => undefined);
    return result;
  }

  async trip(operation: string, change: FleetChange): Promise<FleetLatch> {
    return this.#announce(await this.#table.trip(operation, change));
  }

  async rearm(operation: string, change: FleetChange): Promise<FleetLatch> {
    return this.#announce(await this.#table.rearm(operation, change));
  }

  quorum(operation: string): Promise<Quorum> {
    return this.#reports.quorum(operation);
  }

  instances(): Promise<readonly InstanceStatus[]> {
    return this.#reports.instances();
  }

  /**
   * What all instances together have counted, for each operation: of those that are gone too, and over
   * restarts, so it never goes down. Rejects like every other method.
   */
  totals(): Promise<readonly OperationTotals[]> {
    return this.#reports.totals();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#reread?.cancel();
    await this.#listener.close();
    await this.#reading;
  }

  /** Reads the table, once more if something is heard meanwhile. */
  #look(): void {
    this.#readAgain = true;
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = null;
    });
  }

  async #readAll(): Promise<void> {
    while (this.#readAgain && !this.#closed) {
      this.#readAgain = false;
      try {
        for (const latch of await this.#table.read()) this.#announce(latch);
        this.#readProblem = null;
        this.#toldCode = null;
      } catch (error) {
        this.#readProblem = error;
        // The listener tells of an outage, once; the next look is a few seconds away.
        const code = codeOf(error) ?? "unknown";
        if (!this.#listener.connected || code === this.#toldCode) continue;
        this.#toldCode = code;
        this.#options.report("fleet", error);
      }
    }
  }

  #announce(latch: FleetLatch): FleetLatch {
    if (!this.#closed && this.#isNews(latch)) this.latches.emit(latch);
    return latch;
  }

  /** A trip begins an epoch and a re-arming ends it; what is older than the known is late, not news. */
  #isNews(latch: FleetLatch): boolean {
    const known = this.#known.get(latch.operation);
    const isNewer = orderOf(latch) > (known === undefined ? orderOf(armed) : orderOf(known));
    if (isNewer) this.#known.set(latch.operation, latch);
    return isNewer;
  }
}

const armed = { epoch: 0, tripped: false };

const orderOf = ({ epoch, tripped }: Pick<FleetLatch, "epoch" | "tripped">): number =>
  2 * epoch + (tripped ? 0 : 1);
