import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import type { ProviderFile } from "../../src/files/providers/provider.ts";
import { findLostUpload } from "../../src/files/providers/steady/lost-upload.ts";
import { SentNames } from "../../src/files/providers/steady/sent-names.ts";

const startedMs = Date.parse("2026-01-01T12:00:00.500Z");
const lost = { name: 'a "b".pdf', sizeBytes: 10, startedMs };
const file = (more: Partial<ProviderFile> = {}): ProviderFile => ({
  id: "1",
  name: lost.name,
  sizeBytes: 10,
  purpose: "file-extract",
  createdAt: "2026-01-01T12:00:00.000Z",
  ...more,
});
const facts = { nowMs: startedMs + 5000, clockSkewMs: 60_000, isKnown: () => false };

describe("a file in the list", () => {
  it.each<[string, Partial<ProviderFile>]>([
    ["has its name, size and time", {}],
    ["has its name as it went over the wire", { name: "a %22b%22.pdf" }],
    ["was made by a clock a minute behind", { createdAt: "2026-01-01T11:59:00.000Z" }],
    ["was made by a clock a minute ahead", { createdAt: "2026-01-01T12:01:05.000Z" }],
  ])("is the lost upload when it %s", (_what, more) => {
    expect(findLostUpload(lost, [file({ id: "0", name: "x" }), file(more)], facts)).toEqual({
      kind: "found",
      file: file(more),
    });
  });

  it.each<[string, Partial<ProviderFile>]>([
    ["name", { name: "b.pdf" }],
    ["size", { sizeBytes: 11 }],
    ["time: it is older", { createdAt: "2026-01-01T11:58:00.000Z" }],
    ["time: it is from the future", { createdAt: "2026-01-01T12:02:00.000Z" }],
    ["date that can be read", { createdAt: "yesterday" }],
  ])("is not when it has another %s", (_what, more) => {
    expect(findLostUpload(lost, [file(more)], facts)).toEqual({ kind: "absent" });
  });

  it("is not when it is known to belong to another, and nobody can tell when there are two", () => {
    const isKnown = (id: string): boolean => id === "1";
    expect(findLostUpload(lost, [file()], { ...facts, isKnown })).toEqual({ kind: "absent" });
    const two = [file(), file({ id: "2" })];
    expect(findLostUpload(lost, two, facts)).toEqual({ kind: "ambiguous", ids: ["1", "2"] });
    expect(findLostUpload(lost, two, { ...facts, isKnown })).toMatchObject({
      kind: "found",
      file: { id: "2" },
    });
  });
});

describe("the names under which uploads go out", () => {
  const kind = (name: string, sizeBytes = 1): Parameters<SentNames["reserve"]>[0] => ({
    purpose: "p",
    name,
    sizeBytes,
  });

  it("are their own, unless another of that name and size is under way", () => {
    const names = new SentNames(new ManualClock(), 1000);
    const first = names.reserve(kind("report.pdf"));
    expect(first.name).toBe("report.pdf");
    expect(names.reserve(kind("report.pdf", 2)).name).toBe("report.pdf");
    expect(names.reserve(kind("report.pdf")).name).toBe("report (2).pdf");
    expect(names.reserve(kind("report.pdf")).name).toBe("report (3).pdf");
    first.release(false);
    expect(names.reserve(kind("report.pdf")).name).toBe("report.pdf");
    expect(names.reserve(kind(".env")).name).toBe(".env");
    expect(names.reserve(kind(".env")).name).toBe(".env (2)");
  });

  it("rest for a while when their file may still turn up", () => {
    const clock = new ManualClock();
    const names = new SentNames(clock, 1000);
    names.reserve(kind("a.pdf")).release(true);
    const second = names.reserve(kind("a.pdf"));
    expect(second.name).toBe("a (2).pdf");
    second.release(false);
    clock.advance(1000);
    expect(names.reserve(kind("a.pdf")).name).toBe("a.pdf");
  });

  it("are never the same for two at once, keep their extension, and stay sendable", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a.pdf", "a (2).pdf", "b", "x".repeat(300))), (all) => {
        const names = new SentNames(new ManualClock(), 1000);
        const sent = all.map((name) => names.reserve(kind(name)).name);
        expect(new Set(sent).size).toBe(sent.length);
        for (const [index, name] of sent.entries()) {
          expect(name.endsWith(".pdf")).toBe(all[index]?.endsWith(".pdf"));
          if (name !== all[index]) expect(name.length).toBeLessThanOrEqual(255);
        }
      }),
    );
  });
});
