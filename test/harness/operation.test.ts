import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { codeOf } from "../../src/base/errors.ts";
import { openOperation } from "../../src/harness/operation/bench-operation.ts";
import {
  type MeasuredOperation,
  measureOperation,
} from "../../src/harness/operation/measure-operation.ts";

const file = (name: string): string =>
  fileURLToPath(new URL(`./fixtures/${name}.ts`, import.meta.url));

const measure = (name: string): Promise<MeasuredOperation> =>
  measureOperation({ file: file(name), clock: systemClock, quick: true, pairs: 3 });

describe("a user's operation", () => {
  it("is measured on both paths: results, time and memory", async () => {
    const { check, report, time } = await measure("sums");
    expect(check).toEqual({ name: "sum", inputs: 2, differing: [] });
    expect(report.comparisons.map((each) => each.measure)).toEqual([
      "time per call",
      "memory over idle",
    ]);
    expect([time.baseName, time.contenderName]).toEqual(["legacy", "candidate"]);
    expect(time.pairs).toBe(3);
    expect(time.base).toBeGreaterThan(0);
  });

  it("may answer with streams, which are consumed and compared by their bytes", async () => {
    const { check, report } = await measure("streams");
    expect(check.differing).toEqual([2]);
    expect(report.figures[0]).toMatchObject({ unit: "inputs", value: 1 });
  });

  it("is refused when a path is missing or the file is, with what must be there", async () => {
    const refused = async (path: string): Promise<unknown> =>
      openOperation(path).catch((error: unknown) => error);
    const half = await refused(file("pathless"));
    expect(codeOf(half)).toBe("HARNESS_MODULE_INVALID");
    expect(String(half)).toContain("`candidate` must be a function");
    expect(codeOf(await refused("/no/such/module.ts"))).toBe("HARNESS_MODULE_INVALID");
  });
});
