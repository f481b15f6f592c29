import { type Clock, sleep, systemClock } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { type Random, systemRandom } from "../base/random.ts";
import type { Call, Path } from "../migration/call.ts";
import type { OperationDefinition, PathFunction } from "../migration/operation.ts";

/** How a path is made to misbehave. Rates are shares of calls from 0 to 1. */
export interface Fault {
  /** Share of calls that fail before they do anything. */
  readonly errorRate: number;
  /** Milliseconds that every call is held back. */
  readonly latencyMs: number;
  /** Share of calls that fail, before they do anything, with an exception of a kind never seen before. */
  readonly unknownErrorRate: number;
  /** Share of shadow runs whose answer is changed; what callers get is never touched. */
  readonly mismatchRate: number;
  /** Bytes that every call takes and keeps until the fault ends: a leak. */
  readonly leakBytes: number;
}

/** No fault at all. */
export const noFault: Fault = {
  errorRate: 0,
  latencyMs: 0,
  unknownErrorRate: 0,
  mismatchRate: 0,
  leakBytes: 0,
};

const injectedCode = "REHEARSAL_INJECTED";
const leakBytesMax = 256 * 1024 * 1024;
const share = { max: 1, expected: "a share from 0 to 1" };

/** Every field with its words and its limit. */
const limits: Readonly<
  Record<keyof Fault, { readonly what: string; readonly max: number; readonly expected: string }>
> = {
  errorRate: { what: "error rate", ...share },
  latencyMs: { what: "latency", max: 60_000, expected: "0 to 60000 milliseconds" },
  unknownErrorRate: { what: "rate of unknown errors", ...share },
  mismatchRate: { what: "mismatch rate", ...share },
  leakBytes: { what: "leak", max: leakBytesMax, expected: `0 to ${leakBytesMax} bytes a call` },
};

/** Throws `REHEARSAL_INVALID_FAULT` for a rate outside 0 to 1, a latency outside 0 to 60,000 ms or a leak above 256 MiB a call. */
export function checkFault(given: Partial<Fault>): Fault {
  const fault = { ...noFault, ...given };
  for (const [field, { what, max, expected }] of Object.entries(limits)) {
    const value = fault[field as keyof Fault];
    if (value >= 0 && value <= max) continue;
    throw new CodedError(
      "REHEARSAL_INVALID_FAULT",
      `The ${what} ${JSON.stringify(value)} cannot be injected. Use ${expected}.`,
      { status: 400 },
    );
  }
  return fault;
}

/** What a fault does, in words; null when it does nothing. */
export function describeFault(fault: Fault): string | null {
  const percent = (rate: number): string => `${Math.round(rate * 1000) / 10} %`;
  const parts = [
    fault.errorRate > 0 && `${percent(fault.errorRate)} of its calls fail`,
    fault.unknownErrorRate > 0 && `${percent(fault.unknownErrorRate)} throw an unknown exception`,
    fault.latencyMs > 0 && `each call is held back for ${fault.latencyMs} ms`,
    fault.mismatchRate > 0 && `${percent(fault.mismatchRate)} of its shadows answer differently`,
    fault.leakBytes > 0 && `each call leaks ${fault.leakBytes} bytes`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? null : parts.join(", ");
}

const isNone = (fault: Fault): boolean => Object.values(fault).every((value) => value === 0);

/**
 * Makes a path fail on purpose, so that anybody can watch the rollback happen. Wraps a path once, at
 * the start; without a fault the wrapper only looks at one field.
 */
export class FaultSwitch {
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #faults: Record<Path, Fault> = { legacy: noFault, candidate: noFault };
  readonly #leaked: Record<Path, number[][]> = { legacy: [], candidate: [] };
  /** Errors of ours: thrown before the path has begun, so they prove that nothing happened. */
  readonly #injected = new WeakSet<object>();
  #surprises = 0;

  constructor(random: Random = systemRandom, clock: Clock = systemClock) {
    this.#random = random;
    this.#clock = clock;
  }

  /** The faults in force. */
  get current(): Readonly<Record<Path, Fault>> {
    return { ...this.#faults };
  }

  /** Throws `REHEARSAL_INVALID_FAULT`. `noFault` ends it, and gives back what was leaked. */
  set(path: Path, given: Partial<Fault>): Fault {
    const fault = checkFault(given);
    if (fault.unknownErrorRate > 0) this.#surprises += 1;
    if (fault.leakBytes === 0) this.#leaked[path].length = 0;
    this.#faults[path] = isNone(fault) ? noFault : fault;
    return this.#faults[path];
  }

  /** The same operation, with both paths failing as long as a fault is set for them. */
  wrap<I, O>(definition: OperationDefinition<I, O>): OperationDefinition<I, O> {
    return {
      ...definition,
      legacy: this.#wrapPath("legacy", definition.legacy),
      candidate: this.#wrapPath("candidate", definition.candidate),
      effectOf: (thrown) =>
        this.#isInjected(thrown) ? "absent" : (definition.effectOf?.(thrown) ?? "possible"),
    };
  }

  #wrapPath<I, O>(path: Path, run: PathFunction<I, O>): PathFunction<I, O> {
    return (input, call) => {
      const fault = this.#faults[path];
      return fault === noFault
        ? run(input, call)
        : this.#misbehave(path, fault, call, () => run(input, call));
    };
  }

  async #misbehave<O>(
    path: Path,
    fault: Fault,
    call: Call,
    run: () => O | PromiseLike<O>,
  ): Promise<O> {
    const { latencyMs, errorRate, unknownErrorRate, mismatchRate, leakBytes } = fault;
    // Numbers in an array lie on JavaScript's own heap, where a real leak would be.
    if (leakBytes > 0)
      this.#leaked[path].push(new Array<number>(Math.ceil(leakBytes / 8)).fill(0.5));
    if (latencyMs > 0) await sleep(this.#clock, latencyMs);
    if (this.#random.next() < errorRate) throw this.#mark(failure());
    if (this.#random.next() < unknownErrorRate) throw this.#mark(surprise(this.#surprises));
    const answer = await run();
    const changes = call.source === "shadow" && this.#random.next() < mismatchRate;
    return changes ? changed(answer) : answer;
  }

  #mark(error: Error): Error {
    this.#injected.add(error);
    return error;
  }

  #isInjected(thrown: unknown): boolean {
    return typeof thrown === "object" && thrown !== null && this.#injected.has(thrown);
  }
}

function failure(): CodedError {
  return new CodedError(
    injectedCode,
    "This failure was injected on purpose (changeover sandbox fault).",
    { status: 500 },
  );
}

/** An error whose class no rule has met: its name is new with every setting of the fault. */
function surprise(count: number): Error {
  // Letters only: a rule that groups exceptions leaves digits out.
  const name = `Injected${count.toString(2).replaceAll("0", "A").replaceAll("1", "B")}Error`;
  const kind = { [name]: class extends Error {} }[name] ?? Error;
  return new kind("This exception was injected on purpose (changeover sandbox fault).");
}

/** The same answer with one field more; what is no plain object is left alone. */
function changed<O>(answer: O): O {
  const plain =
    typeof answer === "object" &&
    answer !== null &&
    Object.getPrototypeOf(answer) === Object.prototype;
  return plain ? { ...answer, injectedDifference: "on purpose" } : answer;
}
