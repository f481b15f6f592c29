import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type FirstProject, firstFiles } from "../../../src/app/init/first-files.ts";
import { defaultPolicy, parsePolicy } from "../../../src/changeover.ts";
import { parseFlagFile } from "../../../src/flags/flag-file.ts";
import { parsePlan } from "../../../src/rollout/plan/plan.ts";
import { root } from "../../rules/sources.ts";

const project: FirstProject = {
  ...{ migration: "image", operation: "resize", kind: "read", owner: "ana" },
  ...{ removeBy: "2027-05-20", typescript: true },
};

function textOf(path: string, more: Partial<FirstProject> = {}): string {
  const found = firstFiles({ ...project, ...more }).find((file) => file.path === path);
  if (found === undefined) throw new Error(`no ${path}`);
  return found.text;
}

describe("the first files of a project", () => {
  it("are flags that the flag folder takes, at 0 %, with the date and the owner", () => {
    expect(parseFlagFile("image.json", textOf("flags/image.json"))).toMatchObject({
      ...{ kind: "migration", name: "image", owner: "ana", removeBy: "2027-05-20" },
    });
    const flag = parseFlagFile("image.resize.json", textOf("flags/image.resize.json"));
    expect(flag).toMatchObject({ kind: "operation", percentage: 0, shadowPercentage: 0 });
  });

  it("hold a plan that names the operation", () => {
    const plan = parsePlan(JSON.parse(textOf("flags/rollout.json")));
    expect(plan.of("image.resize", "read")).toMatchObject({ name: "strict", after: [] });
  });

  it("hold a policy that changes nothing until somebody does", () => {
    expect(parsePolicy(JSON.parse(textOf("guard.json")))).toEqual(defaultPolicy);
  });

  it("refer to schemas that the package ships", () => {
    for (const path of ["flags/image.json", "flags/image.resize.json", "flags/rollout.json"]) {
      const { $schema } = JSON.parse(textOf(path)) as { $schema: string };
      expect($schema).toMatch(/^\.\.\/node_modules\/changeover\/flags\//);
      const shipped = $schema.replace("../node_modules/changeover/", "");
      expect(existsSync(join(root, shipped))).toBe(true);
    }
  });

  it("give the example's function a name that JavaScript takes", () => {
    const named = (operation: string): string =>
      /const (\w+) = changeover\.migrate/.exec(textOf("changeover.ts", { operation }))?.[1] ?? "";
    expect(named("resize")).toBe("resize");
    expect(named("bulk-resize--all")).toBe("bulkResizeAll");
    expect(named("delete")).toBe("run");
    expect(named("3d")).toBe("run");
  });

  it("cannot be made for a name that is none", () => {
    expect(() => firstFiles({ ...project, operation: "Re/size" })).toThrow(
      expect.objectContaining({ code: "MIGRATION_INVALID_NAME" }),
    );
  });
});
