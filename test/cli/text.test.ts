import { PassThrough } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CodedError } from "../../src/base/errors.ts";
import { Output } from "../../src/cli/output.ts";
import {
  bytesText,
  shortened,
  spansOf,
  styled,
  table,
  textOf,
  visible,
  visibleJson,
  widthOf,
} from "../../src/cli/terminal/text.ts";

const dangerous = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;
const anyText = fc.string({ unit: "binary", maxLength: 60 });

describe("text on a terminal", () => {
  it.each([
    ["evil\u202egnp.exe", "evil\\u{202e}gnp.exe"],
    ["\u001b[2Jgone", "\\u{1b}[2Jgone"],
    ["two\nlines\r", "two\\u{a}lines\\u{d}"],
    ["half \ud83d", "half \\u{d83d}"],
    ["Žluťoučký 文件 🚀.pdf", "Žluťoučký 文件 🚀.pdf"],
  ])("shows %j so that it can do nothing", (text, expected) => {
    expect(visible(text)).toBe(expected);
  });

  it("never lets a control or bidirectional character through", () => {
    fc.assert(fc.property(anyText, (text) => !dangerous.test(visible(text))));
  });

  it("keeps JSON values as they are while escaping what could mislead", () => {
    fc.assert(
      fc.property(fc.jsonValue(), anyText, (value, text) => {
        const both = { value, text };
        const json = visibleJson(both);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(both)));
        expect(json.replaceAll("\n", "")).not.toMatch(dangerous);
      }),
    );
  });

  it("aligns columns by what the eye sees", () => {
    const lines = table([
      ["文件", "1"],
      [styled("good", "plain"), "22"],
    ]).map((line) => spansOf(line).map(textOf).join(""));
    expect(lines).toEqual(["文件   1", "plain  22"]);
    expect(widthOf("é")).toBe(1);
    expect(widthOf("🚀")).toBe(2);
  });

  it("cuts long names in their middle, so that the extension stays", () => {
    const short = shortened("a-very-long-name-of-a-report-2026.pdf", 20);
    expect(widthOf(short)).toBeLessThanOrEqual(20);
    expect(short).toMatch(/^a-very.*….*\.pdf$/);
    expect(shortened("short.pdf", 20)).toBe("short.pdf");
  });

  it("says sizes in the unit people use", () => {
    expect([0, 1023, 1024, 5 * 2 ** 20, 3 * 2 ** 30].map(bytesText)).toEqual([
      "0 B",
      "1023 B",
      "1.0 KiB",
      "5.0 MiB",
      "3.0 GiB",
    ]);
  });
});

describe("the output of a command", () => {
  const opened = (json: boolean): { output: Output; read: () => [string, string] } => {
    const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
    const output = new Output(json, streams as unknown as Record<"stdout" | "stderr", never>);
    const text = (stream: PassThrough): string => String(stream.read() ?? "");
    return { output, read: () => [text(streams.stdout), text(streams.stderr)] };
  };

  it("prints an answer for people, notes beside it", async () => {
    const { output, read } = opened(false);
    output.note("working");
    await output.answer({ value: { a: 1 }, lines: ["one", ["t", styled("good", "wo")]] });
    expect(read()).toEqual(["one\ntwo\n", "working\n"]);
  });

  it("prints the value unchanged and nothing else as JSON", async () => {
    const { output, read } = opened(true);
    output.note("working");
    await output.answer({ value: { name: "a\u202eb" }, lines: ["one"] });
    const [stdout, stderr] = read();
    expect(JSON.parse(stdout)).toEqual({ name: "a\u202eb" });
    expect(stderr).toBe("");
  });

  it("escapes names inside errors", () => {
    const { output, read } = opened(false);
    output.error(new CodedError("FILES_MISSING", "There is no \u001b[31mfile."));
    expect(read()[1]).toBe("error: There is no \\u{1b}[31mfile.  [FILES_MISSING]\n");
  });

  it("gives errors without a code one of its own", () => {
    const { output, read } = opened(true);
    output.error("thrown text");
    expect(JSON.parse(read()[1])).toMatchObject({ error: { code: "CLI_UNEXPECTED" } });
  });
});
