import type { Clock } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import type { FlagChange, FlagControl, FlagState, FlagWriteLimits } from "../../migration/flags.ts";
import { within } from "../within.ts";
import { exposureOf } from "../world.ts";

/** A controller never switches a flag on, not even one that was switched off a moment ago. */
const bySystem: FlagWriteLimits = { mayEnable: false };

/** Writes a rollout's steps to the flag system, each within its time and read back. */
export class FlagSteps {
  readonly #control: FlagControl | null;
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  constructor(control: FlagControl | null, clock: Clock, timeoutMs: number) {
    this.#control = control;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Moves a flag from one percentage to another, if it still is on and there: whoever changed it since it
   * was last read is not overruled. Rejects with `ROLLOUT_FLAG_MOVED`, and with what the control rejects.
   */
  async move(operation: string, from: number, to: number, change: FlagChange): Promise<FlagState> {
    const control = this.#require();
    const before = await this.#within(control.read(operation));
    if (!before.enabled || before.percentage !== from) throw moved(operation, from, before);
    const after = await this.#within(control.setPercentage(operation, to, change, bySystem));
    if (exposureOf(after) !== to) throw moved(operation, to, after);
    return after;
  }

  /** Sets a flag down. A flag that is lower already, or off, is left alone. */
  async lower(operation: string, to: number, change: FlagChange): Promise<void> {
    const control = this.#require();
    const before = await this.#within(control.read(operation));
    if (exposureOf(before) <= to) return;
    await this.#within(control.setPercentage(operation, to, change, bySystem));
  }

  /** Switches a flag on at 0 %, with its shadow: the start of a rollout, a person's act. */
  async start(operation: string, shadowPercentage: number, change: FlagChange): Promise<void> {
    const control = this.#require();
    await this.#within(control.setPercentage(operation, 0, change));
    await this.#within(control.setShadow(operation, shadowPercentage, change));
  }

  async shadow(operation: string, percentage: number, change: FlagChange): Promise<void> {
    await this.#within(this.#require().setShadow(operation, percentage, change));
  }

  async switchOff(operation: string, change: FlagChange): Promise<void> {
    await this.#within(this.#require().switchOff(operation, change));
  }

  #within<T>(work: Promise<T>): Promise<T> {
    return within(this.#clock, this.#timeoutMs, "the flag system", work);
  }

  #require(): FlagControl {
    if (this.#control !== null) return this.#control;
    throw new CodedError(
      "ROLLOUT_FLAGS_READ_ONLY",
      "These flags cannot be changed from here, so no rollout can walk. Configure a flag source that can be written.",
      { status: 409 },
    );
  }
}

function moved(
  operation: string,
  expected: number,
  { enabled, percentage }: FlagState,
): CodedError {
  return new CodedError(
    "ROLLOUT_FLAG_MOVED",
    `The flag of ${operation} is ${enabled ? `at ${percentage} %` : "off"} and not at ${expected} %: somebody else changed it. The rollout holds.`,
    { status: 409, retryable: true, details: { operation, expected } },
  );
}
