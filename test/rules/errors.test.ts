import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root, sourcesIn } from "./sources.ts";

const areas =
  "BASE|CLI|CONFIG|DISK|FILES|FLAGS|GATEWAY|GUARD|HARNESS|MIGRATION|POSTGRES|REHEARSAL|ROLLOUT|SANDBOX|SHADOW";
const inSource = new RegExp(`"((?:${areas})_[A-Z_]+)"`, "g");
const inTable = new RegExp(`^\\| \`((?:${areas})_[A-Z_]+)\` \\| (.+) \\| (.+) \\|$`, "gm");

const used = new Set(
  sourcesIn("src").flatMap(({ text }) => [...text.matchAll(inSource)].map((match) => match[1])),
);
const readme = readFileSync(join(root, "README.md"), "utf8");
const rows = [...readme.matchAll(inTable)];
const documented = rows.map((match) => match[1]);

describe("error codes", () => {
  it("are all in the README, with a meaning and what to do", () => {
    expect(used.size).toBeGreaterThan(50);
    expect([...used].filter((code) => !documented.includes(code)).sort()).toEqual([]);
  });

  it("in the README all exist, once, and in order", () => {
    expect(documented.filter((code) => !used.has(code))).toEqual([]);
    expect(documented).toEqual([...new Set(documented)].sort());
  });
});
