import { describe, expect, it } from "vitest";
import { mimeTypeOf } from "../../src/files/mime.ts";
import { bytesSource } from "../../src/files/source.ts";

const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
const emptyZip = Buffer.from("504b0506000000000000000000000000000000000000", "hex");
const noise = Buffer.from([0x80, 0x00, 0xff, 0x13, 0xfe, 0x01, 0x99]);

const typeOf = (bytes: Uint8Array | string, name: string): Promise<string> =>
  mimeTypeOf(bytesSource(Buffer.from(bytes)), name);

describe("the MIME type of an upload", () => {
  it.each<[string, Uint8Array | string, string, string]>([
    ["content", png, "photo.png", "image/png"],
    ["content rather than a false extension", png, "photo.pdf", "image/png"],
    ["content without an extension", png, "photo", "image/png"],
    ["the extension of plain text", '{"a":1}', "a.json", "application/json"],
    ["the extension of lines of JSON", '{"a":1}\n', "a.jsonl", "application/jsonl"],
    ["text even where .ts also means video", "const a = 1;", "a.ts", "text/plain"],
    ["text without an extension", "hello, wörld", "README", "text/plain"],
    ["text that calls itself an image", "hello", "a.gif", "text/plain"],
    ["nothing for bytes that call themselves text", noise, "a.txt", "application/octet-stream"],
    [
      "the extension of bytes without a signature",
      noise,
      "a.mobi",
      "application/x-mobipocket-ebook",
    ],
    ["nothing", noise, "a.unheard-of", "application/octet-stream"],
    ["an own name of an object's field", noise, "a.constructor", "application/octet-stream"],
    ["the extension of an empty file", "", "a.csv", "text/csv"],
    ["nothing of an empty file without one", "", "a", "application/octet-stream"],
  ])("follows %s", async (_, bytes, name, expected) => {
    expect(await typeOf(bytes, name)).toBe(expected);
  });

  it("looks into a container by its extension, but only at formats that live in it", async () => {
    expect(await typeOf(emptyZip, "a.epub")).toBe("application/epub+zip");
    expect(await typeOf(emptyZip, "a.png")).toBe("application/zip");
  });

  it("takes no text for a program or a picture because of its first letters", async () => {
    expect(await typeOf("MZ-80;1978;Sharp", "computers.csv")).toBe("text/csv");
    expect(await typeOf("BMW;1972;Munich", "cars.csv")).toBe("text/csv");
    expect(await typeOf(Buffer.from("4d5a900003000000", "hex"), "invoice.pdf")).toBe(
      "application/x-msdownload",
    );
  });

  it("is not misled by a character that the end of the sample cuts in two", async () => {
    expect(await typeOf(`x${"ü".repeat(40_000)}`, "a.md")).toBe("text/markdown");
    expect(await typeOf(Buffer.from([0x61, 0xc3]), "a.md")).toBe("application/octet-stream");
  });
});
