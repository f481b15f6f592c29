import { answerOf, type Observation } from "../migration/observation.ts";
import type { Held } from "../migration/operation.ts";
import type { SkipReason } from "./budget.ts";

/** What rehearsals keep from going away after their callers have been answered, within a limit. */
export class HeldBytes {
  readonly #max: number;
  readonly #report: (part: string, error: unknown) => void;
  #bytes = 0;

  constructor(max: number, report: (part: string, error: unknown) => void) {
    this.#max = max;
    this.#report = report;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Whatever a rehearsal needs must outlive the answer, so it is taken before there is one. Null where
   * nothing need be kept; a reason where the call cannot be shadowed for it.
   */
  take(observation: Observation): Held | SkipReason | null {
    const { definition, shadowable } = observation.operation;
    const { rehearse } = definition;
    if (definition.kind === "read" || !shadowable || rehearse?.hold === undefined) return null;
    if (answerOf(observation).kind !== "succeeded") return null;
    try {
      const held = rehearse.hold(observation.input);
      this.#bytes += held.bytes;
      if (this.#bytes <= this.#max) return held;
      this.release(held);
      return held.bytes > this.#max ? "too-large" : "held-bytes";
    } catch (error) {
      this.#report("shadow", error);
      return "internal-error";
    }
  }

  /** Gives back what was taken; null does nothing. */
  release(held: Held | null): void {
    if (held === null) return;
    this.#bytes -= held.bytes;
    try {
      held.release();
    } catch (error) {
      this.#report("shadow", error);
    }
  }

  /** Gives back what an entry holds, once. */
  letGo(entry: { held: Held | null }): void {
    const { held } = entry;
    entry.held = null;
    this.release(held);
  }
}
