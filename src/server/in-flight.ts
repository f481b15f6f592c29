import type { Clock } from "../base/clock.ts";
import type { Exchange } from "./exchange.ts";

/** The exchanges that have not ended, so that a stop can wait for them. */
export class InFlight {
  readonly #exchanges = new Map<Exchange, number>();
  #waiting: (() => void)[] = [];

  get size(): number {
    return this.#exchanges.size;
  }

  /**
   * Holds an exchange open until the returned function is called. It is held twice, by its response
   * and by its work, because either may outlast the other.
   */
  hold(exchange: Exchange): () => void {
    this.#exchanges.set(exchange, (this.#exchanges.get(exchange) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#letGo(exchange);
    };
  }

  /** Waits until nothing is in flight, for `ms` milliseconds at most. */
  async idle(clock: Clock, ms: number): Promise<boolean> {
    if (this.size === 0) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.after(ms, resolve);
    this.#waiting.push(resolve);
    await promise;
    timer.cancel();
    return this.size === 0;
  }

  abortAll(reason: unknown): void {
    for (const exchange of this.#exchanges.keys()) exchange.abort(reason);
  }

  #letGo(exchange: Exchange): void {
    const holds = (this.#exchanges.get(exchange) ?? 1) - 1;
    if (holds > 0) {
      this.#exchanges.set(exchange, holds);
      return;
    }
    this.#exchanges.delete(exchange);
    if (this.size > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
