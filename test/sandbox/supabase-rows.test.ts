import { randomUUID } from "node:crypto";
import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { TestFolder } from "../support/test-folder.ts";

function connect(sandbox: Sandbox, key: "secretKey" | "publishableKey" = "secretKey") {
  const { supabase } = sandbox.addresses;
  return createClient(supabase.url, supabase[key], { auth: { persistSession: false } });
}

function newContent(change: Record<string, unknown> = {}) {
  return {
    sha256: randomUUID().replaceAll("-", "").repeat(2),
    provider: "kimi",
    purpose: "file-extract",
    storage_key: "contents/aa",
    size_bytes: 42,
    created_at: new Date().toISOString(),
    ...change,
  };
}

describe("the tables of the embedded backend", () => {
  let folder: TestFolder;
  let sandbox: Sandbox;
  let client: ReturnType<typeof connect>;

  beforeAll(async () => {
    folder = new TestFolder();
    sandbox = await startSandbox({ dataDir: folder.path });
    client = connect(sandbox);
  });
  afterAll(async () => {
    await sandbox.close();
    await folder.remove();
  });

  it("insert, select, update and delete rows with timestamps to the millisecond", async () => {
    const content = newContent();
    const inserted = await client.from("contents").insert(content).select().single();
    expect(inserted.data).toEqual({ ...content, id: expect.any(String), provider_file_id: null });
    const { id } = inserted.data;
    const file = {
      owner: "alice",
      content_id: id,
      name: "report.txt",
      purpose: "file-extract",
      provider: "kimi",
      mime_type: "text/plain",
      metadata: { tags: ["a", "b"], nested: { deep: null } },
      created_at: content.created_at,
      accessed_at: content.created_at,
    };
    const fileRow = await client.from("files").insert(file).select("*, contents(sha256)").single();
    expect(fileRow.data).toMatchObject({ ...file, contents: { sha256: content.sha256 } });
    const later = new Date(Date.now() + 5).toISOString();
    await client.from("files").update({ accessed_at: later }).eq("id", fileRow.data.id);
    const newer = client.from("files").select("id").gt("accessed_at", content.created_at);
    expect((await newer.eq("owner", "alice")).data).toEqual([{ id: fileRow.data.id }]);
    await client.from("files").delete().eq("id", fileRow.data.id);
    expect((await client.from("files").select().eq("owner", "alice")).data).toEqual([]);
  });

  it("give a file empty metadata when none is written", async () => {
    const { data } = await client.from("contents").insert(newContent()).select("id").single();
    const created_at = new Date().toISOString();
    const file = { owner: "m", content_id: data?.id, name: "n", purpose: "p", provider: "none" };
    const row = { ...file, mime_type: "a/b", created_at, accessed_at: created_at };
    const inserted = await client.from("files").insert(row).select("metadata").single();
    expect(inserted.data).toEqual({ metadata: {} });
  });

  it("let exactly one of twenty concurrent upserts of one content win", async () => {
    const content = newContent();
    const options = { onConflict: "sha256,provider,purpose", ignoreDuplicates: true };
    const results = await Promise.all(
      Array.from({ length: 20 }, () => client.from("contents").upsert(content, options).select()),
    );
    expect(results.map((each) => each.error)).toEqual(Array.from({ length: 20 }, () => null));
    expect(results.filter((each) => each.data?.length === 1)).toHaveLength(1);
  });

  it("keep the same content apart by provider and purpose", async () => {
    const content = newContent();
    const variants = [content, { ...content, provider: "glm" }, { ...content, purpose: "batch" }];
    expect((await client.from("contents").insert(variants)).status).toBe(201);
  });

  it.each([
    ["a duplicate", 409, "23505", (first: object) => first],
    ["a missing value", 400, "23502", () => newContent({ sha256: null })],
    ["a short hash", 400, "23514", () => newContent({ sha256: "abc" })],
    ["an unknown provider", 400, "23514", () => newContent({ provider: "other" })],
    ["a negative size", 400, "23514", () => newContent({ size_bytes: -1 })],
  ])("answer %s as PostgREST does: %i %s", async (_what, status, code, row) => {
    const first = newContent();
    await client.from("contents").insert(first);
    const result = await client.from("contents").insert(row(first));
    expect([result.status, result.error?.code]).toEqual([status, code]);
  });

  it("name the constraint of a duplicate, and refuse files without their content", async () => {
    const first = newContent();
    await client.from("contents").insert(first);
    const duplicate = await client.from("contents").insert(first);
    expect(duplicate.error?.message).toBe(
      'duplicate key value violates unique constraint "contents_sha256_provider_purpose_key"',
    );
    const now = new Date().toISOString();
    const orphan = { owner: "a", content_id: randomUUID(), name: "n", purpose: "p" };
    const dates = { created_at: now, accessed_at: now };
    const row = { ...orphan, provider: "none", mime_type: "a/b", ...dates };
    const refused = await client.from("files").insert(row);
    expect([refused.status, refused.error?.code]).toEqual([409, "23503"]);
  });

  it("are empty and closed for the publishable key", async () => {
    await client.from("contents").insert(newContent());
    const browser = connect(sandbox, "publishableKey");
    expect((await browser.from("contents").select()).data).toEqual([]);
    expect((await browser.from("files").select()).data).toEqual([]);
    const refused = await browser.from("contents").insert(newContent());
    expect([refused.status, refused.error?.code]).toEqual([401, "42501"]);
  });

  it("are closed without a key, and the rest of the embedded service is not reachable", async () => {
    const { url, secretKey } = sandbox.addresses.supabase;
    expect((await fetch(`${url}/rest/v1/files`)).status).toBe(401);
    for (const path of ["/auth/v1/settings", "/_system/info", "/rest", "/studio"]) {
      expect((await fetch(url + path, { headers: { apikey: secretKey } })).status).toBe(404);
    }
  });
});
