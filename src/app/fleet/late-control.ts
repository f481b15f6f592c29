import type { Clock } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import type { FlagControl, FlagFreshness, FlagSource } from "../../migration/flags.ts";

/** Milliseconds that a change of a flag waits for a flag server that is still starting. */
const waitMs = 3000;

/**
 * The write side of flags whose server is still starting: it waits a little, and then says so with
 * `FLAGS_UNLEASH_UNAVAILABLE`, which may be tried again.
 */
export function lateControl(control: Promise<FlagControl>, clock: Clock): FlagControl {
  // A server that never comes up is told of where it was started.
  control.catch(() => undefined);
  const use = async <T>(work: (ready: FlagControl) => Promise<T>): Promise<T> => {
    const late = Promise.withResolvers<never>();
    const timer = clock.after(waitMs, () => late.reject(notYet()), true);
    try {
      return await work(await Promise.race([control, late.promise]));
    } finally {
      timer.cancel();
    }
  };
  return {
    read: (operation) => use((ready) => ready.read(operation)),
    setPercentage: (...given) => use((ready) => ready.setPercentage(...given)),
    setShadow: (...given) => use((ready) => ready.setShadow(...given)),
    switchOff: (...given) => use((ready) => ready.switchOff(...given)),
    releaseHold: (...given) => use((ready) => ready.releaseHold(...given)),
  };
}

function notYet(): CodedError {
  return new CodedError(
    "FLAGS_UNLEASH_UNAVAILABLE",
    "Unleash is still starting, so its flags cannot be changed yet; every call runs on legacy until then. Try again in a few seconds.",
    { status: 503, retryable: true, retryAfterSeconds: 5 },
  );
}

/** A flag source with another write side. */
export class ControlledFlags implements FlagSource {
  readonly control: FlagControl;
  readonly #flags: FlagSource;

  constructor(flags: FlagSource, control: FlagControl) {
    this.#flags = flags;
    this.control = control;
  }

  get kind(): string {
    return this.#flags.kind;
  }

  revision(): number {
    return this.#flags.revision();
  }

  freshness(monotonicMs?: number): FlagFreshness {
    return this.#flags.freshness(monotonicMs);
  }

  answer(operation: string, key: string): ReturnType<FlagSource["answer"]> {
    return this.#flags.answer(operation, key);
  }

  bucket(operation: string, key: string): number | null {
    return this.#flags.bucket?.(operation, key) ?? null;
  }

  state(operation: string): ReturnType<FlagSource["state"]> {
    return this.#flags.state(operation);
  }

  problems(): ReturnType<FlagSource["problems"]> {
    return this.#flags.problems();
  }

  ready(): Promise<void> {
    return this.#flags.ready();
  }

  close(): Promise<void> {
    return this.#flags.close();
  }
}
