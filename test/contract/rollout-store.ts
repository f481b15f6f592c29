import { describe, expect, it } from "vitest";
import type { Stage } from "../../src/rollout/plan/plan.ts";
import type { Lease, LeaseHold, RolloutRecord, RolloutStore } from "../../src/rollout/ports.ts";
import { taken } from "./lease.ts";

/** A fresh, empty store and the lease that fences it. */
export interface RolloutStoreWorld {
  /** All of them are the same store, as different processes see it. */
  store(): RolloutStore;
  readonly lease: Lease;
  /** Moves the time of the place the lease is kept in. */
  pass(ms: number): Promise<void> | void;
}

const none = { calls: 0, failed: 0, timedOut: 0, durationMs: 0 };

const aStage: Stage = {
  ...{ percentage: 0, shadowPercentage: 100, holdSeconds: 60, samples: 500, approval: false },
  ...{ drillMaxAgeDays: null, successRateMin: null, errorRateMax: 0.05, latencyFactorMax: 1.5 },
};

/** A record that was never written, changed as wished. */
export function aRollout(change: Partial<RolloutRecord> = {}): RolloutRecord {
  return {
    operation: "test.read",
    revision: 0,
    epoch: 1,
    plan: { name: "strict", stages: [aStage, { ...aStage, percentage: 10 }], quiet: [], after: [] },
    phase: "running",
    stage: 1,
    percentage: 10,
    pending: { from: 1, to: 10, stage: 1, leaseEpoch: 3 },
    givenUp: null,
    stageSince: "2026-01-01T00:00:00.000Z",
    phaseSince: "2026-01-01T00:00:00.000Z",
    heldMs: 1234.5,
    evidence: { legacy: none, candidate: { ...none, durationMs: null }, compared: 7 },
    baseline: none,
    approval: null,
    skip: { stage: 1, by: "Ada „Lovelace“", at: "2026-01-01T00:00:00.000Z" },
    latchEpoch: 0,
    why: "because",
    by: "a",
    ...change,
  };
}

const conflict = { code: "ROLLOUT_CONFLICT" };

/** What every store of rollouts must do. */
export function rolloutStoreContract(
  name: string,
  make: () => Promise<RolloutStoreWorld> | RolloutStoreWorld,
): void {
  describe(`the rollout store: ${name}`, () => {
    it("is empty at first", async () => {
      const { store } = await make();
      expect(await store().load()).toEqual([]);
      expect(await store().read("test.read")).toBeNull();
    });

    it("gives back what was saved, field for field, with its revision one higher", async () => {
      const { store } = await make();
      const saved = await store().save(aRollout(), null);
      expect(saved).toEqual(aRollout({ revision: 1 }));
      const other = await store().save(aRollout({ operation: "test.other" }), null);
      const next = await store().save({ ...saved, percentage: 50, pending: null }, null);
      expect(next).toEqual(aRollout({ revision: 2, percentage: 50, pending: null }));
      expect(await store().read("test.read")).toEqual(next);
      const all = await store().load();
      expect(all.toSorted((a, b) => a.operation.localeCompare(b.operation))).toEqual([other, next]);
    });

    it("refuses a record that somebody else has changed, and keeps theirs", async () => {
      const { store } = await make();
      const first = await store().save(aRollout(), null);
      await expect(store().save(aRollout({ by: "late" }), null)).rejects.toMatchObject(conflict);
      const theirs = await store().save({ ...first, by: "theirs" }, null);
      await expect(store().save({ ...first, by: "mine" }, null)).rejects.toMatchObject(conflict);
      const ahead = { ...theirs, revision: 7 };
      await expect(store().save(ahead, null)).rejects.toMatchObject(conflict);
      expect(await store().read("test.read")).toEqual(theirs);
    });

    it("takes one of several that are saved at once", async () => {
      const { store } = await make();
      let latest = await store().save(aRollout(), null);
      for (let round = 0; round < 20; round += 1) {
        const results = await Promise.allSettled(
          ["a", "b", "c"].map((by) => store().save({ ...latest, by }, null)),
        );
        const done = results.filter((result) => result.status === "fulfilled");
        expect(done).toHaveLength(1);
        latest = (await store().read("test.read")) as RolloutRecord;
        expect(latest).toEqual(done[0]?.value);
      }
    });

    it("takes a leader's write while its lease lasts", async () => {
      const { store, lease } = await make();
      const hold = await taken(lease, "a");
      const first = await store().save(aRollout(), hold);
      expect((await store().save(first, hold)).revision).toBe(2);
    });

    it("refuses a leader that froze: expired, succeeded, given up, or an epoch behind", async () => {
      const { store, lease, pass } = await make();
      const frozen = await taken(lease, "a");
      const first = await store().save(aRollout(), frozen);
      const refused = async (hold: LeaseHold): Promise<void> => {
        await expect(store().save({ ...first, by: "late" }, hold)).rejects.toMatchObject(conflict);
        const unknown = aRollout({ operation: "test.new" });
        await expect(store().save(unknown, hold)).rejects.toMatchObject(conflict);
      };
      await pass(lease.ttlMs + 1);
      await refused(frozen);
      const next = await taken(lease, "b");
      await refused(frozen);
      await refused({ ...next, holder: "a" });
      await refused({ ...next, epoch: next.epoch + 1 });
      await lease.release(next);
      await refused(next);
      expect(await store().load()).toEqual([first]);
    });
  });
}
