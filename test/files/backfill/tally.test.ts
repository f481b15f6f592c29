import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type BackfillTally,
  counted,
  emptyTally,
  etaMs,
  type ObjectOutcome,
  sumUp,
} from "../../../src/files/backfill/tally.ts";

const outcomes = fc.array(
  fc.record({
    kind: fc.constantFrom("known" as const, "adopted" as const, "gone" as const),
    bytes: fc.nat(1_000_000),
    sameAs: fc.option(fc.string({ minLength: 1 })),
  }),
);
const tallyOf = (all: readonly ObjectOutcome[]): BackfillTally =>
  all.reduce((tally, outcome, index) => counted(tally, String(index), outcome), emptyTally);

describe("a tally", () => {
  it("is the same however the objects are shared out", () => {
    fc.assert(
      fc.property(outcomes, fc.nat(20), (all, cut) => {
        const parts = [tallyOf(all.slice(0, cut)), tallyOf(all.slice(cut))];
        const { duplicates, ...counts } = sumUp(parts);
        const { duplicates: whole, ...wholeCounts } = tallyOf(all);
        expect(counts).toEqual(wholeCounts);
        expect(duplicates.map(({ sameAs }) => sameAs)).toEqual(whole.map(({ sameAs }) => sameAs));
        expect(counts.objects).toBe(all.length);
      }),
    );
  });
});

describe("the time to go", () => {
  const start = { atMs: 1000, done: 100 };

  it("follows from the speed of all machines since this one came", () => {
    expect(etaMs(start, { atMs: 11_000, done: 200 }, 500)).toBe(30_000);
    expect(etaMs(start, { atMs: 11_000, done: 500 }, 500)).toBe(0);
  });

  it("is unknown before there is a speed, and never below nothing", () => {
    expect(etaMs(start, start, 500)).toBeNull();
    expect(etaMs(start, { atMs: 9000, done: 100 }, 500)).toBeNull();
    expect(etaMs(start, { atMs: 9000, done: 600 }, 500)).toBe(0);
  });
});
