import { type Clock, sleep } from "../base/clock.ts";
import { codeOf, isCodedError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { type Random, systemRandom } from "../base/random.ts";
import type { FlagControl, FlagState } from "../migration/flags.ts";
import type { Fleet } from "../migration/fleet.ts";
import type { Journal, JournalEntry } from "../migration/journal.ts";
import type { AnyOperation } from "../migration/operation.ts";

/** What one step came to. `skipped`: there was nothing to do it with, or nothing to do it to. */
export type StepResult = "done" | "already" | "skipped" | "failed";

/** One step of a rollback or a re-arming. */
export interface RollbackStep {
  readonly name:
    | "latch"
    | "broadcast"
    | "flag"
    | "read-back"
    | "release-hold"
    | "journal"
    | "drain";
  readonly result: StepResult;
  readonly ms: number;
  /** How often it was tried. */
  readonly tries: number;
  /** Why it failed or was skipped; never contents or tokens. */
  readonly error: string | null;
}

/** What was done, and what was not. */
export interface RollbackReport {
  readonly operation: string;
  /** `complete`: no step failed. */
  readonly result: "complete" | "incomplete";
  readonly epoch: number;
  /** ISO 8601, when it began. */
  readonly at: string;
  readonly ms: number;
  readonly steps: readonly RollbackStep[];
}

/** What a rollback works with. */
export interface RollbackPorts {
  /** Null: the flags cannot be changed from here; the latch alone keeps calls on legacy. */
  readonly control: FlagControl | null;
  /** Null or left out: this process is the only one, and speaks for all. */
  readonly fleet?: Pick<Fleet, "publish" | "trip" | "rearm" | "load" | "instances"> | null;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds that switching the flag off and reading it back may take, with retries; default 30,000. */
  readonly deadlineMs?: number;
  /**
   * Milliseconds that candidate calls which still run may take to end, once everything else is done;
   * default 10,000. Those that take longer are not waited for, and end by themselves.
   */
  readonly drainMs?: number;
  /** Milliseconds for one try; default 5,000. */
  readonly tryMs?: number;
  /** Chance for the pauses between tries. */
  readonly random?: Random;
}

/** Does a flag give nobody to the candidate? */
export const isOff = (state: FlagState): boolean => !state.enabled || state.percentage === 0;

/** Pauses between tries: the first at most, and the longest at most. */
const firstPauseMs = 100;
const longestPauseMs = 2000;
/** Without a fleet: how long a flag that was switched off may take until it is gone by. */
const followMs = 2000;
/** Between two looks at what the instances say they go by. */
const pollMs = 250;
/** The journal is given this long after everything else was done. */
const journalDeadlineMs = 5000;

/** Runs the steps of a rollback or a re-arming within their times, and keeps what each came to. */
export class Steps {
  readonly at: string;
  readonly #ports: RollbackPorts;
  readonly #random: Random;
  readonly #tryMs: number;
  readonly #startedMs: number;
  readonly #steps: RollbackStep[] = [];

  constructor(ports: RollbackPorts) {
    this.#ports = ports;
    this.#random = ports.random ?? systemRandom;
    this.#tryMs = ports.tryMs ?? 5000;
    this.#startedMs = ports.clock.monotonicMs();
    this.at = new Date(ports.clock.now()).toISOString();
  }

  /** What the steps so far came to. */
  get steps(): readonly RollbackStep[] {
    return [...this.#steps];
  }

  note(name: RollbackStep["name"], result: StepResult, error: string | null): RollbackStep {
    const step: RollbackStep = { name, result, ms: 0, tries: 0, error };
    this.#steps.push(step);
    return step;
  }

  /** One step; tried again with pauses until `endMs` of the monotonic clock, where that is given. */
  async step(
    name: RollbackStep["name"],
    work: () => Promise<StepResult>,
    endMs = 0,
  ): Promise<RollbackStep> {
    const { clock } = this.#ports;
    const startedMs = clock.monotonicMs();
    let tries = 0;
    for (;;) {
      tries += 1;
      const done = await this.#try(work);
      const ms = clock.monotonicMs() - startedMs;
      const pauseMs = this.#pauseMs(tries);
      const over = clock.monotonicMs() + pauseMs >= endMs;
      if (done.result !== "failed" || over) {
        const step: RollbackStep = { name, result: done.result, ms, tries, error: done.error };
        this.#steps.push(step);
        return step;
      }
      await sleep(clock, pauseMs);
    }
  }

  /** A step that needs the flag control; skipped without one. */
  withControl(
    name: RollbackStep["name"],
    endMs: number,
    work: (control: FlagControl) => Promise<StepResult>,
  ): Promise<RollbackStep> {
    const { control } = this.#ports;
    if (control === null) {
      return Promise.resolve(this.note(name, "skipped", "these flags cannot be changed from here"));
    }
    return this.step(name, () => work(control), endMs);
  }

  /** A step that needs the fleet; no step at all without one. */
  async withFleet(
    endMs: number,
    work: (fleet: NonNullable<RollbackPorts["fleet"]>) => Promise<StepResult>,
  ): Promise<void> {
    const { fleet = null } = this.#ports;
    if (fleet !== null) await this.step("broadcast", () => work(fleet), endMs);
  }

  /** Tells the fleet of this process's latch. Null: enough instances have latched; else why that is not so. */
  async missingQuorum({ latch }: AnyOperation): Promise<string | null> {
    const { fleet = null } = this.#ports;
    const { record } = latch;
    if (fleet === null || record === null) return null;
    let missing = "it is asked again every second";
    const asked = await this.#try(async () => {
      const { live, latched, needed, met } = await fleet.publish(record);
      missing = met ? "" : `${latched} of ${live} live instances latched; ${needed} are needed`;
      return "done";
    });
    if (asked.result === "failed")
      return `the fleet cannot be reached (${asked.error}); ${missing}`;
    return missing === "" ? null : missing;
  }

  /** Does the flag say already that nobody is on the candidate? Not knowing is a no. */
  async isOff(operation: string): Promise<boolean> {
    const { control } = this.#ports;
    if (control === null) return false;
    let off = false;
    await this.#try(async () => {
      off = isOff(await control.read(operation));
      return "done";
    });
    return off;
  }

  /** Is the whole fleet latched? Not knowing is a yes. */
  async fleetIsLatched(operation: string): Promise<boolean> {
    const { fleet = null } = this.#ports;
    let latched = true;
    await this.#try(async () => {
      const latches = (await fleet?.load()) ?? [];
      latched = latches.some((each) => each.operation === operation && each.tripped);
      return "done";
    });
    return latched;
  }

  /** Resolves when no live instance gives anybody to the candidate any more, after one try's time at most. */
  async flagIsFollowed(operation: string): Promise<void> {
    const { fleet = null, clock } = this.#ports;
    if (fleet === null) return sleep(clock, followMs);
    const endMs = clock.monotonicMs() + this.#tryMs;
    while (clock.monotonicMs() < endMs) {
      const live = (await fleet.instances()).filter((each) => each.live);
      const reports = live.flatMap(({ operations }) => operations);
      if (!reports.some((each) => each.operation === operation && (each.percentage ?? 0) > 0))
        return;
      await sleep(clock, pollMs);
    }
  }

  async journal(entry: JournalEntry): Promise<void> {
    const { clock, journal } = this.#ports;
    const endMs = clock.monotonicMs() + journalDeadlineMs;
    const append = async (): Promise<StepResult> => {
      await journal.append(entry);
      return "done";
    };
    await this.step("journal", append, endMs);
  }

  /** Waits for candidate calls that still run, where there are any; that some run on is no failure, but it is said. */
  async drain({ inFlight, load }: AnyOperation): Promise<void> {
    if (inFlight.size === 0 && load.candidate.abandoned === 0) return;
    const { clock, drainMs = 10_000 } = this.#ports;
    const startedMs = clock.monotonicMs();
    const late = Promise.withResolvers<void>();
    const timer = clock.after(drainMs, late.resolve);
    await Promise.race([inFlight.drained(), late.promise]);
    timer.cancel();
    const left = inFlight.size;
    const { abandoned } = load.candidate;
    const error =
      left === 0 && abandoned === 0
        ? null
        : `${left} candidate calls and ${abandoned} abandoned runs have not ended after ${Math.round(clock.monotonicMs() - startedMs)} ms`;
    const ms = clock.monotonicMs() - startedMs;
    this.#steps.push({
      name: "drain",
      result: left === 0 ? "done" : "skipped",
      ms,
      tries: 1,
      error,
    });
  }

  report(operation: string, epoch: number): RollbackReport {
    const failed = this.#steps.some((step) => step.result === "failed");
    return {
      operation,
      result: failed ? "incomplete" : "complete",
      epoch,
      at: this.at,
      ms: this.#ports.clock.monotonicMs() - this.#startedMs,
      steps: this.steps,
    };
  }

  /** Full jitter: anything up to a ceiling that doubles. */
  #pauseMs(tries: number): number {
    const ceiling = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(tries, 10));
    return 10 + this.#random.next() * ceiling;
  }

  async #try(
    work: () => Promise<StepResult>,
  ): Promise<{ result: StepResult; error: string | null }> {
    const { promise: late, resolve } = Promise.withResolvers<"late">();
    const timer = this.#ports.clock.after(this.#tryMs, () => resolve("late"));
    try {
      const working = (async () => work())();
      // A try that answers after its time must not become an unhandled rejection.
      working.catch(() => undefined);
      const result = await Promise.race([working, late]);
      if (result !== "late") return { result, error: null };
      return { result: "failed", error: `no answer within ${this.#tryMs} ms` };
    } catch (error) {
      // Without a flag nobody is on the candidate: there is nothing to switch off.
      if (codeOf(error) === "FLAGS_UNKNOWN") return { result: "skipped", error: "FLAGS_UNKNOWN" };
      return { result: "failed", error: describe(error) };
    } finally {
      timer.cancel();
    }
  }
}

/**
 * Our own messages hold no secrets by rule; of others only class, code and status are told, since a
 * client's message may quote its request, token and all.
 */
function describe(error: unknown): string {
  if (isCodedError(error)) return `${error.code}: ${error.message}`.slice(0, 500);
  const status = (error as { status?: unknown } | null | undefined)?.status;
  const name = error instanceof Error ? error.constructor.name : typeof error;
  return [name, codeOf(error), typeof status === "number" ? `status ${status}` : undefined]
    .filter((part) => part !== undefined)
    .join(" ");
}
