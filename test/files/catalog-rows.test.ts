import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Content, type FileEntry, storedFile } from "../../src/files/catalog/catalog.ts";
import { contentOf, fileOf, rowOfContent, rowOfEntry } from "../../src/files/catalog/rows.ts";
import { providerNames } from "../../src/files/file-manager.ts";

const time = fc
  .date({ min: new Date(0), max: new Date("9999-01-01T00:00:00Z"), noInvalidDate: true })
  .map((date) => date.toISOString());
const text = fc.string({ unit: "grapheme" });
const provider = fc.constantFrom(...providerNames);
const content: fc.Arbitrary<Content> = fc.record({
  id: fc.uuid(),
  sha256: fc.stringMatching(/^[0-9a-f]{64}$/),
  provider,
  purpose: text,
  storageKey: text,
  providerFileId: fc.option(text),
  sizeBytes: fc.maxSafeNat(),
  createdAt: time,
});
const entry: fc.Arbitrary<FileEntry> = fc.record({
  id: fc.uuid(),
  owner: text,
  contentId: fc.uuid(),
  name: text,
  purpose: text,
  provider,
  mimeType: text,
  metadata: fc.dictionary(text, text),
  createdAt: time,
  accessedAt: time,
});
/** What comes back over HTTP. */
const wire = <T>(row: T): T => JSON.parse(JSON.stringify(row)) as T;

describe("rows of the tables", () => {
  it("give back every content and file as it was put in", () => {
    fc.assert(
      fc.property(content, entry, (one, file) => {
        expect(contentOf(wire(rowOfContent(one)))).toEqual(one);
        const joined = { ...wire(rowOfEntry(file)), content: wire(rowOfContent(one)) };
        expect(fileOf(joined)).toEqual({ file: storedFile(file, one), content: one });
      }),
    );
  });

  it("are understood as Postgres writes them: null metadata, its own times, large numbers as text", () => {
    fc.assert(
      fc.property(content, entry, (one, file) => {
        const postgres = (iso: string): string => iso.replace("T", " ").replace("Z", "000+00:00");
        const row = rowOfContent(one);
        const written = {
          ...row,
          size_bytes: String(row.size_bytes) as unknown as number,
          created_at: postgres(row.created_at),
        };
        expect(contentOf(written)).toEqual(one);
        const bare = { ...rowOfEntry(file), metadata: null, content: row };
        expect(fileOf(bare).file.metadata).toEqual({});
      }),
    );
  });
});
