import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { defaultPlan, parsePlan } from "../../src/rollout/plan/plan.ts";
import { quietAt } from "../../src/rollout/plan/quiet.ts";

const requireFromFastify = createRequire(createRequire(import.meta.url).resolve("fastify"));
const { Ajv2020 } = createRequire(requireFromFastify.resolve("@fastify/ajv-compiler"))(
  "ajv/dist/2020.js",
) as {
  Ajv2020: new (options: object) => { compile(schema: unknown): (value: unknown) => boolean };
};

const flags = join(import.meta.dirname, "../../flags");
const read = (name: string): unknown => JSON.parse(readFileSync(join(flags, name), "utf8"));
const percentages = (operation: string, kind: "read" | "write", plan = defaultPlan): number[] =>
  plan.of(operation, kind).stages.map(({ percentage }) => percentage);

describe("a rollout plan", () => {
  it("walks the strict stages by default, and stops writes at 95 % for a holdback", () => {
    expect(percentages("any.read", "read")).toEqual([0, 1, 10, 50, 100]);
    expect(percentages("any.write", "write")).toEqual([0, 1, 10, 50, 95, 100]);
    expect(defaultPlan.of("any.read", "read")).toMatchObject({ name: "strict", after: [] });
  });

  it("knows the predecessor's four stages with their gates", () => {
    const plan = parsePlan({ profile: "predecessor" });
    const stages = plan.of("files.upload", "write").stages.slice(1);
    const day = 86_400;
    expect(
      stages.map(({ percentage, successRateMin, latencyFactorMax, errorRateMax, ...rest }) => [
        percentage,
        successRateMin,
        latencyFactorMax,
        errorRateMax,
        rest.holdSeconds / day,
        rest.samples,
      ]),
    ).toEqual([
      [1, 0.995, 1.1, 0.005, 1, 100],
      [10, 0.99, 1.05, 0.01, 2, 500],
      [50, 0.985, 1.02, 0.015, 3, 2000],
      [100, 0.98, 1, 0.02, 7, 5000],
    ]);
  });

  it("of this repository lets uploads come after everything that is less critical", () => {
    const plan = parsePlan(read("rollout.json"));
    const names = (operation: string): string[] =>
      plan.of(operation, "read").after.map((each) => each.operation);
    expect(names("files.info")).toEqual([]);
    expect(names("files.download")).toEqual(["files.info", "files.list"]);
    expect(names("files.upload")).toEqual([
      "files.info",
      "files.list",
      "files.download",
      "files.delete",
    ]);
    expect(plan.of("files.upload", "write").after.every(({ reach }) => reach === 50)).toBe(true);
  });

  const stage = { percentage: 0, holdSeconds: 1, samples: 1 };
  const walk = [stage, { ...stage, percentage: 100 }];
  const wrong: [string, unknown, string][] = [
    ["an unknown field", { stages: [] }, "stages"],
    ["an unknown profile", { profile: "bold" }, "bold"],
    ["a profile without 0 %", { profiles: { mine: walk.slice(1) } }, "profiles.mine"],
    ["a profile that falls", { profiles: { mine: [stage, walk[1], walk[1]] } }, "profiles.mine"],
    [
      "a profile that ends early",
      { profiles: { mine: [stage, { ...stage, percentage: 50 }] } },
      "mine",
    ],
    [
      "a walk that rises for reads only",
      { profiles: { mine: [stage, { ...stage, percentage: 100, only: "read" }] } },
      "mine",
    ],
    [
      "a percentage over 100",
      { profiles: { mine: [stage, { ...stage, percentage: 150 }] } },
      "mine.1",
    ],
    ["an operation that is named twice", { order: [{ operations: ["a.b", "a.b"] }] }, "a.b"],
    ["a short operation name", { order: [{ operations: ["upload"] }] }, "order.0.operations.0"],
    [
      "a day that is none",
      { quiet: [{ from: "Fry 15:00", to: "Mon 08:00", timeZone: "UTC" }] },
      "from",
    ],
    [
      "a time zone that is none",
      { quiet: [{ from: "Fri 15:00", to: "Mon 08:00", timeZone: "Mars" }] },
      "timeZone",
    ],
  ];

  it.each(wrong)("with %s is refused, and the message names it", (_what, plan, named) => {
    expect(() => parsePlan(plan)).toThrow(
      expect.objectContaining({
        code: "ROLLOUT_INVALID_PLAN",
        message: expect.stringContaining(named),
      }),
    );
  });

  it("fits the JSON Schema where the product takes it", () => {
    const fits = new Ajv2020({ strict: false }).compile(read("rollout.schema.json"));
    const mine = { $schema: "x", profiles: { mine: walk }, profile: "mine" };
    for (const valid of [read("rollout.json"), {}, mine]) {
      expect(fits(valid)).toBe(true);
      expect(() => parsePlan(valid)).not.toThrow();
    }
    const gates = { approval: true, drillMaxAgeDays: 7, only: "write", latencyFactorMax: 1.2 };
    expect(fits({ profiles: { mine: [{ ...stage, ...gates }, walk[1]] } })).toBe(true);
    for (const [what, plan] of wrong) {
      const fields = ["unknown field", "over 100", "short operation", "day that"];
      if (fields.some((each) => what.includes(each))) expect(fits(plan)).toBe(false);
    }
  });
});

describe("quiet times", () => {
  const weekend = [{ from: "Fri 15:00", to: "Mon 08:00", timeZone: "Europe/Berlin" }];
  const at = (text: string): boolean => quietAt(Date.parse(text), weekend) !== null;

  it("go over the end of the week, to the minute", () => {
    // In winter Berlin is an hour ahead of UTC. 2026-11-20 is a Friday.
    expect(at("2026-11-20T13:59:59Z")).toBe(false);
    expect(at("2026-11-20T14:00:00Z")).toBe(true);
    expect(at("2026-11-22T12:00:00Z")).toBe(true);
    expect(at("2026-11-23T06:59:59Z")).toBe(true);
    expect(at("2026-11-23T07:00:00Z")).toBe(false);
  });

  it("follow the wall clock of their time zone in summer", () => {
    expect(at("2026-07-17T12:59:59Z")).toBe(false);
    expect(at("2026-07-17T13:00:00Z")).toBe(true);
  });
});
