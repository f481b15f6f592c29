import { expect, it } from "vitest";
import { createChangeover, staticFlags } from "../../src/changeover.ts";
import { MetricsRecorder } from "../../src/metrics/recorder.ts";
import { Operation } from "../../src/migration/operation.ts";
import { type ShadowResult, shadowResultKinds } from "../../src/shadow/shadow.ts";

const name = "image.resize";

it("counts the calls that legacy was asked to answer, and not those that it was not allowed to", async () => {
  const changeover = await createChangeover({
    flags: staticFlags({ [name]: 100, "image.save": 100 }),
  });
  const candidate = (width: number): number => {
    if (width < 0) throw new Error("negative");
    return width;
  };
  const legacy = (width: number): number => {
    if (width < -1) throw new Error("very negative");
    return width;
  };
  const resize = changeover.migrate({ name, kind: "read", legacy, candidate });
  const save = changeover.migrate({ name: "image.save", kind: "write", legacy, candidate });
  await resize(1, { key: "k" });
  await resize(-1, { key: "k" });
  await expect(resize(-2, { key: "k" })).rejects.toThrow("negative");
  await expect(save(-1, { key: "k" })).rejects.toThrow("negative");
  expect(changeover.metrics.evidence(name)).toMatchObject({ fallbacks: 2 });
  expect(changeover.metrics.evidence("image.save")).toMatchObject({ fallbacks: 0 });
  expect(changeover.metrics.evidence("image.crop")).toBe(null);
  await changeover.close();
});

it("counts as compared what came out the same or different, and nothing else", () => {
  const recorder = new MetricsRecorder({ version: "1.2.3", node: "v24.0.0" });
  const definition = { name, kind: "read", legacy: () => 1, candidate: () => 1 } as const;
  const operation = new Operation(definition, () => undefined);
  recorder.addOperation(operation);
  for (const result of [...shadowResultKinds, "same"] as const) {
    recorder.shadowResult({ operation, result, shadow: null, comparison: null } as ShadowResult);
  }
  expect(recorder.evidence(name)).toEqual({ fallbacks: 0, compared: 3, different: 1 });
});
