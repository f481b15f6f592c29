import { describe, expect, it } from "vitest";
import type { CaseContext, Tier } from "../../bench/case.ts";
import { shadowCost } from "../../bench/cases/shadow-cost.ts";
import type { ShadowBlock, ShadowJob, ShadowLaunch } from "../../bench/children/shadow-cost.ts";
import { networkProfiles } from "../../bench/network/profiles.ts";
import { readTargets } from "../../bench/targets.ts";
import { systemClock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { runInChild } from "../../src/harness/child.ts";
import type { Comparison, Figure } from "../../src/harness/measurement.ts";
import { judgeTarget } from "../../src/harness/target.ts";

const { targets } = await readTargets();
const ofShadows = targets.filter(({ case: name }) => name === shadowCost.name);

interface Ran {
  readonly jobs: readonly ShadowJob[];
  readonly comparisons: readonly Comparison[];
  readonly figures: readonly Figure[];
}

/** Runs the case with launches that answer `answer`. */
async function run(tier: Tier, answer: (job: ShadowJob) => ShadowLaunch): Promise<Ran> {
  const jobs: ShadowJob[] = [];
  const context = {
    tier,
    quick: tier === "quick",
    seed: 1,
    progress: () => undefined,
    runChild: async ({ input }: { readonly input: ShadowJob }) => {
      jobs.push(input);
      return answer(input);
    },
  } as unknown as CaseContext;
  const { comparisons, figures = [] } = await shadowCost.run(context);
  return { jobs, comparisons, figures };
}

function block(ms: number, ran: number): ShadowBlock {
  const times = { p50Ms: ms, p95Ms: 2 * ms, p99Ms: 3 * ms };
  const shed = { skipped: { "queue-full": 100 - ran }, waitingAtEnd: 0, drainedMs: 1 };
  return { calls: 100, ...times, utilisation: 0.3, ran, ...shed };
}

/** Without shadows 1 ms each, with them `onMs`; of a hundred calls `ran` were shadowed. */
function launch(onMs: number, ran: number): ShadowLaunch {
  const off = [block(1, 0), block(1, 0)];
  return { perSecond: 100, off, on: [block(onMs, ran), block(onMs, ran)] };
}

function verdicts({ comparisons, figures }: Ran): Record<string, string> {
  const measured = { comparisons, figures, cores: 2, quick: false, random: seededRandom(1) };
  return Object.fromEntries(
    ofShadows.map((target) => [target.id, judgeTarget(target, measured).verdict]),
  );
}

describe("the cost of shadows", () => {
  it("is measured with a backend in the next room, and with one as far as the region", async () => {
    const { jobs } = await run("full", () => launch(1, 100));
    const far = jobs.filter(({ backendMs }) => backendMs === networkProfiles.region.roundTripMs);
    const near = jobs.filter(({ backendMs }) => backendMs === networkProfiles.lan.roundTripMs);
    expect(far.length).toBeGreaterThan(0);
    expect(far.length + near.length).toBe(jobs.length);
    for (const job of far) {
      expect(job).toMatchObject({
        utilisation: 0.3,
        calibrate: "without shadows",
        percentage: 100,
      });
    }
  });

  it.each(["quick", "default", "full"] as const)(
    "is watched for many round trips in a block of the %s tier",
    async (tier) => {
      const { jobs } = await run(tier, () => launch(1, 100));
      for (const { blockMs, calibrationMs, backendMs } of jobs) {
        expect(blockMs / backendMs).toBeGreaterThanOrEqual(40);
        expect(calibrationMs / backendMs).toBeGreaterThanOrEqual(20);
      }
    },
  );

  it("has a value for every target, and meets them when callers notice nothing", async () => {
    const judged = verdicts(
      await run("default", ({ utilisation }) =>
        utilisation > 0.5 ? launch(5, 20) : launch(1.01, 100),
      ),
    );
    expect(Object.keys(judged)).toEqual(
      expect.arrayContaining([
        "shadow-busy-before-region-p50",
        "shadow-busy-before-region-p95",
        "shadow-busy-before-region-share",
      ]),
    );
    expect(new Set(Object.values(judged))).toEqual(new Set(["pass"]));
  });

  it("misses its targets when callers wait longer, each distance by itself", async () => {
    const judged = verdicts(
      await run("default", ({ backendMs }) => launch(backendMs > 1 ? 1.2 : 1, 100)),
    );
    expect(judged["shadow-busy-before-region-p50"]).toBe("fail");
    expect(judged["shadow-busy-before-region-p95"]).toBe("fail");
    expect(judged["shadow-busy-before-p50"]).toBe("pass");
  });

  it("says that callers were fast only because their shadows were shed", async () => {
    const judged = verdicts(await run("default", () => launch(1, 13)));
    expect(judged["shadow-busy-before-region-p50"]).toBe("pass");
    expect(judged["shadow-busy-before-region-share"]).toBe("fail");
    expect(judged["shadow-busy-with-share"]).toBe("fail");
    expect(judged["shadow-busy-before-share"]).toBe("fail");
  });
});

describe("a launch", () => {
  it("waits for the backend's distance, and loses no shadow out of sight", async () => {
    const input: ShadowJob = {
      utilisation: 0.3,
      calibrate: "without shadows",
      backendMs: 20,
      concurrentMax: 256,
      percentage: 100,
      pairs: 1,
      blockMs: 200,
      calibrationMs: 50,
      seed: 1,
    };
    const program = new URL("../../bench/children/shadow-cost.ts", import.meta.url);
    const { off, on } = await runInChild<ShadowLaunch>({ program, input, clock: systemClock });
    for (const { p50Ms } of [...off, ...on]) expect(p50Ms).toBeGreaterThanOrEqual(19);
    const [shadowed] = on;
    const shed = Object.values(shadowed?.skipped ?? {}).reduce((sum, each) => sum + each, 0);
    expect(shadowed?.calls).toBeGreaterThan(0);
    expect((shadowed?.ran ?? 0) + shed).toBe(shadowed?.calls);
    expect(off[0]?.ran).toBe(0);
  });
});
