import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { repository } from "../../cli/command-line.ts";
import { defects, seen } from "./defects.ts";

/** Runs a program in the repository, without what the present test run has set. */
function run(program: string, words: readonly string[]): Promise<{ code: number; text: string }> {
  const PATH = `${join(repository, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`;
  const options = { cwd: repository, env: { PATH, HOME: tmpdir() } };
  return new Promise((resolve) => {
    const child = execFile(program, [...words], options, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, text: stdout + stderr }),
    );
  });
}

describe("the table of the predecessor's defects", () => {
  it("has all eighteen, and each names the file whose tests prove it gone", () => {
    const numbers = defects.map(({ number }) => number);
    expect(numbers).toEqual(Array.from({ length: 18 }, (_, index) => index + 1));
    for (const { number, file } of defects) {
      const text = readFileSync(join(import.meta.dirname, file), "utf8");
      const has = text.includes(`seen(${number})`);
      expect(has, `${file} has a test of defect ${number}`).toBe(true);
    }
  });
});

describe(seen(17), () => {
  it.each([
    ["an option that there is not", "--json-report", "Unknown option `--jsonReport`"],
    ["a name that no test file has", "there-is-no-such-test-file", "No test files found"],
  ])("by `npm test` with %s", async (_what, word, said) => {
    const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const [program = "", ...rest] = (scripts["test"] ?? "").split(" ");
    const { code, text } = await run(program, [...rest, word]);
    expect(text).toContain(said);
    expect(code).toBe(1);
  });

  // The predecessor's suite ended with 4 and had run nothing; its report said that all had passed.
  it.each([
    ["a suite that ended with 4", { numPassedTests: 11, exit: 4 }],
    ["a suite that ran nothing", { numPassedTests: 0, exit: 0 }],
    ["a suite without a report", { numPassedTests: null, exit: 0 }],
  ])("by the checks of a change with %s", async (_what, { numPassedTests, exit }) => {
    const folder = mkdtempSync(join(tmpdir(), "changeover-suite-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const report = JSON.stringify({ numPassedTests, numFailedTests: 0, testResults: [] });
    const script = join(folder, "suite.sh");
    const says = numPassedTests === null ? ":" : `echo '${report}' > "\${@: -1}"`;
    writeFileSync(
      script,
      `#!/usr/bin/env bash
set -uo pipefail
passed=0 failed=0 reports=${folder}
${readFileSync(join(repository, ".ci/run"), "utf8").match(/^suite\(\) \{[\s\S]*?^\}$/m)?.[0] ?? "exit 9"}
claims() { for last; do :; done; set -- "\${last#--outputFile.json=}"; ${says}; return ${exit}; }
suite claimed claims
echo "$failed failed"
`,
    );
    const { code, text } = await run("bash", [script]);
    expect(code, text).toBe(0);
    expect(text).toMatch(/^[1-9]\d* failed$/m);
  });
});
