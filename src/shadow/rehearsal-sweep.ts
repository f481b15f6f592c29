import type { Clock, Timer } from "../base/clock.ts";
import type { AnyOperation, Rehearsal } from "../migration/operation.ts";

/** What a {@link RehearsalSweep} needs. */
export interface RehearsalSweepOptions {
  readonly clock: Clock;
  readonly report: (part: string, error: unknown) => void;
  /** Milliseconds after an operation was declared until its first sweep; default 1000. */
  readonly firstMs?: number;
  /** Milliseconds between two sweeps; default 180,000. */
  readonly everyMs?: number;
}

type Sweep = NonNullable<Rehearsal<never, never>["sweep"]>;

/** Has operations remove, soon after the start and every few minutes, what broken rehearsals left. */
export class RehearsalSweep {
  readonly #options: RehearsalSweepOptions;
  readonly #timers: Timer[] = [];
  readonly #running = new Map<AnyOperation, Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: RehearsalSweepOptions) {
    this.#options = options;
  }

  /** Sweeps for this operation from now on; does nothing for one that has nothing to sweep. */
  add(operation: AnyOperation): void {
    const { rehearse } = operation.definition;
    if (rehearse?.sweep === undefined || this.#closing.signal.aborted) return;
    const { clock, firstMs = 1000, everyMs = 180_000 } = this.#options;
    const sweep: Sweep = (signal) => rehearse.sweep?.(signal) ?? Promise.resolve(0);
    const start = (): void => this.#start(operation, sweep);
    this.#timers.push(clock.after(firstMs, start), clock.every(everyMs, start));
  }

  /** Breaks off what runs. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("The process is shutting down."));
    for (const timer of this.#timers.splice(0)) timer.cancel();
    await Promise.all(this.#running.values());
  }

  /** One at a time for each operation. */
  #start(operation: AnyOperation, sweep: Sweep): void {
    if (this.#running.has(operation)) return;
    const running = this.#sweep(sweep).finally(() => this.#running.delete(operation));
    this.#running.set(operation, running);
  }

  async #sweep(sweep: Sweep): Promise<void> {
    const { signal } = this.#closing;
    try {
      await sweep(signal);
    } catch (error) {
      if (!signal.aborted) this.#options.report("shadow", error);
    }
  }
}
