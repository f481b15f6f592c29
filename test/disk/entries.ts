import type { JournalEntry } from "../../src/migration/journal.ts";

export const anEntryOf = (why: string): JournalEntry => ({
  at: "2026-01-01T00:00:00.000Z",
  operation: "test.read",
  kind: "trip",
  actor: { type: "system", name: "test" },
  from: null,
  to: null,
  why,
  evidence: { padding: "x".repeat(100) },
});
