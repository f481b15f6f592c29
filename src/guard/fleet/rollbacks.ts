import type { Actor } from "../../migration/journal.ts";
import type { AnyOperation } from "../../migration/operation.ts";
import {
  type RollbackPorts,
  type RollbackReport,
  type RollbackRequest,
  rearm,
  rollBack,
} from "../rollback.ts";

/** A rollback as it ended, and what asked for it. */
export interface EndedRollback extends RollbackReport {
  /** The rule's name; `manual` where a person or the system did it. */
  readonly rule: string;
}

/** This process's rollbacks: one of an operation at a time. */
export class Rollbacks {
  readonly #ports: () => RollbackPorts;
  readonly #ended: (rollback: EndedRollback) => void;
  readonly #running = new Map<
    string,
    { readonly scope: RollbackRequest["scope"]; readonly report: Promise<RollbackReport> }
  >();

  constructor(ports: () => RollbackPorts, ended: (rollback: EndedRollback) => void) {
    this.#ports = ports;
    this.#ended = ended;
  }

  /**
   * Whoever asks while a rollback runs gets its report, unless it asks for more: a rollback of the fleet
   * does not wait for one of this process alone. Never rejects.
   */
  rollBack(request: RollbackRequest): Promise<RollbackReport> {
    const { operation, by, scope = "fleet" } = request;
    const running = this.#running.get(operation.name);
    if (running !== undefined && (running.scope === "fleet" || scope === "instance")) {
      return running.report;
    }
    const report = rollBack({ ...request, scope }, this.#ports()).then((ended) => {
      this.#ended({ ...ended, rule: ruleOf(by) });
      return ended;
    });
    const mine = { scope, report };
    this.#running.set(operation.name, mine);
    const forget = (): void => {
      if (this.#running.get(operation.name) === mine) this.#running.delete(operation.name);
    };
    report.then(forget, forget);
    return report;
  }

  rearm(operation: AnyOperation, by: string, reason: string): Promise<RollbackReport> {
    return rearm({ operation, by, reason }, this.#ports());
  }

  /** Resolves when none runs any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ report }) => report));
  }
}

const ruleOf = (by: Actor): string => (by.type === "rule" ? by.name : "manual");
