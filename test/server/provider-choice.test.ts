import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { UploadRequest } from "../../src/files/file-manager.ts";
import { operatorToken, startGateway, type TestGateway } from "../support/gateway-app.ts";

describe("an upload that leaves something to the gateway", () => {
  let gateway: TestGateway;
  let seen: { path: string; request: UploadRequest }[] = [];
  beforeAll(async () => {
    gateway = await startGateway();
    for (const path of ["legacy", "candidate"] as const) {
      gateway[path].beforeUpload = async (request) => void seen.push({ path, request });
    }
  });
  beforeEach(() => {
    seen = [];
  });
  afterAll(() => gateway.close());

  const put = (
    query: string,
    headers: Record<string, string> = {},
    name = "secret-name.pdf",
  ): Promise<Response> =>
    fetch(`${gateway.url}/v1/files/${name}?${query}`, {
      method: "PUT",
      body: "%PDF-1.7",
      headers,
    });
  const post = (fields: Readonly<Record<string, string>>): Promise<Response> => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", new Blob(["%PDF-1.7"]), "secret-name.pdf");
    return fetch(`${gateway.url}/v1/files`, { method: "POST", body: form });
  };

  it("has its provider chosen, and is told which one and why", async () => {
    const response = await post({ provider: "auto" });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      provider: "glm",
      provider_choice: {
        provider: "glm",
        reasons: [expect.stringMatching(/^glm takes it with the least room to spare/)],
      },
    });
    const simple = await (await post({ provider: "auto", question: "What is it?" })).json();
    expect(simple).toMatchObject({ provider: "kimi", purpose: "file-extract" });
    const named = await (await post({ provider: "kimi", purpose: "file-extract" })).json();
    expect(named).not.toHaveProperty("provider_choice");
  });

  it("is told of the choice where it names a provider that is none", async () => {
    const response = await put("provider=openai");
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: {
        code: "FILES_UNKNOWN_PROVIDER",
        message: 'There is no provider "openai". Use one of: kimi, glm, none, auto.',
      },
    });
  });

  it("gets the same provider on both paths", async () => {
    for (const path of ["legacy", "candidate"]) {
      const forced = { "x-changeover-token": operatorToken, "x-changeover-path": path };
      expect((await put("provider=auto&question=why", forced)).status).toBe(201);
    }
    expect(seen.map(({ path, request }) => [path, request.provider, request.purpose])).toEqual([
      ["legacy", "kimi", "file-extract"],
      ["candidate", "kimi", "file-extract"],
    ]);
  });

  it("has the choice in the log under its request id, and never the file's name", async () => {
    await put("provider=auto", { "x-request-id": "choice-1" }, "secret-name.exotic");
    const lines = gateway.log.filter(({ fields }) => fields["requestId"] === "choice-1");
    expect(lines.map(({ message }) => message)).toContain("A provider was chosen for an upload");
    expect(lines.find(({ fields }) => fields["provider"] !== undefined)?.fields).toMatchObject({
      provider: "none",
      reasons: ["kimi: type excluded", "glm: type excluded", "none: fit chosen"],
    });
    expect(JSON.stringify(lines)).not.toContain("secret-name");
  });

  it("is refused when nobody takes it, and when a question helps nobody", async () => {
    const refused = await put("provider=auto&purpose=nonsense");
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ error: { code: "FILES_NO_PROVIDER" } });
    for (const response of [
      await put("provider=kimi&question=why"),
      await post({ purpose: "user_data", question: "why" }),
    ]) {
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        error: { code: "GATEWAY_INVALID_REQUEST", param: "question" },
      });
    }
    expect(seen).toEqual([]);
  });

  it("says what is to happen with bytes that are stored already", async () => {
    await post({ purpose: "user_data", on_duplicate: "return" });
    await put("on_duplicate=error");
    await put("", { "x-changeover-on-duplicate": "force" });
    await put("");
    expect(seen.map(({ request }) => request.onDuplicate)).toEqual([
      "return",
      "error",
      "force",
      undefined,
    ]);
    seen = [];
    for (const response of [
      await post({ purpose: "user_data", on_duplicate: "skip" }),
      await put("on_duplicate=RETURN"),
      await put("on_duplicate=return&on_duplicate=error"),
    ]) {
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        error: { code: "GATEWAY_INVALID_REQUEST", param: "on_duplicate" },
      });
    }
    expect(seen).toEqual([]);
  });

  it("refuses a setting in the query that nobody knows, instead of doing without it", async () => {
    const response = await put("onDuplicate=error");
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { code: "GATEWAY_INVALID_REQUEST", param: "onDuplicate" },
    });
    expect(seen).toEqual([]);
  });
});
