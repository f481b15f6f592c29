import type { Journal, JournalEntry, JournalQuery } from "../../migration/journal.ts";
import { type Notice, noticeOf } from "./notice.ts";

/** A journal that tells people of what is written into it; the writing never waits for the telling. */
export class NoticingJournal implements Journal {
  readonly #journal: Journal;
  readonly #tell: (notice: Notice) => void;

  constructor(journal: Journal, tell: (notice: Notice) => void) {
    this.#journal = journal;
    this.#tell = tell;
  }

  /** Tells first: a journal that cannot write is one more reason to hear of a rollback. */
  append(entry: JournalEntry): Promise<void> {
    const notice = noticeOf(entry);
    if (notice !== null) this.#tell(notice);
    return this.#journal.append(entry);
  }

  read(query?: JournalQuery): Promise<readonly JournalEntry[]> {
    return this.#journal.read(query);
  }
}
