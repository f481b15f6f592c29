import { CodedError } from "../base/errors.ts";
import type { Journal, JournalEntry, JournalQuery } from "../migration/journal.ts";
import type { PostgresPool } from "./pool.ts";

/** Limits of the journal. */
export interface PostgresJournalOptions {
  readonly pool: PostgresPool;
  /** Bytes that one entry may have; default 256 KiB. */
  readonly entryBytesMax?: number;
}

interface JournalRow {
  readonly at: Date;
  readonly operation: string;
  readonly kind: JournalEntry["kind"];
  readonly actor_type: JournalEntry["actor"]["type"];
  readonly actor_name: string;
  readonly from_state: string | null;
  readonly to_state: string | null;
  readonly why: string;
  readonly evidence: Readonly<Record<string, unknown>>;
}

/**
 * The history of the whole fleet. Append-only by grants: the role that instances work under may insert and
 * read, and nothing else; the database adds when and by which login an entry was recorded. An entry is
 * committed when `append` resolves.
 */
export class PostgresJournal implements Journal {
  readonly #pool: PostgresPool;
  readonly #entryBytesMax: number;

  constructor(options: PostgresJournalOptions) {
    this.#pool = options.pool;
    this.#entryBytesMax = options.entryBytesMax ?? 256 * 1024;
  }

  /** Throws `POSTGRES_JOURNAL_ENTRY_TOO_LARGE`, and what `PostgresPool` throws. */
  async append(entry: JournalEntry): Promise<void> {
    const bytes = Buffer.byteLength(JSON.stringify(entry));
    if (bytes > this.#entryBytesMax) {
      throw new CodedError(
        "POSTGRES_JOURNAL_ENTRY_TOO_LARGE",
        `A journal entry of ${bytes} bytes is over the limit of ${this.#entryBytesMax}. Keep less evidence.`,
        { details: { bytes, entryBytesMax: this.#entryBytesMax } },
      );
    }
    const { at, operation, kind, actor, from, to, why, evidence } = entry;
    const texts = [operation, kind, actor.type, actor.name, from, to, why];
    await this.#pool.query(
      `INSERT INTO changeover.journal
         (at, operation, kind, actor_type, actor_name, from_state, to_state, why, evidence)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [at, ...texts.map((text) => text && storable(text)), JSON.stringify(evidence)],
    );
  }

  async read(query: JournalQuery = {}): Promise<readonly JournalEntry[]> {
    const since = query.sinceMs === undefined ? null : new Date(query.sinceMs).toISOString();
    const rows = await this.#pool.query<JournalRow>(
      `SELECT at, operation, kind, actor_type, actor_name, from_state, to_state, why, evidence
       FROM changeover.journal
       WHERE ($1::text IS NULL OR operation = $1) AND ($2::timestamptz IS NULL OR at >= $2)
       ORDER BY id DESC LIMIT $3`,
      [query.operation ?? null, since, query.limit ?? 100],
    );
    return rows.map(entryOf).reverse();
  }
}

/** Postgres stores every character but U+0000. */
export function storable(text: string): string {
  return text.replaceAll("\0", "\u{fffd}");
}

const entryOf = (row: JournalRow): JournalEntry => ({
  at: row.at.toISOString(),
  operation: row.operation,
  kind: row.kind,
  actor: { type: row.actor_type, name: row.actor_name },
  from: row.from_state,
  to: row.to_state,
  why: row.why,
  evidence: row.evidence,
});
