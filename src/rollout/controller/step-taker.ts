import type { JournalEntry } from "../../migration/journal.ts";
import { advance } from "../advance.ts";
import { stageOf } from "../gates.ts";
import type { LeaseHold, RolloutRecord } from "../ports.ts";
import { within } from "../within.ts";
import { exposureOf, type Step, type World } from "../world.ts";
import type { Looked } from "./describe-status.ts";
import type { FlagSteps } from "./flag-steps.ts";
import type { RolloutControllerOptions } from "./product.ts";

/** What a step taker works with, beside the controller's own options. */
export interface StepTakerOptions
  extends Pick<
    RolloutControllerOptions,
    "store" | "journal" | "clock" | "logger" | "holder" | "product"
  > {
  readonly flags: FlagSteps;
  readonly timeoutMs: number;
  /** Does this process still lead, by its own clock? Asked right before each write to the flags. */
  readonly mayWrite: () => boolean;
  /** The fleet's evidence begins anew. */
  readonly beginPeriod: (operation: string) => void;
}

/** Milliseconds between two journal entries about a flag that has to be switched off again. */
const switchOffToldMs = 60_000;

/**
 * Carries out one step. The order is what makes a crash at any moment safe:
 *
 *   up     announce in the record, write the journal, set the flag, write the record. Died before the flag
 *          was set: the next leader gives the step up. Died after: it finds an announced step that is not
 *          its own, and puts the flag back. A journal that cannot be written stops the step.
 *   down   set the flag first, then write the record and the journal: nothing may keep a way down.
 */
export class StepTaker {
  readonly #options: StepTakerOptions;
  readonly #switchedOff = new Map<string, number>();

  constructor(options: StepTakerOptions) {
    this.#options = options;
  }

  /** Returns the record as it is stored afterwards. Rejects when it was not carried out to its end. */
  take({ world, step }: Looked, hold: LeaseHold): Promise<RolloutRecord> {
    switch (step.kind) {
      case "raise":
        return this.#raise(world, step, hold);
      case "lower":
        return this.#lower(step, hold);
      case "switch-off":
        return this.#switchOff(step);
      case "enter":
        return this.#enter(world, step, hold);
      default:
        return this.#writeDown(world, step, hold);
    }
  }

  /** Appends to the history; a failure is logged and no more, unless the caller awaits `append`. */
  async journal(record: RolloutRecord, entry: RolloutEntry): Promise<void> {
    try {
      await this.#append(record, entry);
    } catch (error) {
      const { operation } = record;
      this.#options.logger.error({ operation, err: error }, "A rollout's history was not written");
    }
  }

  async #raise(world: World, step: Step, hold: LeaseHold): Promise<RolloutRecord> {
    const { flags, product, holder, mayWrite } = this.#options;
    const from = step.from ?? 0;
    const to = step.to ?? from;
    const announced = await this.#save(step.record, hold);
    await this.#append(announced, this.#entry(step, from, to));
    const { operation } = announced;
    const latched = (): boolean =>
      product.operations().find(({ name }) => name === operation)?.latch.tripped === true;
    // A freeze may lie between any two lines.
    if (!mayWrite() || latched()) return announced;
    const change = { by: `rollout (${holder})`, reason: step.why };
    const flag = await flags.move(operation, from, to, change);
    if (latched()) {
      // A rollback overtook the write, and may have been overtaken by it.
      await flags.switchOff(operation, { ...change, reason: "The latch tripped meanwhile." });
      return announced;
    }
    const entered = advance({ ...world, record: announced, flag, passedMs: 0, counted: null });
    if (entered.kind !== "enter") return announced;
    return this.#enter({ ...world, flag }, entered, hold, false);
  }

  async #enter({ flag }: World, step: Step, hold: LeaseHold, tell = true): Promise<RolloutRecord> {
    const { product, beginPeriod, flags, holder, logger } = this.#options;
    const record = await this.#save(step.record, hold);
    const { operation } = record;
    product.beginPeriod(operation);
    beginPeriod(operation);
    if (tell) await this.journal(record, this.#entry(step, step.from ?? 0, step.to ?? 0));
    const { shadowPercentage } = stageOf(record);
    if (flag !== null && flag.shadowPercentage !== shadowPercentage) {
      const change = { by: `rollout (${holder})`, reason: record.why };
      await flags.shadow(operation, shadowPercentage, change).catch((error: unknown) => {
        logger.warn({ operation, err: error }, "The shadow's share could not be set for a stage");
      });
    }
    return record;
  }

  async #lower(step: Step, hold: LeaseHold): Promise<RolloutRecord> {
    const { flags, holder } = this.#options;
    const to = step.to ?? 0;
    const { operation } = step.record;
    await flags.lower(operation, to, { by: `rollout (${holder})`, reason: step.why });
    const record = await this.#save(step.record, hold);
    await this.journal(record, this.#entry(step, step.from ?? 0, to));
    return record;
  }

  async #switchOff(step: Step): Promise<RolloutRecord> {
    const { flags, holder, clock } = this.#options;
    const { operation } = step.record;
    await flags.switchOff(operation, { by: `rollout (${holder})`, reason: step.why });
    const toldMs = this.#switchedOff.get(operation);
    const nowMs = clock.monotonicMs();
    if (toldMs === undefined || nowMs - toldMs >= switchOffToldMs) {
      this.#switchedOff.set(operation, nowMs);
      await this.journal(step.record, this.#entry(step, step.from ?? 0, 0));
    }
    return step.record;
  }

  async #writeDown(world: World, step: Step, hold: LeaseHold): Promise<RolloutRecord> {
    const record = await this.#save(step.record, hold);
    const before = world.record;
    const settled = before.pending !== null && record.pending === null;
    if (before.phase !== record.phase || settled) {
      const exposed = world.flag === null ? null : exposureOf(world.flag);
      await this.journal(record, {
        actor: this.#actor(),
        from: `${before.phase}, ${before.percentage} %`,
        to: `${record.phase}, ${record.percentage} %`,
        why: record.why,
        evidence: { ...this.#evidence(step), exposed },
      });
    }
    return record;
  }

  async #append(record: RolloutRecord, entry: RolloutEntry): Promise<void> {
    const { journal, clock, timeoutMs } = this.#options;
    const at = new Date(clock.now()).toISOString();
    const { operation } = record;
    const line: JournalEntry = { at, operation, kind: "rollout", ...entry };
    await within(clock, timeoutMs, "the journal", journal.append(line));
  }

  #entry(step: Step, from: number, to: number): RolloutEntry {
    return {
      actor: this.#actor(),
      from: `${from} %`,
      to: `${to} %`,
      why: step.why,
      evidence: this.#evidence(step),
    };
  }

  #actor(): JournalEntry["actor"] {
    return { type: "system", name: `rollout (${this.#options.holder})`.slice(0, 100) };
  }

  #evidence({ kind, record, gates }: Step): JournalEntry["evidence"] {
    const { epoch, stage, heldMs, evidence } = record;
    return { step: kind, epoch, stage, heldMs, counted: evidence, gates };
  }

  #save(record: RolloutRecord, hold: LeaseHold): Promise<RolloutRecord> {
    const { store, clock, timeoutMs, holder } = this.#options;
    const written = store.save({ ...record, by: holder }, hold);
    return within(clock, timeoutMs, "the rollout store", written);
  }
}

/** One line of history without what is the same for all of them. */
export type RolloutEntry = Omit<JournalEntry, "at" | "operation" | "kind">;
