/** Stops a subscription; calling it again does nothing. */
export type Unsubscribe = () => void;

/** What a listener threw, and where: reported, never passed on to whoever emitted the event. */
export type ListenerErrorReport = (event: string, error: unknown) => void;

/**
 * A typed list of listeners. A listener that throws cannot hurt the emitter or the other listeners:
 * the throw is handed to `report` and the rest are still called. Nothing is awaited.
 */
export class TypedEvent<T> {
  readonly #name: string;
  readonly #report: ListenerErrorReport;
  // An array and not a set: emitting happens on every call, subscribing almost never.
  #listeners: readonly ((value: T) => void)[] = [];

  constructor(name: string, report: ListenerErrorReport) {
    this.#name = name;
    this.#report = report;
  }

  /** Adds a listener; the same function may be added twice and is then called twice. */
  subscribe(listener: (value: T) => void): Unsubscribe {
    const own = (value: T): void => listener(value);
    this.#listeners = [...this.#listeners, own];
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== own);
    };
  }

  emit(value: T): void {
    const listeners = this.#listeners;
    // By index: an iterator is an object more for every call of every operation.
    for (let index = 0; index < listeners.length; index += 1) {
      try {
        listeners[index]?.(value);
      } catch (error) {
        this.#reportSafely(error);
      }
    }
  }

  #reportSafely(error: unknown): void {
    try {
      this.#report(this.#name, error);
    } catch {
      // The last line of defence: a broken reporter may not hurt the emitter either.
    }
  }
}
