import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { TestFolder } from "../support/test-folder.ts";

const MIB = 1024 * 1024;

describe("the stand-in for GLM", () => {
  let folder: TestFolder;
  let sandbox: Sandbox;

  beforeAll(async () => {
    folder = new TestFolder();
    sandbox = await startSandbox({ dataDir: folder.path });
  });
  afterEach(async () => {
    await fetch(`${sandbox.addresses.glm.adminUrl}/files`, { method: "DELETE" });
  });
  afterAll(async () => {
    await sandbox.close();
    await folder.remove();
  });

  const call = async (path: string, init: RequestInit = {}) => {
    const { baseUrl, apiKey } = sandbox.addresses.glm;
    const headers = { authorization: `Bearer ${apiKey}`, ...init.headers };
    const reply = await fetch(baseUrl + path, { ...init, headers });
    const text = await reply.text();
    return {
      status: reply.status,
      text,
      json: text.startsWith("{") ? JSON.parse(text) : undefined,
    };
  };
  const upload = (bytes: Uint8Array, name: string, purpose: string) => {
    const body = new FormData();
    body.set("file", new File([new Uint8Array(bytes)], name));
    body.set("purpose", purpose);
    return call("/files", { method: "POST", body });
  };
  const text = (content: string) => new TextEncoder().encode(content);

  it("uploads, lists by purpose, reads batches and deletes; a single file cannot be asked for", async () => {
    const created = await upload(text('{"a":1}\n'), "jobs.jsonl", "batch");
    expect(created.json).toEqual({
      id: expect.stringMatching(/^file-/),
      object: "file",
      bytes: 8,
      filename: "jobs.jsonl",
      purpose: "batch",
      created_at: expect.any(Number),
    });
    const { id } = created.json;
    expect((await call("/files")).json).toEqual({ object: "list", data: [], has_more: false });
    expect((await call("/files?purpose=batch")).json.data).toEqual([created.json]);
    expect((await call(`/files/${id}`)).status).toBe(404);
    expect((await call(`/files/${id}/content`)).text).toBe('{"a":1}\n');
    const gone = { id, object: "file", deleted: true };
    expect((await call(`/files/${id}`, { method: "DELETE" })).json).toEqual(gone);
    expect((await call(`/files/${id}`, { method: "DELETE" })).status).toBe(404);
  });

  it("gives no content but that of batches", async () => {
    const { json } = await upload(text("x"), "a.pdf", "agent");
    const content = await call(`/files/${json.id}/content`);
    expect([content.status, content.json.error.code]).toEqual([400, "1214"]);
  });

  it("pages its list", async () => {
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      ids.push((await upload(text("x"), `${n}.jsonl`, "batch")).json.id);
    }
    const seen: string[] = [];
    for (let after = "", more = true; more; ) {
      const page = (await call(`/files?purpose=batch&limit=2&after=${after}`)).json;
      seen.push(...page.data.map((file: { id: string }) => file.id));
      after = seen.at(-1) ?? "";
      more = page.has_more;
    }
    expect(seen).toEqual(ids);
  });

  it.each([
    ["no key", { authorization: "" }, 401, "1001"],
    ["a wrong key", { authorization: "Bearer wrong" }, 401, "1000"],
  ])("refuses %s", async (_what, headers, status, code) => {
    const refused = await call("/files?purpose=batch", { headers });
    expect([refused.status, refused.json.error.code]).toEqual([status, code]);
  });

  it.each([
    ["an unknown purpose", () => upload(text("x"), "a.pdf", "everything"), 400, "1214"],
    ["an empty file", () => upload(text(""), "a.pdf", "agent"), 400, "1214"],
    ["a type the purpose does not take", () => upload(text("x"), "a.jsonl", "agent"), 400, "1214"],
    [
      "an image over 5 MB",
      () => upload(new Uint8Array(5 * MIB + 1), "a.png", "agent"),
      400,
      "1210",
    ],
    [
      "a document over its purpose's 20 MB",
      () => upload(new Uint8Array(20 * MIB + 1), "a.pdf", "agent"),
      400,
      "1210",
    ],
    [
      "a file over 100 MB",
      () => upload(new Uint8Array(100 * MIB + 1), "a.jsonl", "batch"),
      435,
      "1210",
    ],
  ])("refuses %s", async (_what, refusedCall, status, code) => {
    const refused = await refusedCall();
    expect([refused.status, refused.json.error.code]).toEqual([status, code]);
    expect(refused.json.error.message).toEqual(expect.any(String));
  });

  it("takes exactly the limit, and 20 MB where only images are limited to 5", async () => {
    expect((await upload(new Uint8Array(5 * MIB), "a.png", "agent")).status).toBe(200);
    expect((await upload(new Uint8Array(20 * MIB), "a.pdf", "agent")).status).toBe(200);
  });

  it("takes a hundred files of a purpose that is limited to a hundred, also at once", async () => {
    const uploads = Array.from({ length: 110 }, (_, n) =>
      upload(text("x"), `${n}.pdf`, "code-interpreter"),
    );
    const statuses = (await Promise.all(uploads)).map((each) => each.status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(100);
    expect(statuses.filter((status) => status === 400)).toHaveLength(10);
    expect((await upload(text("x"), "other.pdf", "agent")).status).toBe(200);
  });
});
