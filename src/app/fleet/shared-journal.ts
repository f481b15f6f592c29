import type { Clock, Timer } from "../../base/clock.ts";
import type { Journal, JournalEntry, JournalQuery } from "../../migration/journal.ts";

/** What a shared journal is made of. */
export interface SharedJournalOptions {
  /** The fleet's: what `read` tells. */
  readonly shared: Journal;
  /** This instance's own, on its disk: never waits for the network. */
  readonly own: Journal;
  readonly clock: Clock;
  readonly report: (part: string, error: unknown) => void;
}

/** Entries that wait for the fleet's journal at most; beyond it only the own one has them. */
const waitingMax = 10_000;
const tryEveryMs = 2000;

/**
 * The fleet's journal with this instance's own beside it. An entry is written here first, so that a
 * rollback is on record while the fleet's journal cannot be reached; it is sent on, in order, as soon as
 * that is back. `read` tells what the fleet knows, or, where that cannot be read, what this instance does.
 */
export class SharedJournal implements Journal {
  readonly #options: SharedJournalOptions;
  readonly #waiting: JournalEntry[] = [];
  readonly #timer: Timer;
  #sending: Promise<void> | null = null;
  #troubled = false;

  constructor(options: SharedJournalOptions) {
    this.#options = options;
    this.#timer = options.clock.every(tryEveryMs, () => void this.#send());
  }

  /** Entries that the fleet does not have yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  async append(entry: JournalEntry): Promise<void> {
    const { own, report } = this.#options;
    this.#waiting.push(entry);
    if (this.#waiting.length > waitingMax) {
      this.#waiting.shift();
      report(
        "shared-journal",
        new Error("Too many entries wait; one stays in the own journal only."),
      );
    }
    const sent = this.#send();
    await own.append(entry);
    await sent;
  }

  async read(query?: JournalQuery): Promise<readonly JournalEntry[]> {
    const { shared, own, report } = this.#options;
    try {
      return await shared.read(query);
    } catch (error) {
      report("shared-journal", error);
      return own.read(query);
    }
  }

  /** Tries once more to send what waits. Never rejects. */
  async close(): Promise<void> {
    this.#timer.cancel();
    await this.#send();
  }

  #send(): Promise<void> {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = null;
    });
    return this.#sending;
  }

  async #sendAll(): Promise<void> {
    const { shared, report } = this.#options;
    for (let entry = this.#waiting[0]; entry !== undefined; entry = this.#waiting[0]) {
      try {
        await shared.append(entry);
        this.#waiting.shift();
        this.#troubled = false;
      } catch (error) {
        // Once for each time that it goes away, and not every two seconds.
        if (!this.#troubled) report("shared-journal", error);
        this.#troubled = true;
        return;
      }
    }
  }
}
