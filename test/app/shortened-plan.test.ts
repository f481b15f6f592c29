import { describe, expect, it } from "vitest";
import { shortenPlan } from "../../src/app/rollout/shortened-plan.ts";
import { defaultPolicy, parsePolicy } from "../../src/changeover.ts";
import { parsePlan } from "../../src/rollout/plan/plan.ts";

const short = { holdSeconds: 4, calmSeconds: 5 };

describe("a plan shortened for a demonstration", () => {
  it("keeps every percentage, sample and rate of the plan", () => {
    const plan = parsePlan({ profile: "predecessor" }).of("files.info", "read");
    const shortened = shortenPlan(plan, defaultPolicy, short);
    const timeless = plan.stages.map(({ holdSeconds: _, ...stage }) => stage);
    expect(shortened.stages.map(({ holdSeconds: _, ...stage }) => stage)).toEqual(timeless);
    expect(shortened.stages.map(({ holdSeconds }) => holdSeconds)).toEqual([0, 4, 4, 4, 4]);
  });

  it("is a valid plan and a valid policy, and the same plan for the operation", () => {
    const plan = parsePlan({}).of("files.info", "read");
    const shortened = shortenPlan(plan, defaultPolicy, short);
    expect(parsePlan(shortened.plan).of("files.info", "read").stages).toEqual(shortened.stages);
    const policy = parsePolicy(shortened.policy);
    expect(policy).toEqual({
      ...defaultPolicy,
      engine: { ...defaultPolicy.engine, healthyAfterSeconds: 5 },
      latency: { ...defaultPolicy.latency, enabled: false },
    });
  });

  it("says each thing that is not as it was, and nothing else", () => {
    const quiet = [{ from: "Fri 15:00", to: "Mon 08:00", timeZone: "UTC" }];
    const stages = [
      { percentage: 0, holdSeconds: 60, samples: 1, drillMaxAgeDays: 30 },
      { percentage: 100, holdSeconds: 2, samples: 1 },
    ];
    const order = [{ operations: ["files.list"] }, { operations: ["files.info"] }];
    const written = { profile: "mine", profiles: { mine: stages }, quiet, order };
    const { changes, plan } = shortenPlan(
      parsePlan(written).of("files.info", "read"),
      defaultPolicy,
      short,
    );
    expect(changes).toEqual([
      expect.stringMatching(/4 s at most, where plan mine says: 0 % 60 s, 100 % 2 s/),
      expect.stringMatching(/after 5 s of calm/),
      expect.stringMatching(/latency rule is off/),
      expect.stringMatching(/quiet times/),
      expect.stringMatching(/order of operations/),
      expect.stringMatching(/earlier drill/),
    ]);
    expect(plan.profiles["mine"]?.[1]?.holdSeconds).toBe(2);
    const calm = parsePolicy({ latency: { enabled: false }, engine: { healthyAfterSeconds: 3 } });
    const plain = shortenPlan(parsePlan({}).of("files.info", "read"), calm, short);
    expect(plain.changes).toHaveLength(1);
    expect(parsePolicy(plain.policy).engine.healthyAfterSeconds).toBe(3);
  });
});
