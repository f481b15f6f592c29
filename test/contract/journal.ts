import { describe, expect, it } from "vitest";
import type { Journal, JournalEntry } from "../../src/migration/journal.ts";

/** An entry with everything in it. */
export function anEntry(at: string, operation = "test.read", why = "because"): JournalEntry {
  return {
    at,
    operation,
    kind: "rollback",
    actor: { type: "rule", name: "error-rate" },
    from: "candidate",
    to: "legacy",
    why,
    evidence: { observed: 0.5, steps: [{ name: "latch", result: "done" }] },
  };
}

const minute = (n: number): string => new Date(Date.UTC(2026, 0, 1, 0, n)).toISOString();

/** What every journal must do. `make` gives a fresh, empty one. */
export function journalContract(name: string, make: () => Promise<Journal> | Journal): void {
  describe(`the journal: ${name}`, () => {
    it("gives back what was appended, oldest first, field for field", async () => {
      const journal = await make();
      const entries = [1, 2, 3].map((n) => anEntry(minute(n)));
      for (const entry of entries) await journal.append(entry);
      expect(await journal.read()).toEqual(entries);
    });

    it("is empty at first", async () => {
      expect(await (await make()).read()).toEqual([]);
    });

    it("finds the newest entries of one operation, since a moment, up to a limit", async () => {
      const journal = await make();
      for (let n = 0; n < 20; n += 1) {
        await journal.append(anEntry(minute(n), n % 2 ? "test.odd" : "test.even"));
      }
      const read = await journal.read({
        operation: "test.odd",
        sinceMs: Date.parse(minute(5)),
        limit: 3,
      });
      expect(read.map((entry) => entry.at)).toEqual([minute(15), minute(17), minute(19)]);
      expect(
        await journal.read({ operation: "test.odd", sinceMs: Date.parse(minute(19)) }),
      ).toHaveLength(1);
    });

    it("gives the newest 100 entries when no limit is named", async () => {
      const journal = await make();
      for (let n = 0; n < 130; n += 1) await journal.append(anEntry(minute(n)));
      const read = await journal.read();
      expect(read).toHaveLength(100);
      expect(read.at(-1)?.at).toBe(minute(129));
    });

    it("keeps entries whole that are appended at the same time", async () => {
      const journal = await make();
      const whys = Array.from(
        { length: 50 },
        (_, n) => `line ${n}\nwith a break and an "emoji" 🎈`,
      );
      await Promise.all(whys.map((why) => journal.append(anEntry(minute(1), "test.read", why))));
      const read = await journal.read();
      expect(read.map((entry) => entry.why).toSorted()).toEqual(whys.toSorted());
    });
  });
}
