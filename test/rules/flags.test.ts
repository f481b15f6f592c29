import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseFlagFile } from "../../src/flags/flag-file.ts";
import { root } from "./sources.ts";

// Fastify brings ajv along; it judges the committed JSON Schema as an editor would.
const requireFromFastify = createRequire(createRequire(import.meta.url).resolve("fastify"));
const { Ajv2020 } = createRequire(requireFromFastify.resolve("@fastify/ajv-compiler"))(
  "ajv/dist/2020.js",
) as { Ajv2020: new () => { compile(schema: unknown): (value: unknown) => boolean } };

const folder = join(root, "flags");
const read = (name: string): string => readFileSync(join(folder, name), "utf8");
const names = readdirSync(folder).filter(
  (name) => name.endsWith(".json") && !name.endsWith(".schema.json") && name !== "rollout.json",
);
const fitsSchema = new Ajv2020().compile(JSON.parse(read("flag.schema.json")));

describe("the flag files of this repository", () => {
  it.each(names)("%s is valid, named after its flag, and starts at 0 %%", (name) => {
    const flag = parseFlagFile(name, read(name));
    expect(`${flag.name}.json`).toBe(name);
    if (flag.kind === "operation") {
      expect([flag.percentage, flag.shadowPercentage]).toEqual([0, 0]);
      expect(flag.groupId).toBe("files");
    }
  });

  it("exist for every operation of the file system", () => {
    const operations = ["upload", "download", "info", "list", "delete"];
    expect(names.sort()).toEqual(
      ["files.json", ...operations.map((o) => `files.${o}.json`)].sort(),
    );
  });
});

describe("the JSON Schema of flag files", () => {
  const valid = JSON.parse(read("files.upload.json")) as Record<string, unknown>;
  const samples: [string, Record<string, unknown>][] = [
    ["the committed flag", valid],
    ["a full percentage", { ...valid, percentage: 100 }],
    ["a negative percentage", { ...valid, percentage: -1 }],
    ["too large a percentage", { ...valid, percentage: 150 }],
    ["a percentage as text", { ...valid, percentage: "10" }],
    ["half a percent", { ...valid, percentage: 0.5 }],
    ["random stickiness", { ...valid, stickiness: "random" }],
    ["an unknown field", { ...valid, colour: "red" }],
    ["no owner", { ...valid, owner: "" }],
    ["a name in capitals", { ...valid, name: "Files.Upload" }],
    ["an unknown kind", { ...valid, kind: "other" }],
    ["a link", { ...valid, links: [{ url: "https://example.com/runbook", title: "Runbook" }] }],
    ["a link that is no address", { ...valid, links: [{ url: "runbook", title: "Runbook" }] }],
    [
      "a constraint",
      { ...valid, constraints: [{ contextName: "a", operator: "IN", values: ["b"] }] },
    ],
    [
      "a wrong constraint",
      { ...valid, constraints: [{ contextName: "a", operator: "LIKE", values: [] }] },
    ],
  ];

  it.each(samples)("agrees with the product about %s", (_what, sample) => {
    let accepted = true;
    try {
      parseFlagFile("sample.json", JSON.stringify(sample));
    } catch {
      accepted = false;
    }
    expect(fitsSchema(sample)).toBe(accepted);
  });
});
