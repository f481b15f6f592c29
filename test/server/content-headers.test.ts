import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { declaredSha256, reprDigest } from "../../src/server/files/digest.ts";
import {
  downloadRange,
  namesTag,
  wantedRange,
} from "../../src/server/files/download/byte-range.ts";
import { attachment } from "../../src/server/files/download/content-headers.ts";

describe("a Content-Disposition", () => {
  it("is printable ASCII for every name, cannot be broken out of, and carries the exact name", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (name) => {
        const header = attachment(name);
        expect(header).toMatch(/^attachment; filename="[^"\\]*"; filename\*=UTF-8''[^'()*\s"]*$/);
        expect(header).toMatch(/^[\x20-\x7e]*$/);
        const extended = header.slice(header.indexOf("''") + 2);
        expect(decodeURIComponent(extended)).toBe(name.toWellFormed());
      }),
    );
  });

  it("falls back to a readable ASCII name where there is one", () => {
    expect(attachment("Résumé.pdf")).toContain('filename="Resume.pdf"');
    expect(attachment("😀.txt")).toContain('filename="_.txt"');
  });
});

describe("a Range header", () => {
  it("is whole, or a range that a download of any size takes or refuses", () => {
    const header = fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d{0,20}-\d{0,20}$/));
    fc.assert(
      fc.property(header, fc.nat(), (value, sizeBytes) => {
        const wanted = wantedRange(value);
        if (wanted.kind === "suffix" && (wanted.length === 0 || sizeBytes === 0)) {
          expect(() => downloadRange(wanted, sizeBytes)).toThrow(/range/);
          return;
        }
        const range = downloadRange(wanted, sizeBytes);
        if (range === null) return;
        expect(Number.isSafeInteger(range.start)).toBe(true);
        expect(range.end === null || range.end >= range.start).toBe(true);
      }),
    );
  });
});

describe("entity tags", () => {
  it("are compared weakly, and one of a list is enough", () => {
    expect(namesTag('"a", W/"b"', '"b"')).toBe(true);
    expect(namesTag('"a"', '"b"')).toBe(false);
    expect(namesTag(undefined, '"b"')).toBe(false);
  });
});

describe("a declared digest", () => {
  const sha256 = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

  it("is read back as it is written, among others, from either header", () => {
    const value = reprDigest(sha256);
    expect(declaredSha256({ "repr-digest": value })).toBe(sha256);
    expect(declaredSha256({ "content-digest": `sha-512=:AAAA:, ${value}` })).toBe(sha256);
  });

  it("of another algorithm only is ignored", () => {
    expect(declaredSha256({ "repr-digest": "sha-512=:AAAA:" })).toBeUndefined();
    expect(declaredSha256({})).toBeUndefined();
  });

  it("that is no SHA-256 is refused", () => {
    for (const value of ["sha-256=abc", "sha-256=:AAAA:", `sha-256=:${sha256}:`]) {
      expect(() => declaredSha256({ "repr-digest": value })).toThrow(/repr-digest/);
    }
  });
});
