import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteBudget } from "../../src/base/byte-budget.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";

const make = (limitBytes: number, queueMax = 10): { budget: ByteBudget; clock: ManualClock } => {
  const clock = new ManualClock();
  const budget = new ByteBudget({ name: "test", limitBytes, queueMax, waitMs: 1000 }, clock);
  return { budget, clock };
};

describe("a byte budget", () => {
  it("never has more claimed than its limit, unless one claim alone is larger", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 150 }), { maxLength: 30 }),
        async (sizes) => {
          const { budget } = make(100, 100);
          const releases: (() => void)[] = [];
          const claims = sizes.map((bytes) =>
            budget.claim(bytes).then((release) => {
              releases.push(release);
              expect(budget.claimedBytes <= 100 || budget.claimedBytes === bytes).toBe(true);
            }),
          );
          for (let round = 0; round < sizes.length; round += 1) {
            await Promise.resolve();
            releases.shift()?.();
            await new Promise((resolve) => setImmediate(resolve));
          }
          await Promise.all(claims);
          for (const release of releases) release();
          expect([budget.claimedBytes, budget.waiting]).toEqual([0, 0]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("serves claims in the order in which they came", async () => {
    const { budget } = make(100);
    const order: number[] = [];
    const release = await budget.claim(100);
    const waiting = [30, 10, 60].map((bytes, index) =>
      budget.claim(bytes).then(() => order.push(index)),
    );
    release();
    await Promise.all(waiting);
    expect(order).toEqual([0, 1, 2]);
  });

  it("lets a claim that gives up leave the queue at once", async () => {
    const { budget, clock } = make(100);
    const release = await budget.claim(100);
    const controller = new AbortController();
    const claim = budget.claim(10, controller.signal);
    controller.abort("enough");
    await expect(claim).rejects.toBe("enough");
    expect([budget.waiting, clock.pending]).toEqual([0, 0]);
    release();
    expect(budget.claimedBytes).toBe(0);
  });

  it("refuses at once when the queue is full, and after the wait otherwise", async () => {
    const { budget, clock } = make(100, 1);
    await budget.claim(100);
    const waiting = budget.claim(1);
    await expect(budget.claim(1)).rejects.toThrow(/1 calls are already waiting/);
    clock.advance(1000);
    await expect(waiting).rejects.toMatchObject({ code: "MIGRATION_OVERLOADED", status: 503 });
  });

  it("counts a release once, however often it is called", async () => {
    const { budget } = make(100);
    const release = await budget.claim(40);
    await budget.claim(50);
    release();
    release();
    expect(budget.claimedBytes).toBe(50);
  });
});
