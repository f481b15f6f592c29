import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { withTimeLimit } from "../storage/time-limit.ts";

/**
 * Takes one step back; repeating it does no harm. `keep` says that somebody else needs what the step
 * made, so that the steps before it must stay as well.
 */
export type UndoStep = (signal: AbortSignal) => Promise<"keep" | undefined>;

/** How taking back went. */
export type UndoResult = "complete" | "incomplete";

interface Registered {
  readonly name: string;
  readonly step: UndoStep;
  readonly guards: boolean;
}

/** Milliseconds each step may take; the caller's own signal does not count here. */
const STEP_LIMIT_MS = 30_000;

/**
 * The way back of one upload. A step is registered before the thing it undoes is done, so that a lost
 * answer is covered too.
 */
export class Undo {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #steps: Registered[] = [];
  #mayHaveLeft = false;

  constructor(parts: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = parts.clock;
    this.#logger = parts.logger;
  }

  /**
   * `name` is for the log: what is left behind when the step fails. A step that `guards` the ones before
   * it keeps them when it fails: bytes nobody points at are better than a row that points at nothing.
   */
  add(name: string, step: UndoStep, guards = false): void {
    this.#steps.push({ name, step, guards });
  }

  /** Something may be there that nobody can take back, because the answer that named it was lost. */
  mayHaveLeft(name: string, cause: unknown): void {
    this.#mayHaveLeft = true;
    this.#logger.warn({ left: name, err: cause }, "A failed upload may have left something behind");
  }

  /** Takes everything back, the newest first; a step that fails is logged and the others still run. */
  async run(): Promise<UndoResult> {
    let result: UndoResult = this.#mayHaveLeft ? "incomplete" : "complete";
    for (let next = this.#steps.pop(); next !== undefined; next = this.#steps.pop()) {
      const { name, step, guards } = next;
      try {
        const limit = { clock: this.#clock, limitMs: STEP_LIMIT_MS };
        if ((await withTimeLimit(limit, step)) === "keep") this.#steps.length = 0;
      } catch (error) {
        result = "incomplete";
        const kept = guards ? this.#steps.splice(0).map((each) => each.name) : [];
        const fields = { left: [name, ...kept], err: error };
        this.#logger.error(fields, "A failed upload left something behind");
      }
    }
    return result;
  }
}
