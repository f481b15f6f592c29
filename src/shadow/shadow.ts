import type { Clock, Timer } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { TypedEvent } from "../base/event.ts";
import type { LogFields, Logger } from "../base/logger.ts";
import type { Random } from "../base/random.ts";
import type { Blame, Observation } from "../migration/observation.ts";
import type { AnyOperation, Held } from "../migration/operation.ts";
import type { Outcome } from "../migration/outcome.ts";
import { defaultBudget, refuseShadow, type ShadowBudget, type SkipReason } from "./budget.ts";
import type { Comparison } from "./comparison.ts";
import {
  compareEntry,
  type Entry,
  entryOf,
  logComparison,
  MinuteCounts,
  noiseEntryOf,
  shadowBlame,
} from "./entry.ts";
import { HeldBytes } from "./held.ts";
import { Noise, type NoiseLimits } from "./noise.ts";
import { runShadow } from "./shadow-run.ts";

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
  /** The caller's input; a listener must not keep it. */
  readonly input: unknown;
  readonly result: ShadowResultKind;
  /** What the caller saw. */
  readonly served: Outcome;
  /** What the other path did; null when it was abandoned. */
  readonly shadow: Outcome | null;
  /** Without what is noise. Null when the shadow was abandoned. */
  readonly comparison: Comparison | null;
  /** Fields that differed as they do between two runs of legacy, and were left out. */
  readonly noise: readonly string[];
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
  /** What is not given is as in `defaultNoiseLimits`. */
  readonly noise?: Partial<NoiseLimits>;
  /** Must shadows of this operation be shed now, for memory, load or another reason? Default: never. */
  readonly pressure?: (operation: AnyOperation) => boolean;
  /** Says when the event loop has no time to spare; default: it always has. */
  readonly loop?: { readonly busy: boolean };
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
  /** Which fields differ by themselves. */
  readonly noise: Noise;
  readonly #options: ShadowOptions;
  readonly #arrived: { readonly observation: Observation; readonly held: Held | null }[] = [];
  readonly #queue: Entry[] = [];
  readonly #running = new Set<Running>();
  readonly #skipped = new Map<SkipReason, number>();
  readonly #minutes: MinuteCounts;
  readonly #held: HeldBytes;
  #bytes = 0;
  #abandoned = 0;
  #scheduled = false;
  #closed = false;

  constructor(options: ShadowOptions) {
    this.#options = options;
    this.budget = { ...defaultBudget, ...options.budget };
    this.noise = new Noise(options.noise);
    this.#minutes = new MinuteCounts(options.clock);
    this.#held = new HeldBytes(this.budget.heldBytesMax, options.report);
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

  /** Bytes that rehearsals, waiting, running or abandoned, keep past their answers. */
  get heldBytes(): number {
    return this.#held.bytes;
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
    const { operation } = observation;
    const { share, queueMax } = this.budget;
    const sampled = share < 1 && observation.decision.probe !== true;
    if (sampled && this.#options.random.next() >= share) this.#skip(operation, "sampled-out");
    else if (this.#closed) this.#skip(operation, "closed");
    else if (this.#arrived.length >= queueMax) this.#skip(operation, "queue-full");
    else {
      const held = this.#held.take(observation);
      if (typeof held === "string") this.#skip(operation, held);
      else {
        this.#arrived.push({ observation, held });
        this.#schedule();
      }
    }
  }

  /** Stops taking calls, forgets those that wait and cuts off those that run. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { observation, held } of this.#arrived.splice(0)) {
      this.#held.release(held);
      this.#skip(observation.operation, "closed");
    }
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
      for (const { observation, held } of this.#arrived.splice(0)) this.#admit(observation, held);
      this.#startNext();
    });
  }

  #admit(observation: Observation, held: Held | null): void {
    const { operation } = observation;
    try {
      const entry = entryOf(observation, held, this.#options.clock);
      const reason = this.#refusal(entry);
      if (reason === null) this.#enqueue(entry);
      else {
        this.#held.release(held);
        this.#skip(operation, reason);
      }
    } catch (error) {
      // A `cost`, `replayable` or `pressure` that throws: nothing is known, so nothing is run.
      this.#options.report("shadow", error);
      this.#held.release(held);
      this.#skip(operation, "internal-error");
    }
  }

  #enqueue(entry: Entry): void {
    this.#minutes.add(entry.observation.operation);
    this.#bytes += entry.bytes;
    this.#queue.push(entry);
  }

  #refusal({ observation, served, bytes, held }: Entry): SkipReason | null {
    const { operation, input, fallback } = observation;
    const isWrite = operation.definition.kind === "write";
    const heldBytes = held?.bytes ?? 0;
    const asked = {
      closed: this.#closed,
      shadowable: operation.shadowable,
      aborted: served.kind === "aborted",
      fellBack: fallback !== null,
      notWritten: isWrite && served.kind !== "succeeded",
      latched: operation.latch.tripped,
      replayable: operation.definition.replayable?.(input) ?? true,
      pressure: this.#options.pressure?.(operation) ?? false,
      busy: this.#options.loop?.busy ?? false,
      bytes,
      bytesInFlight: this.#bytes,
      held: heldBytes,
      heldInFlight: this.#held.bytes - heldBytes,
      thisMinute: this.#minutes.of(operation),
      queued: this.#queue.length,
      abandoned: this.#abandoned,
    };
    return refuseShadow(asked, this.budget);
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
      if (typeof end !== "string" && !entry.isNoise) {
        const ended = { atMs: clock.now(), endedMs: clock.monotonicMs() };
        this.observations.emit({ ...observation, ...ended, call, first: end, fallback: null });
      } else if (!ended) {
        abandoned = true;
        this.#abandoned += 1;
        load.abandoned += 1;
      }
      try {
        this.#conclude(entry, end);
      } finally {
        // Abandoned work still needs it; noise has taken it over.
        if (!abandoned) this.#held.letGo(entry);
      }
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
    void runShadow(operation, input, call, clock, report).then((outcome) => {
      ended = true;
      load.bytes -= bytes;
      this.#bytes -= bytes;
      if (abandoned) {
        this.#abandoned -= 1;
        load.abandoned -= 1;
        this.#held.letGo(entry);
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
    const { operation, call, input } = observation;
    if (end === "closed") {
      if (!entry.isNoise) this.#skip(operation, "closed");
      return;
    }
    const shadow = end === "abandoned" ? null : end;
    const found = shadow === null ? null : compareEntry(entry, shadow);
    if (entry.isNoise) {
      if (found !== null) this.noise.learn(operation, found);
      return;
    }
    const { comparison, noise } =
      found === null ? { comparison: null, noise: [] } : this.noise.sift(operation, found);
    const result = comparison?.kind ?? "abandoned";
    const { requestId, key } = call;
    const atMs = this.#options.clock.now();
    const blame = shadowBlame(entry, shadow);
    this.#log({ operation: operation.name, requestId, shadowPath: other }, comparison);
    const common = { operation, requestId, key, input, served, shadow, comparison, noise, atMs };
    this.compared.emit({ ...common, result, blame });
    if (shadow !== null) this.#sampleNoise(entry, shadow);
  }

  /** Now and then, and only where there is room, legacy runs once more. */
  #sampleNoise(entry: Entry, shadow: Outcome): void {
    const { operation } = entry.observation;
    const share = this.noise.shareOf(operation);
    if (share <= 0 || this.#options.random.next() >= share) return;
    const noise = noiseEntryOf(entry, shadow, this.#options.clock);
    if (noise === null) return;
    if (this.#refusal(noise) === null) this.#enqueue(noise);
    else this.#held.letGo(noise);
  }

  #log(fields: LogFields, comparison: Comparison | null): void {
    try {
      logComparison(this.#options.logger, fields, comparison);
    } catch (error) {
      this.#options.report("shadow", error);
    }
  }

  #drop(entry: Entry, reason: SkipReason): void {
    this.#bytes -= entry.bytes;
    this.#held.letGo(entry);
    if (!entry.isNoise) this.#skip(entry.observation.operation, reason);
  }

  #skip(operation: AnyOperation, reason: SkipReason): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1);
    this.skips.emit({ operation, reason });
  }
}
