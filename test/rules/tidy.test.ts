import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root, type SourceFile, sourcesIn } from "./sources.ts";

const linesMax = 400;
const folderFilesMax = 12;

/** What may not be called, where it may be, and what to use instead. */
const forbidden: readonly {
  readonly pattern: RegExp;
  readonly allowedIn: RegExp;
  readonly instead: string;
}[] = [
  {
    pattern: /\bDate\.now\(|\bperformance\.now\(/,
    allowedIn: /^src\/(base\/clock\.ts|server\/console\/page\/clock\.js)$/,
    instead: "a Clock",
  },
  { pattern: /\bMath\.random\(/, allowedIn: /^src\/base\/random\.ts$/, instead: "a Random" },
  {
    pattern: /(?<!\.)\bset(Timeout|Interval)\(/,
    allowedIn: /^src\/(base\/clock\.ts|server\/console\/page\/clock\.js)$/,
    instead: "a Clock",
  },
  { pattern: /\bprocess\.env\b/, allowedIn: /^src\/app\/config\.ts$/, instead: "readConfig()" },
  {
    pattern: /\bconsole\./,
    allowedIn: /^src\/cli\/(output\.ts|bin\.js)$/,
    instead: "a Logger, or the CLI's output",
  },
  { pattern: /\b(TODO|FIXME|XXX)\b/, allowedIn: /^$/, instead: "an issue" },
];

const vagueNames = /(^|[-/])(utils?|helpers?|common|managers?|handlers?|misc)([-./]|$)/;

const withoutComments = (text: string): string =>
  text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
    .replace(/(^|[^:"'`])\/\/.*$/gm, "$1");

function forbiddenCalls({ path, text }: SourceFile): string[] {
  const code = withoutComments(text).split("\n");
  return forbidden.flatMap(({ pattern, allowedIn, instead }) =>
    allowedIn.test(path)
      ? []
      : code.flatMap((line, index) =>
          pattern.test(line) ? [`${path}:${index + 1} ${line.trim()} (use ${instead})`] : [],
        ),
  );
}

describe("the repository", () => {
  const src = sourcesIn("src", [".ts", ".js"]);
  const all = [...src, ...sourcesIn("test"), ...sourcesIn("bench"), ...sourcesIn("grafana")];

  it(`has no file over ${linesMax} lines`, () => {
    const long = all
      .map(({ path, text }) => ({ path, lines: text.split("\n").length }))
      .filter(({ lines }) => lines > linesMax);
    expect(long).toEqual([]);
  });

  it(`has at most ${folderFilesMax} files in a folder of src`, () => {
    const folders = new Set(src.map(({ path }) => path.slice(0, path.lastIndexOf("/"))));
    const full = [...folders].filter(
      (folder) =>
        readdirSync(join(root, folder), { withFileTypes: true }).filter((entry) => entry.isFile())
          .length > folderFilesMax,
    );
    expect(full).toEqual([]);
  });

  it("reads time, chance and environment, and writes to the terminal, in one place each", () => {
    expect(src.flatMap(forbiddenCalls)).toEqual([]);
  });

  it("would notice a forbidden call, and does not mistake a comment for one", () => {
    const planted = (text: string): string[] => forbiddenCalls({ path: "src/x/y.ts", text });
    expect(planted("const now = Date.now();")).toHaveLength(1);
    expect(planted("const key = process.env.KEY;")).toHaveLength(1);
    expect(planted("// Date.now() is for the clock\n/* setTimeout( */")).toEqual([]);
  });

  it("names files after things", () => {
    const vague = src.map(({ path }) => path).filter((path) => vagueNames.test(path.slice(4)));
    expect(vague.filter((path) => !path.includes("file-manager"))).toEqual([]);
  });

  it("keeps the prescribed top level", () => {
    const expected = ["src", "bench", "test", "flags", "grafana", "package.json", "tsconfig.json"];
    for (const name of [...expected, "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE"]) {
      expect(existsSync(join(root, name)), name).toBe(true);
    }
  });

  it("mirrors src in test: every test folder belongs to one of src", () => {
    const special = new Set(["bench", "contract", "scenario", "rules", "support", "system"]);
    const folders = readdirSync(join(root, "test"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !special.has(entry.name))
      .map((entry) => entry.name);
    for (const folder of folders) expect(existsSync(join(root, "src", folder)), folder).toBe(true);
  });
});
