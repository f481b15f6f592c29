import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { ProviderSink } from "../../src/files/rehearsal/provider-sink.ts";
import { processName, scopeName, scopeOf } from "../../src/files/rehearsal/scope-name.ts";
import { bytesSource } from "../../src/files/source.ts";

const signal = new AbortController().signal;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

describe("a provider's sink", () => {
  const each = (["streaming", "buffered"] as const).flatMap((transport) =>
    (["kimi", "glm"] as const).map((name) => [transport, name] as const),
  );

  it.each(each)(
    "lets the %s client of %s encode its form in full, and takes it apart",
    async (transport, name) => {
      const bytes = Buffer.alloc(700_001, "\r\n--boundary--\r\n");
      const sink = new ProviderSink(name, new ManualClock());
      const provider = sink.provider(transport);
      const upload = {
        source: bytesSource(bytes),
        ...{ name: 'a "b" – 報告.pdf', mimeType: "application/pdf", purpose: "file-extract" },
      };
      const file = await provider.upload(upload, signal);
      expect(file).toMatchObject({
        name: 'a "b" – 報告.pdf',
        sizeBytes: 700_001,
        purpose: "file-extract",
      });
      expect(sink.uploads).toMatchObject([
        {
          ...{ fileField: "file", fileName: 'a "b" – 報告.pdf', mimeType: "application/pdf" },
          ...{ fields: { purpose: "file-extract" }, sizeBytes: 700_001, sha256: sha256(bytes) },
        },
      ]);
      expect(sink.uploads[0]?.encodedBytes).toBeGreaterThan(700_001);
      expect(sink.files).toBe(1);
      await provider.remove(file.id, signal);
      expect(sink.files).toBe(0);
      // Gone already is gone, as at the provider.
      await provider.remove(file.id, signal);
      await provider.close();
    },
  );

  it("gets the same from both clients, whatever the bytes", async () => {
    const sized = fc.uint8Array({ minLength: 1, maxLength: 5000 });
    await fc.assert(
      fc.asyncProperty(sized, async (bytes) => {
        const seen = await Promise.all(
          (["streaming", "buffered"] as const).map(async (transport) => {
            const sink = new ProviderSink("kimi", new ManualClock());
            const source = bytesSource(bytes);
            const upload = { source, name: "a.pdf", mimeType: "a/b", purpose: "p" };
            await sink.provider(transport).upload(upload, signal);
            const { encodedBytes: _, ...facts } = sink.uploads[0] ?? { encodedBytes: 0 };
            return facts;
          }),
        );
        expect(seen[0]).toEqual(seen[1]);
        expect(seen[0]).toMatchObject({ sha256: sha256(bytes) });
      }),
      { numRuns: 50 },
    );
  });

  it.each(["streaming", "buffered"] as const)(
    "takes no upload that breaks off: %s",
    async (transport) => {
      const sink = new ProviderSink("kimi", new ManualClock());
      const source = bytesSource(Buffer.from("abc"));
      Object.defineProperty(source, "sizeBytes", { value: 10 });
      const upload = { source, name: "a.pdf", mimeType: "a/b", purpose: "p" };
      await expect(sink.provider(transport).upload(upload, signal)).rejects.toMatchObject({
        code: expect.stringMatching(/^FILES_/),
      });
      expect(sink.files).toBe(0);
    },
  );

  it.each(["streaming", "buffered"] as const)("stops when it is aborted: %s", async (transport) => {
    const sink = new ProviderSink("kimi", new ManualClock());
    const controller = new AbortController();
    controller.abort(new Error("given up"));
    const source = bytesSource(Buffer.from("abc"));
    const upload = { source, name: "a.pdf", mimeType: "a/b", purpose: "p" };
    await expect(sink.provider(transport).upload(upload, controller.signal)).rejects.toThrow(
      "given up",
    );
    expect(sink.uploads).toEqual([]);
  });
});

describe("the name of a rehearsal", () => {
  it("is known again in every key, owner and purpose below it, with its time", () => {
    const name = scopeName(processName(), 1_700_000_000_123.4);
    expect(name.startedMs).toBe(1_700_000_000_123);
    for (const text of [name.prefix, `${name.prefix}/anna`, `${name.prefix}/none/a/b`]) {
      expect(scopeOf(text)).toEqual(name);
    }
    expect(scopeName(processName(), 0).prefix).not.toBe(scopeName(processName(), 0).prefix);
  });

  it("is found in nothing that a user or an upload can make", () => {
    const owner = fc.stringMatching(/^[A-Za-z0-9._@-]{1,100}$/);
    fc.assert(fc.property(owner, (text) => scopeOf(text) === null));
    for (const text of [
      "kimi/file-extract/ab/cd/ef",
      "rehearsal",
      "rehearsal/x/y",
      "rehearsals/0",
    ]) {
      expect(scopeOf(text)).toBeNull();
    }
    const { prefix } = scopeName(processName(), 5);
    expect(scopeOf(`x/${prefix}`)).toBeNull();
    expect(scopeOf(`${prefix}0`)).toBeNull();
  });
});
