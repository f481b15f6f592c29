/** Keeps requests apart that are made at the same time: equal ones become one, different ones wait. */
export class Turns {
  /** Requests under way, by what they ask for. */
  readonly #flights = new Map<string, Promise<unknown>>();
  /** The last change of each subject that must come before the next one. */
  readonly #queues = new Map<string, Promise<unknown>>();

  /** One request for all who ask for the same, by `key`, at the same time. */
  once<T>(key: string, work: () => Promise<T>): Promise<T> {
    const flying = this.#flights.get(key);
    if (flying !== undefined) return flying as Promise<T>;
    const flight = work().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }

  /** Changes of one subject, one after the other, whatever became of the one before. */
  inTurn<T>(subject: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(subject) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.catch(() => undefined);
    this.#queues.set(subject, settled);
    void settled.then(() => {
      if (this.#queues.get(subject) === settled) this.#queues.delete(subject);
    });
    return mine;
  }
}
