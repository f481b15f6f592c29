import { describe, expect, it } from "vitest";
import type { LatchRecord, LatchStore } from "../../src/migration/latch.ts";

/** A record of a tripped latch, changed as wished. */
export function aRecord(change: Partial<LatchRecord> = {}): LatchRecord {
  return {
    operation: "test.read",
    tripped: true,
    epoch: 1,
    at: "2026-01-01T00:00:00.000Z",
    by: { type: "rule", name: "error-rate" },
    reason: "7 of 7 failed",
    evidence: { observed: 1 },
    ...change,
  };
}

/** What every latch store must do. `make` gives a fresh, empty one. */
export function latchStoreContract(
  name: string,
  make: () => Promise<LatchStore> | LatchStore,
): void {
  describe(`the latch store: ${name}`, () => {
    it("is empty at first", async () => {
      expect(await (await make()).load()).toEqual([]);
    });

    it("gives back the newest record of each operation, field for field", async () => {
      const store = await make();
      const armed = aRecord({
        tripped: false,
        at: "2026-01-01T00:01:00.000Z",
        by: { type: "person", name: "ada" },
      });
      const other = aRecord({ operation: "test.other", epoch: 7 });
      await store.save(aRecord());
      await store.save(other);
      await store.save(armed);
      const records = await store.load();
      expect(records.toSorted((a, b) => a.operation.localeCompare(b.operation))).toEqual([
        other,
        armed,
      ]);
    });

    it("keeps both of two operations that are saved at the same time", async () => {
      const store = await make();
      const names = Array.from({ length: 20 }, (_, n) => `test.op-${n}`);
      await Promise.all(names.map((operation) => store.save(aRecord({ operation }))));
      expect((await store.load()).map((record) => record.operation).toSorted()).toEqual(
        names.toSorted(),
      );
    });
  });
}
