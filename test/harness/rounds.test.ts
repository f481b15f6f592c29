import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { addedTo, measureRounds, shuffled } from "../../src/harness/rounds.ts";

describe("rounds", () => {
  it("give every contestant one value for each round, and throw the first round away", async () => {
    const clock = new ManualClock();
    const contestant = (name: string, ms: number) => ({
      name,
      run: async ({ pair }: { pair: number }) => clock.advance(pair < 0 ? 1000 : ms),
    });
    const series = await measureRounds(
      [contestant("a", 1), contestant("b", 2), contestant("c", 4)],
      {
        clock,
        random: seededRandom(1),
        rounds: 3,
      },
    );
    expect(series).toEqual([
      { name: "a", values: [1, 1, 1] },
      { name: "b", values: [2, 2, 2] },
      { name: "c", values: [4, 4, 4] },
    ]);
  });

  it("let every contestant come first and last about as often", () => {
    const random = seededRandom(7);
    const firsts = [0, 0, 0];
    for (let round = 0; round < 3000; round += 1) {
      const order = shuffled(3, random);
      expect([...order].sort()).toEqual([0, 1, 2]);
      const first = order[0] ?? 0;
      firsts[first] = (firsts[first] ?? 0) + 1;
    }
    for (const count of firsts) expect(Math.abs(count - 1000)).toBeLessThan(120);
  });

  it("say what a contestant adds to another within the same round", () => {
    const base = { name: "direct", values: [10, 20] };
    expect(addedTo(base, { name: "wrapped", values: [15, 19] })).toEqual({
      name: "wrapped",
      values: [5, -1],
    });
  });
});
