import type { Clock } from "../../base/clock.ts";
import type { AnyOperation } from "../../migration/operation.ts";
import type { MismatchLog } from "../mismatch-log.ts";
import type { MismatchCase } from "./mismatch-case.ts";
import { operationRunner, type Replay, replayCase, replayRules } from "./replay.ts";
import { type VitestOptions, vitestFile } from "./vitest-file.ts";

/** What can be done with the mismatches that were seen. An id may be shortened to its beginning. */
export class MismatchCases {
  readonly #log: MismatchLog;
  readonly #operation: (name: string) => AnyOperation;
  readonly #clock: Clock;

  /** `operation` finds one by its name, and throws for one that does not exist. */
  constructor(log: MismatchLog, operation: (name: string) => AnyOperation, clock: Clock) {
    this.#log = log;
    this.#operation = operation;
    this.#clock = clock;
  }

  /** Each shape of difference once, the newest sighting first; of one operation where it is named. */
  list(operation?: string): readonly MismatchCase[] {
    return this.#log.list(operation);
  }

  /** Throws `SHADOW_UNKNOWN_CASE`. */
  show(id: string): MismatchCase {
    return this.#log.find(id);
  }

  /**
   * Runs a case again on both paths, a read for real and a write as a rehearsal, and compares. Rejects
   * with `SHADOW_UNKNOWN_CASE`, `SHADOW_CASE_WITHOUT_INPUT`, `SHADOW_NOT_REPLAYABLE` or
   * `MIGRATION_UNKNOWN_OPERATION`.
   */
  async replay(id: string): Promise<Replay> {
    const kept = this.#log.find(id);
    const { definition } = this.#operation(kept.operation);
    return replayCase(kept, replayRules(definition), operationRunner(definition, this.#clock));
  }

  /**
   * The text of a vitest file that fails while the case's difference is there. Throws
   * `SHADOW_UNKNOWN_CASE` and `SHADOW_CASE_WITHOUT_INPUT`.
   */
  exportVitest(id: string, options?: VitestOptions): string {
    return vitestFile(this.#log.find(id), options);
  }
}
