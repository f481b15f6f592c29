import { afterEach, describe, expect, it } from "vitest";
import { createProvider } from "../../src/files/providers/create-provider.ts";
import type { Provider } from "../../src/files/providers/provider.ts";
import {
  apiKey,
  closeAll,
  failureOf,
  fileObject,
  json,
  providerAt,
  serve,
  signal,
} from "./fixtures/provider-server.ts";

afterEach(closeAll);

describe("the rest of the file API", () => {
  it("of Kimi: gets by id, lists all at once, removes; what is not there is no error", async () => {
    const { baseUrl } = await serve((request, response) => {
      request.resume();
      const call = `${request.method} ${request.url}`;
      const answers: Record<string, unknown> = {
        "GET /v1/files/file-1": fileObject(5),
        "GET /v1/files": {
          object: "list",
          data: [fileObject(5), fileObject(6, { id: "file-2", purpose: "batch" })],
        },
        "DELETE /v1/files/file-1": { id: "file-1", object: "file", deleted: true },
      };
      const answer = answers[call];
      const error = { error: { type: "resource_not_found_error", message: "not found" } };
      json(response, answer === undefined ? 404 : 200, answer ?? error);
    });
    const provider = providerAt(baseUrl);
    expect(await provider.info("file-1", "file-extract", signal)).toMatchObject({ sizeBytes: 5 });
    expect(await provider.info("file-9", "file-extract", signal)).toBeNull();
    expect(await provider.info("../secrets", "file-extract", signal)).toBeNull();
    const listed = await provider.list("batch", signal);
    expect(listed.map((file) => file.id)).toEqual(["file-2"]);
    await provider.remove("file-1", signal);
    await provider.remove("file-9", signal);
    await provider.remove("..", signal);
  });

  it("of GLM: pages through its list by purpose, and looks there for a file by id", async () => {
    const asked: string[] = [];
    const { baseUrl } = await serve((request, response) => {
      request.resume();
      const { searchParams } = new URL(request.url ?? "", "http://x");
      asked.push(`${request.method} ${searchParams}`);
      const from = Number(searchParams.get("after")?.slice(5) ?? 0);
      const data = [1, 2].map((n) => fileObject(n, { id: `file-${from + n}`, purpose: "agent" }));
      json(response, 200, { object: "list", data, has_more: from < 4 });
    });
    const provider = providerAt(baseUrl, { name: "glm" });
    const listed = await provider.list("file", signal);
    expect(listed.map((file) => file.id)).toEqual([1, 2, 3, 4, 5, 6].map((n) => `file-${n}`));
    expect(asked[1]).toBe("GET purpose=file&limit=100&order=created_at&after=file-2");
    expect(await provider.info("file-4", "file", signal)).toMatchObject({ id: "file-4" });
    expect(await provider.info("file-7", "file", signal)).toBeNull();
  });

  it("does not follow a list that leads back to itself", async () => {
    const { baseUrl } = await serve((request, response) => {
      request.resume();
      json(response, 200, { data: [fileObject(1)], has_more: true });
    });
    const error = await failureOf(providerAt(baseUrl, { name: "glm" }).list("agent", signal));
    expect(error).toMatchObject({ code: "FILES_PROVIDER_UNAVAILABLE" });
  });

  it("believes a removal only when it is confirmed", async () => {
    const { baseUrl } = await serve((_, response) => json(response, 200, { deleted: false }));
    const error = await failureOf(providerAt(baseUrl).remove("file-1", signal));
    expect(error).toMatchObject({ code: "FILES_PROVIDER_UNAVAILABLE" });
  });

  it("tells what the provider said, its request id, and when to come back", async () => {
    const { baseUrl } = await serve((request, response) => {
      request.resume();
      const body = { error: { type: "engine_overloaded_error", message: "busy\r\nnow" } };
      json(response, 429, body, { "retry-after": "7", "msh-request-id": "req-1" });
    });
    const error = await failureOf(providerAt(baseUrl).list("batch", signal));
    expect(error).toMatchObject({
      code: "FILES_PROVIDER_THROTTLED",
      status: 429,
      retryable: true,
      retryAfterSeconds: 7,
      details: {
        provider: "kimi",
        providerStatus: 429,
        providerCode: "engine_overloaded_error",
        requestId: "req-1",
        effect: "absent",
      },
    });
    expect(error.message).toContain("busy now");
  });
});

describe("a provider's settings", () => {
  const base = { name: "kimi", apiKey, transport: "streaming" } as const;

  it.each([
    "not a url",
    "ftp://127.0.0.1/v1",
    "http://user:secret@127.0.0.1/v1",
    "http://127.0.0.1/v1?a=b",
  ])("refuse the base URL %j", (baseUrl) => {
    expect(() => createProvider({ ...base, baseUrl })).toThrow(
      expect.objectContaining({ code: "FILES_PROVIDER_MISCONFIGURED" }),
    );
  });

  it.each(["", "sk-a\nb", "sk-ä", "sk a"])("refuse the key %j without telling it", (key) => {
    const create = (): Provider =>
      createProvider({ ...base, baseUrl: "http://127.0.0.1/v1", apiKey: key });
    expect(create).toThrow(expect.objectContaining({ code: "FILES_PROVIDER_MISCONFIGURED" }));
    expect(create).not.toThrow(/sk-/);
  });
});
