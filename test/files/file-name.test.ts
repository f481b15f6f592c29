import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isCodedError } from "../../src/base/errors.ts";
import { extensionOf, MAX_NAME_BYTES, normalFileName } from "../../src/files/file-name.ts";

const refusalOf = (name: string): string => {
  try {
    normalFileName(name);
  } catch (error) {
    if (isCodedError(error) && error.code === "FILES_INVALID_NAME" && error.status === 400) {
      return error.message;
    }
    throw error;
  }
  return "accepted";
};

describe("the name of an upload", () => {
  it.each([
    "report.pdf",
    "Überblick 2026.xlsx",
    "דוח שנתי.pdf",
    "تقرير.csv",
    "報告書.docx",
    "👩‍🚀 launch 🚀.png",
    'say "hi".txt',
    ".gitignore",
    "...",
    "a".repeat(MAX_NAME_BYTES),
  ])("accepts %j as it is", (name) => {
    expect(normalFileName(name)).toBe(name);
  });

  it("is brought to its composed form, so that one name is one name", () => {
    expect(normalFileName("u\u0308ber.txt")).toBe("über.txt");
  });

  it.each([
    ["", "is empty"],
    ["   ", "is empty"],
    [".", "names a folder"],
    ["..", "names a folder"],
    ["../x", "is a path"],
    ["a/b.txt", "is a path"],
    ["C:\\fakepath\\a.txt", "is a path"],
    ["a\0.txt", "U+0000"],
    ["a\nb.txt", "U+000A"],
    ["a\u0085b.txt", "U+0085"],
    ["a\u2028b.txt", "U+2028"],
    ["invoice\u202egpj.exe", "U+202E"],
    ["a\u2066b.txt", "U+2066"],
    ["\ud83d.txt", "half of a surrogate pair"],
  ])("refuses %j and says that it %s", (name, why) => {
    expect(refusalOf(name)).toContain(why);
  });

  it("refuses 300 characters and names the limit", () => {
    const message = refusalOf("x".repeat(300));
    expect(message).toContain("300 bytes");
    expect(message).toContain("255");
  });

  it("counts bytes of UTF-8, not characters", () => {
    expect(refusalOf("🚀".repeat(64))).toContain("256 bytes");
    expect(refusalOf("🚀".repeat(63))).toBe("accepted");
  });

  it("shows a hostile name harmlessly in the message", () => {
    const message = refusalOf("a\u202eb\u001b[31m.txt");
    expect(message).not.toMatch(/[\p{Cc}\u202e]/u);
  });

  it("that is accepted is never a path, never too long, and stays accepted", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (name) => {
        if (refusalOf(name) !== "accepted") return;
        const normal = normalFileName(name);
        expect(normal).not.toMatch(/[/\\\p{Cc}]/u);
        expect(Buffer.byteLength(normal)).toBeLessThanOrEqual(MAX_NAME_BYTES);
        expect(normalFileName(normal)).toBe(normal);
      }),
    );
  });

  it("has the extension after its last dot, in lower case", () => {
    const names = ["A.PDF", "a.tar.gz", "noext", ".env", "trailing."];
    expect(names.map(extensionOf)).toEqual(["pdf", "gz", "", "", ""]);
  });
});
