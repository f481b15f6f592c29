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

  it("names the function of the user's that threw, its input and its place, in any process", async () => {
    const failed = async (work: Promise<unknown>): Promise<string> => {
      const error = await work.catch((thrown: unknown) => thrown);
      expect(codeOf(error)).toBe("HARNESS_SUBJECT_FAILED");
      return String(error);
    };
    const operation = await openOperation(file("failing"));
    expect(await failed(operation.call("candidate", 3))).toMatch(
      /"failing" cannot be measured: the candidate, given input 1 \(from 0\), threw TypeError: odd\n +at .*failing\.ts/,
    );
    expect(await failed(operation.isSame(0))).toContain("`same`, given the answers to input 0");
    expect(await failed(operation.close())).toContain("`close` threw Error: no pool");
    const message = await failed(measure("failing"));
    expect(message).toContain("`same`");
    expect(message).not.toContain("operation-child");
  });

  it("does not ask for exports where there is no file, or one that cannot be loaded", async () => {
    const said = async (path: string): Promise<string> =>
      String(await openOperation(path).catch((error: unknown) => error));
    expect(await said("/no/such/module.ts")).toMatch(/measured: there is no such file\.$/);
    const broken = await said(file("unloadable"));
    expect(broken).toContain("it cannot be loaded: no database");
    expect(broken).not.toContain("must export");
  });
});
