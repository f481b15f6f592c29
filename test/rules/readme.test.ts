import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { settings } from "../../src/app/config.ts";
import { commands } from "../../src/cli/commands.ts";
import { exitCodes } from "../../src/cli/exit-codes.ts";
import { root } from "./sources.ts";

const run = promisify(execFile);
const readme = await readFile(join(root, "README.md"), "utf8");
const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gm"))].map(
    (match) => match[1] ?? "",
  );

/** Options that every command takes. */
const globalOptions = ["--json", "--data-dir", "--gateway", "--api-key", "--help"];

function problemsOf(line: string): string[] {
  const words = line.split(/\s+/);
  const row = commands
    .filter(({ name }) => words.join(" ").startsWith(name))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (row === undefined) return words[0]?.startsWith("--") ? [] : [`no command: ${line}`];
  const known = [
    ...globalOptions,
    ...(row.options ?? []).flatMap(({ flags }) => flags.split(/[ ,]+/)),
  ];
  return words
    .filter((word) => word.startsWith("-") && word !== "-" && !known.includes(word))
    .map((word) => `${row.name} has no ${word}`);
}

describe("the README", () => {
  it("begins with two lines that do all the set-up", () => {
    expect(blocks("sh").slice(0, 2)).toEqual(["npm ci && npm start\n", "npm ci && npm test\n"]);
  });

  it("shows code that runs", async () => {
    const examples = blocks("ts");
    expect(examples.length).toBeGreaterThan(0);
    const folder = await mkdtemp(join(tmpdir(), "changeover-readme-"));
    const library = pathToFileURL(join(root, "src/changeover.ts")).href;
    try {
      for (const [index, text] of examples.entries()) {
        const file = join(folder, `example-${index}.mts`);
        await writeFile(file, text.replaceAll('"changeover"', JSON.stringify(library)));
        const { stdout } = await run(process.execPath, [file]);
        expect(stdout).toBe("{ width: 640, by: 'the old code' }\ntrue\n");
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("names only commands and options that exist", () => {
    const lines = blocks("sh").flatMap((block) =>
      [...block.matchAll(/^npx changeover (.+)$/gm)].map((match) => match[1] ?? ""),
    );
    expect(lines.length).toBeGreaterThan(8);
    expect(lines.flatMap(problemsOf)).toEqual([]);
    expect(problemsOf("flags set upload 50 --colour red")).toEqual(["flags set has no --colour"]);
    expect(problemsOf("explode")).toEqual(["no command: explode"]);
  });

  it("lists every setting with its default and its meaning", () => {
    const rows = settings.map(
      ({ variable, fallback, meaning }) =>
        `| \`${variable}\` | ${fallback ? `\`${fallback}\`` : "–"} | ${meaning} |`,
    );
    for (const row of rows) expect(readme).toContain(row);
  });

  it("lists every exit code", () => {
    const flat = readme.replace(/\s+/g, " ");
    for (const { code } of Object.values(exitCodes)) {
      expect(flat).toMatch(new RegExp(`[ ,]${code} [a-z]`));
    }
  });
});
