import { randomUUID } from "node:crypto";
import { type Clock, sleep } from "../base/clock.ts";
import { CodedError, codeOf } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { ListenSession, PostgresPool } from "./pool.ts";

/** What a listener needs. */
export interface LatchListenerOptions {
  readonly pool: PostgresPool;
  readonly clock: Clock;
  readonly random: Random;
  /** Something may have changed: a notification came, or the connection stands anew. */
  readonly onHint: () => void;
  readonly report: (part: string, error: unknown) => void;
  /** Milliseconds that a notification to oneself may take; default 2,000. */
  readonly probeTimeoutMs?: number;
  /** Milliseconds between two looks whether the connection still lives; default 2,000. */
  readonly heartbeatMs?: number;
  /** Milliseconds until an answer to such a look; default 2,000. */
  readonly heartbeatTimeoutMs?: number;
  /** Milliseconds of the longest wait between two tries to connect; default 2,000, the first is 100. */
  readonly retryMaxMs?: number;
  /** Milliseconds until notifications are tried again where they did not come through; default 30,000. */
  readonly lostRetryMs?: number;
}

/**
 * A connection that does nothing but listen, and is made anew when it breaks. It counts as connected only
 * after a notification sent through the pool has come back on it, and while it answers: a pooler in
 * transaction mode swallows notifications, a cut cable says nothing.
 */
export class LatchListener {
  readonly #options: Required<LatchListenerOptions>;
  readonly #stopped = new AbortController();
  #session: ListenSession | null = null;
  #connected = false;
  #problem: unknown = null;
  #running: Promise<void> | null = null;
  #probe: { readonly token: string; readonly arrived: () => void } | null = null;

  constructor(options: LatchListenerOptions) {
    this.#options = {
      probeTimeoutMs: 2000,
      heartbeatMs: 2000,
      heartbeatTimeoutMs: 2000,
      retryMaxMs: 2000,
      lostRetryMs: 30_000,
      ...options,
    };
  }

  /** A notification would be heard. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Why it is not connected, if it ever tried. */
  get problem(): unknown {
    return this.#problem;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    this.#session?.destroy();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, random, report, retryMaxMs, lostRetryMs } = this.#options;
    const { signal } = this.#stopped;
    let waitMs = 100;
    while (!signal.aborted) {
      const error = await this.#listen(() => {
        waitMs = 100;
      });
      this.#connected = false;
      if (signal.aborted) return;
      // Once for each kind of trouble: the same line every two seconds would hide everything else.
      if (codeOf(error) !== codeOf(this.#problem)) report("fleet", error);
      this.#problem = error;
      const lost = codeOf(error) === "POSTGRES_NOTIFY_LOST";
      const jittered = waitMs * (0.5 + random.next() / 2);
      await sleep(clock, lost ? lostRetryMs : jittered, signal).catch(() => undefined);
      waitMs = Math.min(retryMaxMs, waitMs * 2);
    }
  }

  /** Listens until the connection breaks, and says why it did. */
  async #listen(onConnected: () => void): Promise<unknown> {
    const { pool, onHint } = this.#options;
    try {
      const session = await pool.listen((channel, payload) => {
        if (channel === "changeover_latch") onHint();
        else if (payload === this.#probe?.token) this.#probe.arrived();
      });
      this.#session = session;
      if (this.#stopped.signal.aborted) return null;
      await session.query("LISTEN changeover_latch; LISTEN changeover_probe");
      await this.#proveNotifications(session);
      this.#connected = true;
      this.#problem = null;
      onConnected();
      // What was announced while nobody listened is in the table.
      onHint();
      return await this.#whileAlive(session);
    } catch (error) {
      return error;
    } finally {
      this.#session?.destroy();
      this.#session = null;
    }
  }

  /** Through the pool, as the announcement of another instance would come. */
  async #proveNotifications(session: ListenSession): Promise<void> {
    const { pool, probeTimeoutMs } = this.#options;
    const token = randomUUID();
    const { promise: arrived, resolve } = Promise.withResolvers<"arrived">();
    this.#probe = { token, arrived: () => resolve("arrived") };
    await pool.query("SELECT pg_notify('changeover_probe', $1)", [token]);
    const outcome = await this.#within(probeTimeoutMs, [arrived, session.ended]);
    if (outcome === "arrived") return;
    if (outcome !== "late") throw broken(pool.address, outcome);
    throw new CodedError(
      "POSTGRES_NOTIFY_LOST",
      `A notification sent to Postgres at ${pool.address} did not come back within ${probeTimeoutMs} ms, so rollbacks of other instances are only seen every few seconds. A pooler in transaction mode swallows them: use a direct connection or session mode.`,
      { status: 503, retryable: true },
    );
  }

  async #whileAlive(session: ListenSession): Promise<unknown> {
    const { pool, heartbeatMs, heartbeatTimeoutMs } = this.#options;
    for (;;) {
      const end = await this.#within(heartbeatMs, [session.ended]);
      if (end !== "late") return broken(pool.address, end);
      const beat = session.query("SELECT 1").then(() => "alive" as const);
      const answer = await this.#within(heartbeatTimeoutMs, [beat, session.ended]);
      if (answer !== "alive") return broken(pool.address, answer);
    }
  }

  async #within<T>(ms: number, work: readonly Promise<T>[]): Promise<T | "late"> {
    const { promise: late, resolve } = Promise.withResolvers<"late">();
    const timer = this.#options.clock.after(ms, () => resolve("late"));
    try {
      return await Promise.race([...work, late]);
    } finally {
      timer.cancel();
    }
  }
}

const broken = (address: string, cause: unknown): CodedError =>
  new CodedError(
    "POSTGRES_UNAVAILABLE",
    `The listening connection to Postgres at ${address} broke or stopped answering. It is made anew by itself.`,
    { status: 503, retryable: true, cause },
  );
