import { describe, expect, it } from "vitest";
import { codeOf } from "../../src/base/errors.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import {
  type Contestant,
  convertPairs,
  judgePairs,
  measurePairs,
  type PairsOptions,
  type PairValues,
} from "../../src/harness/pairs.ts";

/** A normal number by Box and Muller. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/**
 * Takes `ms` on the manual clock, with the noise of a busy machine: 5 % of jitter, a load that slows
 * both contestants for a while, and one sample in ten that is interrupted for three times as long.
 */
function noisy(name: string, ms: number, clock: ManualClock, random: Random): Contestant {
  return {
    name,
    run: async ({ pair }) => {
      const load = 1 + 0.5 * Math.sin(pair / 7);
      const interrupted = random.next() < 0.1 ? 3 : 1;
      clock.advance(ms * load * interrupted * Math.exp(0.05 * normal(random)));
    },
  };
}

async function launch(contenderMs: number, seed: number): Promise<PairValues> {
  const clock = new ManualClock();
  const random = seededRandom(seed);
  return measurePairs(
    noisy("base", 10, clock, random),
    noisy("contender", contenderMs, clock, random),
    { clock, random, pairs: 60, samplesPerBlock: 5, limitMs: 1e9 },
  );
}

const seeds = Array.from({ length: 40 }, (_, index) => index + 1);

/** Runs `act` for every seed and counts how often it says yes. */
async function count(act: (seed: number) => Promise<boolean>): Promise<number> {
  let yes = 0;
  for (const seed of seeds) if (await act(seed)) yes += 1;
  return yes;
}

async function judged(contenderMs: number, seed: number) {
  const launches = [await launch(contenderMs, seed), await launch(contenderMs, seed + 1000)];
  return judgePairs(launches, { random: seededRandom(seed), resamples: 400 });
}

describe("pairs of the same code", () => {
  it("have a ratio of about 1, and an interval that covers 1 in at least 9 of 10 runs", async () => {
    const covered = await count(async (seed) => {
      const { ratio, ratioCi95 } = await judged(10, seed);
      expect(Math.abs(ratio - 1)).toBeLessThan(0.03);
      return ratioCi95.low <= 1 && ratioCi95.high >= 1;
    });
    expect(covered).toBeGreaterThanOrEqual(36);
  });
});

describe("pairs with a contender that is 10 % slower", () => {
  it("show it in every run: the interval lies above 1.03 and covers 1.1", async () => {
    let covers = 0;
    const seen = await count(async (seed) => {
      const { ratioCi95 } = await judged(11, seed);
      if (ratioCi95.low <= 1.1 && ratioCi95.high >= 1.1) covers += 1;
      return ratioCi95.low > 1.03;
    });
    expect(seen).toBe(seeds.length);
    expect(covers).toBeGreaterThanOrEqual(36);
  });
});

describe("measuring pairs", () => {
  interface Step {
    readonly name: string;
    readonly step: string;
    readonly pair: number;
  }

  async function recorded(options: Partial<PairsOptions> = {}) {
    const clock = new ManualClock();
    const steps: Step[] = [];
    const contestant = (name: string): Contestant => ({
      name,
      prepare: ({ pair }) => {
        clock.advance(1000);
        steps.push({ name, step: "prepare", pair });
      },
      run: async ({ pair }) => {
        clock.advance(name === "a" ? 2 : 4);
        steps.push({ name, step: "run", pair });
      },
      finish: ({ pair }) => {
        clock.advance(1000);
        steps.push({ name, step: "finish", pair });
      },
    });
    const result = await measurePairs(contestant("a"), contestant("b"), {
      clock,
      random: seededRandom(4),
      pairs: 200,
      limitMs: 1e9,
      ...options,
    });
    return { result, steps };
  }

  it("times only the run itself", async () => {
    const { result } = await recorded({ pairs: 5 });
    expect(result.base).toEqual({ name: "a", values: [2, 2, 2, 2, 2] });
    expect(result.contender).toEqual({ name: "b", values: [4, 4, 4, 4, 4] });
    const { ratio, difference, pairs, launches } = judgePairs([result], {
      random: seededRandom(1),
    });
    expect({ ratio, difference, pairs, launches }).toEqual({
      ratio: 2,
      difference: 2,
      pairs: 5,
      launches: 1,
    });
  });

  it("prepares, runs and finishes every sample in that order, warm-up first", async () => {
    const { steps } = await recorded({ pairs: 1, warmupPairs: 1 });
    const order = steps.map(({ step }) => step);
    expect(order).toEqual(Array.from({ length: 4 }, () => ["prepare", "run", "finish"]).flat());
    expect(steps.map(({ pair }) => pair)).toEqual([-1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0]);
  });

  it("lets either contestant begin about half of the pairs, in an order that follows the seed", async () => {
    const { result, steps } = await recorded();
    const baseFirst = result.first.filter((each) => each === "base").length;
    expect(baseFirst).toBeGreaterThan(70);
    expect(baseFirst).toBeLessThan(130);
    const began = result.first.map(
      (_, pair) => steps.find((step) => step.pair === pair)?.name === "a",
    );
    expect(began).toEqual(result.first.map((each) => each === "base"));
    expect((await recorded()).result.first).toEqual(result.first);
    const other = await recorded({ random: seededRandom(5) });
    expect(other.result.first).not.toEqual(result.first);
  });

  it("takes the median of a block, which one interruption cannot move", async () => {
    const clock = new ManualClock();
    const timesMs = [1, 100, 1];
    const steady: Contestant = { name: "steady", run: async () => clock.advance(1) };
    const spiky: Contestant = {
      name: "spiky",
      run: async ({ sample }) => clock.advance(timesMs[sample] ?? 0),
    };
    const result = await measurePairs(steady, spiky, {
      clock,
      random: seededRandom(1),
      pairs: 3,
      samplesPerBlock: 3,
    });
    expect(result.contender.values).toEqual([1, 1, 1]);
  });

  it("stops at its time limit with the pairs it has, and refuses when they are too few", async () => {
    const { result } = await recorded({ limitMs: 40_000, warmupPairs: 0 });
    expect(result.base.values).toHaveLength(10);
    const refused = recorded({ limitMs: 5000, warmupPairs: 0 });
    await expect(refused).rejects.toSatisfy((e) => codeOf(e) === "HARNESS_TOO_FEW_PAIRS");
  });

  it("refuses a sample that took no time at all", async () => {
    const clock = new ManualClock();
    const idle: Contestant = { name: "idle", run: async () => undefined };
    const options = { clock, random: seededRandom(1), pairs: 3 };
    await expect(measurePairs(idle, idle, options)).rejects.toSatisfy(
      (error) => codeOf(error) === "HARNESS_SAMPLE_TOO_SHORT",
    );
  });

  it("ends with the signal's reason, and with whatever a contestant throws", async () => {
    const reason = new Error("enough");
    await expect(recorded({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const broken: Contestant = { name: "broken", run: () => Promise.reject(reason) };
    const options = { clock: new ManualClock(), random: seededRandom(1), pairs: 3 };
    await expect(measurePairs(broken, broken, options)).rejects.toBe(reason);
  });

  it("keeps the ratio the right way up in a unit where more is better", async () => {
    const { result } = await recorded({ pairs: 5 });
    const perSecond = judgePairs([convertPairs(result, (ms) => 1000 / ms)], {
      random: seededRandom(1),
    });
    expect(perSecond.base).toBe(500);
    expect(perSecond.contender).toBe(250);
    expect(perSecond.ratio).toBeCloseTo(0.5, 10);
  });

  it("has no ratio of a value that is 0", () => {
    const pairs: PairValues = {
      base: { name: "a", values: [1] },
      contender: { name: "b", values: [0] },
      first: ["base"],
    };
    expect(() => judgePairs([pairs], { random: seededRandom(1) })).toThrow(/above 0/);
  });
});
