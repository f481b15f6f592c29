import { type Clock, sleep, systemClock } from "../base/clock.ts";
import { CodedError, codeOf } from "../base/errors.ts";
import { type Random, systemRandom } from "../base/random.ts";
import type { Path } from "../migration/call.ts";
import type { OperationDefinition, PathFunction } from "../migration/operation.ts";

/** How a path is made to misbehave. Rates are shares of calls from 0 to 1. */
export interface Fault {
  /** Share of calls that fail before they do anything. */
  readonly errorRate: number;
  /** Milliseconds that every call is held back. */
  readonly latencyMs: number;
}

/** No fault at all. */
export const noFault: Fault = { errorRate: 0, latencyMs: 0 };

const injectedCode = "REHEARSAL_INJECTED";

/** Throws `REHEARSAL_INVALID_FAULT` for a rate outside 0 to 1 or a latency outside 0 to 60,000 ms. */
export function checkFault(fault: Partial<Fault>): Fault {
  const { errorRate = 0, latencyMs = 0 } = fault;
  const fits = (value: number, max: number): boolean => value >= 0 && value <= max;
  if (!fits(errorRate, 1)) throw invalidFault("error rate", errorRate, "a share from 0 to 1");
  if (!fits(latencyMs, 60_000)) throw invalidFault("latency", latencyMs, "0 to 60000 milliseconds");
  return { errorRate, latencyMs };
}

function invalidFault(what: string, value: number, expected: string): CodedError {
  return new CodedError(
    "REHEARSAL_INVALID_FAULT",
    `The ${what} ${JSON.stringify(value)} cannot be injected. Use ${expected}.`,
    { status: 400 },
  );
}

/**
 * Makes a path fail on purpose, so that anybody can watch the rollback happen. Wraps a path once, at
 * the start; without a fault the wrapper only looks at one field.
 */
export class FaultSwitch {
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #faults: Record<Path, Fault> = { legacy: noFault, candidate: noFault };

  constructor(random: Random = systemRandom, clock: Clock = systemClock) {
    this.#random = random;
    this.#clock = clock;
  }

  /** The faults in force. */
  get current(): Readonly<Record<Path, Fault>> {
    return { ...this.#faults };
  }

  /** Throws `REHEARSAL_INVALID_FAULT`. `noFault` ends it. */
  set(path: Path, fault: Partial<Fault>): Fault {
    this.#faults[path] = checkFault(fault);
    return this.#faults[path];
  }

  /** The same operation, with both paths failing as long as a fault is set for them. */
  wrap<I, O>(definition: OperationDefinition<I, O>): OperationDefinition<I, O> {
    return {
      ...definition,
      legacy: this.#wrapPath("legacy", definition.legacy),
      candidate: this.#wrapPath("candidate", definition.candidate),
      // An injected failure comes before the path has begun, so it proves that nothing happened.
      effectOf: (thrown) =>
        codeOf(thrown) === injectedCode ? "absent" : (definition.effectOf?.(thrown) ?? "possible"),
    };
  }

  #wrapPath<I, O>(path: Path, run: PathFunction<I, O>): PathFunction<I, O> {
    return (input, call) => {
      const fault = this.#faults[path];
      return fault === noFault ? run(input, call) : this.#misbehave(fault, () => run(input, call));
    };
  }

  async #misbehave<O>(fault: Fault, run: () => O | PromiseLike<O>): Promise<O> {
    if (fault.latencyMs > 0) await sleep(this.#clock, fault.latencyMs);
    if (this.#random.next() < fault.errorRate) {
      throw new CodedError(
        injectedCode,
        "This failure was injected on purpose (changeover sandbox fault).",
        { status: 500 },
      );
    }
    return run();
  }
}
