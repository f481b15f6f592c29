import type { Clock, Timer } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { TypedEvent } from "../base/event.ts";
import type { Logger } from "../base/logger.ts";
import type { Random } from "../base/random.ts";
import type { Path } from "../migration/call.ts";
import { answerOf, type Blame, type Observation } from "../migration/observation.ts";
import type { AnyOperation } from "../migration/operation.ts";
import { isBad, type Outcome } from "../migration/outcome.ts";
import { defaultBudget, refuseShadow, type ShadowBudget, type SkipReason } from "./budget.ts";
import { type Comparison, compare } from "./comparison.ts";
import { runToEnd } from "./shadow-run.ts";

/** What became of one shadow: its comparison's kind, or `abandoned` when it passed its deadline. */
export type ShadowResultKind = Comparison["kind"] | "abandoned";

/** The closed set of values that metrics use as the `result` label of shadow runs. */
export const shadowResultKinds: readonly ShadowResultKind[] = [
  "same",
  "both_failed",
  "different",
  "incomparable",
  "abandoned",
];

/** One call that ran on both paths. Listeners must not keep the outcomes: they hold whole outputs. */
export interface ShadowResult {
  readonly operation: AnyOperation;
  readonly requestId: string;
  /** The routing key as the caller gave it; never log or store it as it is. */
  readonly key: string;
  readonly result: ShadowResultKind;
  /** What the caller saw. */
  readonly served: Outcome;
  /** What the other path did; null when it was abandoned. */
  readonly shadow: Outcome | null;
  /** Null when the shadow was abandoned. */
  readonly comparison: Comparison | null;
  /** Whose fault was a bad outcome of the candidate, in either role? Null when it did well. */
  readonly blame: Blame | null;
  /** Wall-clock milliseconds since the Unix epoch, at the end of the shadow. */
  readonly atMs: number;
}

/** One call that was picked for shadowing and not shadowed. */
export interface ShadowSkip {
  readonly operation: AnyOperation;
  readonly reason: SkipReason;
}

/** What a shadow needs. */
export interface ShadowOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Counts an error of ours that a caller must not see. */
  readonly report: (part: string, error: unknown) => void;
  readonly random: Random;
  /** What is not given is as in `defaultBudget`. */
  readonly budget?: Partial<ShadowBudget>;
  /** Must shadows of this operation be shed now, for memory, load or another reason? Default: never. */
  readonly pressure?: (operation: AnyOperation) => boolean;
}

interface Entry {
  readonly observation: Observation;
  readonly served: Outcome;
  readonly other: Path;
  readonly bytes: number;
  readonly atMs: number;
}

interface Running {
  readonly entry: Entry;
  readonly controller: AbortController;
  readonly cutOff: () => void;
  readonly done: Promise<void>;
}

/**
 * Runs the other path of calls that were decided to be shadowed, after their callers have been answered,
 * and compares. Nobody waits for it; it keeps within its budget and is shed first. It holds the caller's
 * input and the served output until the comparison is made.
 */
export class Shadow {
  /**
   * Every shadow that ended by itself, as an observation whose call has the source `shadow`: for whoever
   * judges paths. Emitted just before `compared`.
   */
  readonly observations: TypedEvent<Observation>;
  /** Every shadow that ran, also those that were abandoned. */
  readonly compared: TypedEvent<ShadowResult>;
  readonly skips: TypedEvent<ShadowSkip>;
  /** The budget in force. */
  readonly budget: ShadowBudget;
  readonly #options: ShadowOptions;
  readonly #arrived: Observation[] = [];
  readonly #queue: Entry[] = [];
  readonly #running = new Set<Running>();
  readonly #skipped = new Map<SkipReason, number>();
  readonly #minutes = new WeakMap<AnyOperation, { startMs: number; count: number }>();
  #bytes = 0;
  #abandoned = 0;
  #scheduled = false;
  #closed = false;

  constructor(options: ShadowOptions) {
    this.#options = options;
    this.budget = { ...defaultBudget, ...options.budget };
    this.observations = new TypedEvent("shadow.observation", options.report);
    this.compared = new TypedEvent("shadow.compared", options.report);
    this.skips = new TypedEvent("shadow.skipped", options.report);
  }

  /** Shadows that run now; abandoned ones are not counted. */
  get inFlight(): number {
    return this.#running.size;
  }

  /** Shadows that wait for their turn. */
  get waiting(): number {
    return this.#arrived.length + this.#queue.length;
  }

  /** Declared memory of the shadows that wait, run, or were abandoned and have not ended, in bytes. */
  get bytesInFlight(): number {
    return this.#bytes;
  }

  /** Abandoned shadows whose work has not ended. */
  get abandoned(): number {
    return this.#abandoned;
  }

  /** How many calls were picked and not shadowed, by reason. */
  get skipped(): ReadonlyMap<SkipReason, number> {
    return this.#skipped;
  }

  /** Takes note of a call. Does next to nothing now: its caller has not been answered yet. */
  observe(observation: Observation): void {
    if (!observation.decision.shadow) return;
    const { share, queueMax } = this.budget;
    if (share < 1 && this.#options.random.next() >= share) return;
    if (this.#closed) this.#skip(observation.operation, "closed");
    else if (this.#arrived.length >= queueMax) this.#skip(observation.operation, "queue-full");
    else {
      this.#arrived.push(observation);
      this.#schedule();
    }
  }

  /** Stops taking calls, forgets those that wait and cuts off those that run. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { operation } of this.#arrived.splice(0)) this.#skip(operation, "closed");
    for (const entry of this.#queue.splice(0)) this.#drop(entry, "closed");
    const running = [...this.#running];
    for (const each of running) each.cutOff();
    await Promise.all(running.map((each) => each.done));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Promise callbacks run first: by then the caller has gone on with its answer.
    setImmediate(() => {
      this.#scheduled = false;
      for (const observation of this.#arrived.splice(0)) this.#admit(observation);
      this.#startNext();
    });
  }

  #admit(observation: Observation): void {
    try {
      const entry = this.#entryOf(observation);
      const reason = this.#refusal(entry);
      if (reason !== null) {
        this.#skip(observation.operation, reason);
        return;
      }
      this.#minuteOf(observation.operation).count += 1;
      this.#bytes += entry.bytes;
      this.#queue.push(entry);
    } catch (error) {
      // A `cost`, `replayable` or `pressure` that throws: nothing is known, so nothing is run.
      this.#options.report("shadow", error);
      this.#skip(observation.operation, "internal-error");
    }
  }

  #entryOf(observation: Observation): Entry {
    const { operation, input, first } = observation;
    const other: Path = first.path === "legacy" ? "candidate" : "legacy";
    const declared = operation.definition.cost?.(input)[other] ?? 0;
    // One NaN would make the sum NaN for ever, and the budget with it.
    const bytes = Number.isNaN(declared) ? 0 : Math.max(declared, 0);
    const atMs = this.#options.clock.monotonicMs();
    return { observation, served: answerOf(observation), other, bytes, atMs };
  }

  #refusal({ observation, served, bytes }: Entry): SkipReason | null {
    const { operation, input, fallback } = observation;
    const asked = {
      closed: this.#closed,
      shadowable: operation.shadowable,
      aborted: served.kind === "aborted",
      fellBack: fallback !== null,
      latched: operation.latch.tripped,
      replayable: operation.definition.replayable?.(input) ?? true,
      pressure: this.#options.pressure?.(operation) ?? false,
      bytes,
      bytesInFlight: this.#bytes,
      thisMinute: this.#minuteOf(operation).count,
      queued: this.#queue.length,
      abandoned: this.#abandoned,
    };
    return refuseShadow(asked, this.budget);
  }

  #minuteOf(operation: AnyOperation): { startMs: number; count: number } {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#minutes.get(operation);
    if (known !== undefined && nowMs - known.startMs < 60_000) return known;
    const made = { startMs: nowMs, count: 0 };
    this.#minutes.set(operation, made);
    return made;
  }

  #startNext(): void {
    while (this.#running.size < this.budget.concurrentMax) {
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      const waitedMs = this.#options.clock.monotonicMs() - entry.atMs;
      if (entry.observation.operation.latch.tripped) this.#drop(entry, "latched");
      else if (waitedMs > this.budget.queueWaitMs) this.#drop(entry, "waited");
      else this.#start(entry);
    }
  }

  #start(entry: Entry): void {
    const { clock, report } = this.#options;
    const { observation, other, bytes } = entry;
    const { operation, input } = observation;
    const controller = new AbortController();
    const call = observation.call.again(other, "shadow", controller.signal);
    const load = operation.load[other];
    const { promise, resolve } = Promise.withResolvers<Outcome | "abandoned" | "closed">();
    let timer: Timer | undefined;
    let abandoned = false;
    let ended = false;
    const settled = promise.then((end) => {
      timer?.cancel();
      this.#running.delete(running);
      if (typeof end !== "string") {
        const ended = { atMs: clock.now(), endedMs: clock.monotonicMs() };
        this.observations.emit({ ...observation, ...ended, call, first: end, fallback: null });
      } else if (!ended) {
        abandoned = true;
        this.#abandoned += 1;
        load.abandoned += 1;
      }
      this.#conclude(entry, end);
      this.#startNext();
    });
    const done = settled.catch((error: unknown) => report("shadow", error));
    const cutOff = (): void => this.#cutOff(resolve, controller, "closed", entry);
    const running: Running = { entry, controller, cutOff, done };
    this.#running.add(running);
    timer = clock.after(this.budget.deadlineMs, () =>
      this.#cutOff(resolve, controller, "abandoned", entry),
    );
    load.bytes += bytes;
    void runToEnd(operation, input, call, clock).then((outcome) => {
      ended = true;
      load.bytes -= bytes;
      this.#bytes -= bytes;
      if (abandoned) {
        this.#abandoned -= 1;
        load.abandoned -= 1;
      }
      resolve(outcome);
    });
  }

  /** First says what became of the shadow, then tells the path: its answer to that is of no interest. */
  #cutOff(
    resolve: (end: "abandoned" | "closed") => void,
    controller: AbortController,
    end: "abandoned" | "closed",
    entry: Entry,
  ): void {
    resolve(end);
    const { operation } = entry.observation;
    const { deadlineMs } = this.budget;
    controller.abort(
      end === "closed"
        ? new CodedError("SHADOW_CLOSED", `The shadow of ${operation.name} was shut down.`)
        : new CodedError(
            "SHADOW_ABANDONED",
            `The shadow of ${operation.name} did not end within ${deadlineMs} ms.`,
            { details: { operation: operation.name, deadlineMs } },
          ),
    );
  }

  #conclude(entry: Entry, end: Outcome | "abandoned" | "closed"): void {
    const { observation, served, other } = entry;
    const { operation, call } = observation;
    if (end === "closed") {
      this.#skip(operation, "closed");
      return;
    }
    const shadow = end === "abandoned" ? null : end;
    const [legacy, candidate] = other === "legacy" ? [shadow, served] : [served, shadow];
    const comparison =
      legacy === null || candidate === null
        ? null
        : compare(operation.definition, legacy, candidate);
    const result = comparison?.kind ?? "abandoned";
    const { requestId, key } = call;
    const atMs = this.#options.clock.now();
    const blame = blameOf(legacy, candidate);
    this.#log(operation.name, requestId, other, comparison);
    const common = { operation, requestId, key, served, shadow, comparison, atMs };
    this.compared.emit({ ...common, result, blame });
  }

  #log(operation: string, requestId: string, path: Path, comparison: Comparison | null): void {
    const { logger } = this.#options;
    const fields = { operation, requestId, shadowPath: path };
    try {
      if (comparison === null) logger.debug(fields, "A shadow was abandoned at its deadline");
      else if (comparison.kind === "different") {
        const paths = comparison.differences.map((each) => `${each.path} (${each.kind})`);
        logger.debug({ ...fields, paths }, "A shadow gave another result");
      } else if (comparison.kind === "incomparable") {
        const { why, detail } = comparison;
        logger.debug({ ...fields, why, detail }, "A shadow could not be compared");
      }
    } catch (error) {
      this.#options.report("shadow", error);
    }
  }

  #drop(entry: Entry, reason: SkipReason): void {
    this.#bytes -= entry.bytes;
    this.#skip(entry.observation.operation, reason);
  }

  #skip(operation: AnyOperation, reason: SkipReason): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1);
    this.skips.emit({ operation, reason });
  }
}

/** As for a served call, but that legacy really ran. Null stands for the run that was abandoned. */
function blameOf(legacy: Outcome | null, candidate: Outcome | null): Blame | null {
  if (candidate === null) return "unknown";
  if (!isBad(candidate)) return null;
  if (legacy === null || legacy.kind === "aborted") return "unknown";
  return isBad(legacy) ? "shared" : "blamed";
}
