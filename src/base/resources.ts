import type { Clock } from "./clock.ts";

/** How one resource's closing went. */
export interface CloseResult {
  readonly name: string;
  readonly result: "closed" | "failed" | "timed-out";
  readonly ms: number;
  readonly error?: unknown;
}

interface Open {
  readonly name: string;
  readonly close: () => Promise<void> | void;
  readonly timeoutMs: number;
}

/**
 * Remembers what was opened and closes it in reverse order, each within its own time limit: one part
 * that hangs or throws while closing cannot keep the others open.
 */
export class Resources {
  readonly #clock: Clock;
  readonly #open: Open[] = [];
  #closing: Promise<CloseResult[]> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds something to close later. `timeoutMs` (default 1000) bounds its closing. */
  add(name: string, close: () => Promise<void> | void, timeoutMs = 1000): void {
    this.#open.push({ name, close, timeoutMs });
  }

  /** Closes everything, the newest first. Later calls get the first call's results. Never rejects. */
  close(): Promise<CloseResult[]> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<CloseResult[]> {
    const results: CloseResult[] = [];
    for (let next = this.#open.pop(); next !== undefined; next = this.#open.pop()) {
      results.push(await this.#closeOne(next));
    }
    return results;
  }

  async #closeOne({ name, close, timeoutMs }: Open): Promise<CloseResult> {
    const startedMs = this.#clock.monotonicMs();
    const took = (): number => this.#clock.monotonicMs() - startedMs;
    const { promise: timedOut, resolve } = Promise.withResolvers<"timed-out">();
    const timer = this.#clock.after(timeoutMs, () => resolve("timed-out"));
    try {
      const closed = (async () => close())().then(() => "closed" as const);
      return { name, result: await Promise.race([closed, timedOut]), ms: took() };
    } catch (error) {
      return { name, result: "failed", ms: took(), error };
    } finally {
      timer.cancel();
    }
  }
}
