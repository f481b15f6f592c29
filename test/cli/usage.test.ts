import { describe, expect, it } from "vitest";
import { commands } from "../../src/cli/commands.ts";
import { exitCodes } from "../../src/cli/exit-codes.ts";
import { readRequest } from "../../src/cli/program.ts";
import { changeover, errorOf } from "./command-line.ts";

const read = (...words: string[]): ReturnType<typeof readRequest> => readRequest(words, "1.2.3");

describe("what is typed behind changeover", () => {
  it.each([
    [["upstart"], /Unknown command 'upstart' \(Did you mean start\?\)/],
    [["ls", "--jsn"], /Unknown option '--jsn' \(Did you mean --json\?\)/],
    [["ls", "--limit", "many"], /"many" is not accepted for --limit.*from 1 to 1000/],
    [["ls", "--limit", "0"], /"0" is not accepted for --limit/],
    [["upload"], /Missing required argument 'files'/],
    [["upload", "a", "--path", "new"], /Allowed choices are legacy, candidate/],
    [["upload", "a", "--concurrency", "65"], /from 1 to 64/],
    [["download"], /Missing required argument 'id'/],
    [["download", "a", "b"], /Too many arguments/],
    [["flags", "sett"], /Unknown command 'sett' \(Did you mean set\?\)/],
    [["flags", "set", "upload", "--shadow", "150"], /"150" is not accepted for --shadow/],
    [["sandbox", "fault", "candidate", "--error-rate", "50"], /share from 0 to 1/],
    [["journal", "--since", "yesterday"], /time like 2026-11-21/],
    [["ls", "--gateway", "localhost:8787"], /not the address of a gateway/],
    [["ls", "--gateway", "http://me:secret@host"], /not the address of a gateway/],
    [["start", "--flags", "elsewhere"], /Allowed choices are unleash, file/],
  ])("%j is refused with a sentence that says what fits", (words, message) => {
    expect(() => read(...words)).toThrow(
      expect.objectContaining({ code: "CLI_USAGE", message: expect.stringMatching(message) }),
    );
  });

  it("takes global options before and behind the command", () => {
    const globals = { json: true, gateway: "http://127.0.0.1:1", dataDir: "d", apiKey: undefined };
    const options = ["--json", "--gateway", "http://127.0.0.1:1/", "--data-dir", "d"];
    expect(read(...options, "ls")).toMatchObject({ kind: "run", globals });
    expect(read("ls", ...options)).toMatchObject({ kind: "run", globals });
  });

  it("hands a command its own options only, read", () => {
    const request = read("upload", "a", "b", "--concurrency", "2", "--json", "--path", "legacy");
    expect(request).toMatchObject({
      row: { name: "upload" },
      input: { words: ["a", "b"], options: { concurrency: 2, path: "legacy", provider: "none" } },
    });
    expect(request.kind === "run" && Object.keys(request.input.options)).not.toContain("json");
  });

  it("has an example for every command that its own parser takes", () => {
    for (const { name, examples } of commands) {
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) {
        const line = example.split(" | ").find((part) => part.includes("changeover ")) ?? "";
        const words = line.replace(/^.*?changeover /, "").match(/"[^"]*"|\S+/g) ?? [];
        const request = read(...words.map((word) => word.replaceAll('"', "")));
        expect(request).toMatchObject({ kind: "run", row: { name } });
      }
    }
  });

  it.each(commands.map(({ name }) => [name]))("explains %s with its examples", (name) => {
    const request = read(...name.split(" "), "--help");
    expect(request.kind).toBe("print");
    expect(request).toMatchObject({ text: expect.stringContaining("Examples:") });
  });

  it("lists every command and every exit code in the general help", () => {
    const request = read("--help");
    const text = request.kind === "print" ? request.text : "";
    for (const { name } of commands) expect(text).toContain(name.split(" ")[0]);
    for (const { code, meaning } of Object.values(exitCodes)) {
      expect(text).toMatch(
        new RegExp(`^  ${code} +${meaning.slice(0, 20).replace(/[()]/g, ".")}`, "m"),
      );
    }
  });
});

describe("the program itself", () => {
  it("prints its version and help on standard output and ends with 0", async () => {
    const [version, help] = await Promise.all([changeover(["--version"]), changeover(["--help"])]);
    expect(version).toMatchObject({ code: 0, stderr: "" });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain("Exit codes:");
  });

  it("ends with 2 for wrong usage, in words and as JSON", async () => {
    const [words, json, nothing] = await Promise.all([
      changeover(["upstart"]),
      changeover(["upstart", "--json"]),
      changeover([]),
    ]);
    expect(words).toMatchObject({ code: 2, stdout: "" });
    expect(words.stderr).toMatch(/^error: Unknown command .* \[CLI_USAGE\]\n$/);
    expect(json).toMatchObject({ code: 2, stdout: "" });
    expect(errorOf(json).code).toBe("CLI_USAGE");
    expect(nothing).toMatchObject({ code: 2, stdout: "" });
    expect(nothing.stderr).toContain("Usage: changeover");
  });

  it("names a wrong setting and what it accepts", async () => {
    const ran = await changeover(["status", "--json"], {
      environment: { CHANGEOVER_PORT: "eighty" },
    });
    expect(ran.code).toBe(2);
    expect(errorOf(ran)).toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("CHANGEOVER_PORT"),
    });
  });

  it("paints nothing into a pipe, and not even when asked where NO_COLOR is set", async () => {
    const ran = await changeover(["doctor"], { environment: { NO_COLOR: "1" } });
    expect(ran.stdout).not.toContain("\u001b");
    expect(ran.stdout).toMatch(/^ok {2}/m);
  });
});
