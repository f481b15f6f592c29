import type { Clock, Timer } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import { exitCodes } from "../exit-codes.ts";

/**
 * Two signals closer together than this are one: `npm start` passes on a Ctrl-C that the terminal has
 * already sent to the whole process group.
 */
const SAME_SIGNAL_MS = 300;
/** How long a command may go on after it was told to stop, unless it asked for longer. */
const STOP_LIMIT_MS = 2500;

/**
 * What the user does to end the program. The first Ctrl-C or SIGTERM aborts `signal`; the second one,
 * or a command that does not stop in time, ends the process at once.
 */
export class Interruption {
  readonly #clock: Clock;
  readonly #exit: (code: number) => void;
  readonly #controller = new AbortController();
  #limitMs = STOP_LIMIT_MS;
  #lastMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  /** `exit` ends the process; default `process.exit`. */
  constructor(clock: Clock, exit: (code: number) => void = (code) => process.exit(code)) {
    this.#clock = clock;
    this.#exit = exit;
  }

  /** Aborts with `CLI_INTERRUPTED` or `CLI_TERMINATED`. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Gives the running command `ms` milliseconds to stop in place of the default 2500. */
  allow(ms: number): void {
    this.#limitMs = ms;
  }

  /** Starts to listen to signals, and to the end of a process that started this one for its user. */
  listen(signals: Pick<NodeJS.EventEmitter, "on"> = process): void {
    signals.on("SIGINT", () => this.#interrupt("SIGINT"));
    signals.on("SIGTERM", () => this.#interrupt("SIGTERM"));
    signals.on("SIGHUP", () => this.#interrupt("SIGTERM"));
    signals.on("disconnect", () => this.#interrupt("SIGTERM"));
    // The channel to that process must not keep this one alive.
    process.channel?.unref();
  }

  /** The command has ended: signals from now on find nothing to stop. */
  ended(): void {
    this.#timer?.cancel();
  }

  #interrupt(name: "SIGINT" | "SIGTERM"): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lastMs < SAME_SIGNAL_MS) return;
    this.#lastMs = nowMs;
    const { code } = name === "SIGINT" ? exitCodes.interrupted : exitCodes.terminated;
    const endNow = (): void => this.#exit(code);
    if (this.signal.aborted) {
      endNow();
      return;
    }
    this.#timer = this.#clock.after(this.#limitMs, endNow);
    this.#controller.abort(interruptedBy(name));
  }
}

function interruptedBy(name: "SIGINT" | "SIGTERM"): CodedError {
  return name === "SIGINT"
    ? new CodedError("CLI_INTERRUPTED", "Interrupted.", { status: 499 })
    : new CodedError("CLI_TERMINATED", "Ended by a signal.", { status: 499 });
}
