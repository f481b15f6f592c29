import { Buffer } from "node:buffer";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { createSteadyProvider } from "../../src/files/providers/steady/create-steady-provider.ts";
import { bytesSource } from "../../src/files/source.ts";

const { env } = process;

/** The real file APIs; each is asked only where its key is set. */
const endpoints = [
  {
    name: "kimi",
    apiKey: env["KIMI_API_KEY"],
    baseUrl: env["KIMI_BASE_URL"] ?? "https://api.moonshot.ai/v1",
    purpose: "file-extract",
    fileName: "changeover-smoke-test.txt",
    content: "A file of the smoke test; it may be deleted.",
    kind: "extracted-text",
  },
  {
    name: "glm",
    apiKey: env["GLM_API_KEY"],
    baseUrl: env["GLM_BASE_URL"] ?? "https://api.z.ai/api/paas/v4",
    purpose: "batch",
    fileName: "changeover-smoke-test.jsonl",
    content: `${JSON.stringify({
      custom_id: "changeover-smoke-test",
      method: "POST",
      url: "/v4/chat/completions",
      body: { model: "glm-4.5", messages: [{ role: "user", content: "A smoke test." }] },
    })}\n`,
    kind: "bytes",
  },
] as const;

for (const { name, apiKey, baseUrl, purpose, fileName, content, kind } of endpoints) {
  const variable = `${name.toUpperCase()}_API_KEY`;
  describe.skipIf(apiKey === undefined)(`the real file API of ${name} (needs ${variable})`, () => {
    it("takes a small file, knows it, gives its content out and removes it", async () => {
      const provider = createSteadyProvider({ name, baseUrl, apiKey: apiKey ?? "" });
      const signal = AbortSignal.timeout(120_000);
      try {
        expect(await provider.checkHealth(signal)).toMatchObject({ reason: "" });
        const source = bytesSource(Buffer.from(content));
        const upload = { source, name: fileName, mimeType: "text/plain", purpose };
        const file = await provider.upload(upload, signal);
        try {
          expect(file.sizeBytes).toBe(source.sizeBytes);
          expect(await provider.info(file.id, purpose, signal)).toMatchObject({ id: file.id });
          const given = await provider.content(file.id, signal);
          expect(given.kind).toBe(kind);
          expect(await text(given.body)).toContain("smoke");
        } finally {
          await provider.remove(file.id, signal);
        }
        expect(await provider.info(file.id, purpose, signal)).toBeNull();
      } finally {
        await provider.close();
      }
    });
  });
}
