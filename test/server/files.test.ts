import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startGateway, type TestGateway } from "../support/gateway-app.ts";

const userData = "user_data" as const;
const bytesOf = async (response: Response): Promise<Buffer> =>
  Buffer.from(await response.arrayBuffer());

describe("the file API, used through OpenAI's own client", () => {
  let gateway: TestGateway;
  let client: OpenAI;
  let dir: string;
  beforeAll(async () => {
    gateway = await startGateway({ flags: { "files.upload": 100 } });
    client = new OpenAI({ apiKey: "any", baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    dir = await mkdtemp(join(tmpdir(), "changeover-client-"));
  });
  afterAll(async () => {
    await gateway.close();
    await rm(dir, { recursive: true, force: true });
  });

  it("stores a file that is streamed from disk, and gives the same bytes back", async () => {
    const path = join(dir, "streamed.txt");
    const bytes = Buffer.from("a line of text\n".repeat(50_000));
    await writeFile(path, bytes);
    const file = await client.files.create({ file: createReadStream(path), purpose: userData });
    expect(file).toMatchObject({
      object: "file",
      bytes: bytes.length,
      filename: "streamed.txt",
      purpose: "user_data",
      status: "processed",
      provider: "none",
      mime_type: "text/plain",
    });
    expect(Number.isInteger(file.created_at)).toBe(true);
    expect(await bytesOf(await client.files.content(file.id))).toEqual(bytes);
    expect(await gateway.spooled()).toEqual([]);
  });

  it("stores a file of 20 MB byte for byte", async () => {
    const bytes = Buffer.alloc(20_000_000, "0123456789abcdefghijklm\n");
    const upload = await toFile(bytes, "large.txt");
    const file = await client.files.create({ file: upload, purpose: userData });
    expect(file.bytes).toBe(20_000_000);
    expect(bytes.equals(await bytesOf(await client.files.content(file.id)))).toBe(true);
  });

  it("keeps names with emoji, quotes and right-to-left letters as they were sent", async () => {
    for (const name of ['say "hi" 😀.txt', "שלום עולם.txt", "naïve 100%.txt"]) {
      const file = await client.files.create({
        file: await toFile(Buffer.from("x"), name),
        purpose: userData,
      });
      expect(file.filename).toBe(name);
      expect((await client.files.retrieve(file.id)).filename).toBe(name);
    }
  });

  it("takes the last part of a name that is a path", async () => {
    const form = new FormData();
    form.append("purpose", "user_data");
    form.append("file", new Blob(["x"]), "../../etc/passwd");
    const response = await fetch(`${gateway.url}/v1/files`, { method: "POST", body: form });
    expect(await response.json()).toMatchObject({ filename: "passwd" });
  });

  it("says the error of the file system in OpenAI's shape", async () => {
    const create = client.files.create({
      file: await toFile(Buffer.from("x"), "a.txt"),
      purpose: "nonsense" as typeof userData,
    });
    await expect(create).rejects.toMatchObject({
      status: 400,
      code: "FILES_UNKNOWN_PURPOSE",
      param: "purpose",
      type: "invalid_request_error",
    });
    expect(await gateway.spooled()).toEqual([]);
  });

  it("deletes a file, which is then not found", async () => {
    const upload = await toFile(Buffer.from("bye"), "bye.txt");
    const { id } = await client.files.create({ file: upload, purpose: userData });
    expect(await client.files.delete(id)).toEqual({ id, object: "file", deleted: true });
    await expect(client.files.retrieve(id)).rejects.toMatchObject({
      status: 404,
      code: "FILES_NOT_FOUND",
    });
    await expect(client.files.delete(id)).rejects.toMatchObject({ status: 404 });
    await expect(client.files.retrieve("no-such-id")).rejects.toMatchObject({
      code: "FILES_NOT_FOUND",
    });
  });
});

describe("lists of files", () => {
  let gateway: TestGateway;
  let client: OpenAI;
  const ids: string[] = [];
  beforeAll(async () => {
    gateway = await startGateway();
    client = new OpenAI({ apiKey: "any", baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    for (let index = 0; index < 25; index += 1) {
      const purpose = index % 5 === 0 ? "batch" : "user_data";
      const file = await toFile(Buffer.from(`{"n":${index}}`), `file-${index}.jsonl`);
      ids.push((await client.files.create({ file, purpose })).id);
    }
  });
  afterAll(() => gateway.close());

  it("are paged, newest first, and the client walks all pages", async () => {
    const seen: string[] = [];
    for await (const file of client.files.list({ limit: 10 })) seen.push(file.id);
    expect(seen).toEqual([...ids].reverse());
  });

  it("have 20 files a page and name their first and last", async () => {
    const page = (await (await fetch(`${gateway.url}/v1/files`)).json()) as { data: unknown[] };
    expect(page).toMatchObject({
      object: "list",
      has_more: true,
      first_id: ids[24],
      last_id: ids[5],
    });
    expect(page.data).toHaveLength(20);
  });

  it("can be asked for oldest first, of one purpose, after a file", async () => {
    const first = await client.files.list({ order: "asc", limit: 3, purpose: "batch" });
    expect(first.data.map(({ id }) => id)).toEqual([ids[0], ids[5], ids[10]]);
    const after = ids[10] ?? "";
    const second = await client.files.list({ order: "asc", limit: 3, purpose: "batch", after });
    expect(second.data.map(({ id }) => id)).toEqual([ids[15], ids[20]]);
    expect(second.has_more).toBe(false);
  });

  it("of nothing have no first and no last", async () => {
    const page = await (await fetch(`${gateway.url}/v1/files?purpose=evals`)).json();
    expect(page).toEqual({
      object: "list",
      data: [],
      first_id: null,
      last_id: null,
      has_more: false,
    });
  });

  it.each([
    ["limit=0", "limit", /^`limit` \(0\) is not accepted: use a whole number from 1 to 100\.$/],
    ["limit=101", "limit", /\(101\).*from 1 to 100/],
    ["limit=ten", "limit", /"ten"/],
    ["order=up", "order", /"up".*use asc or desc/],
    ["order=asc&order=desc", "order", /use asc or desc/],
  ])("refuse %s and name what is wrong", async (query, param, message) => {
    const response = await fetch(`${gateway.url}/v1/files?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: {
        code: "GATEWAY_INVALID_REQUEST",
        param,
        type: "invalid_request_error",
        message: expect.stringMatching(message),
      },
    });
  });
});

describe("answers of the file API", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({ flags: { "files.list": 100, "files.info": 0 } });
  });
  afterAll(() => gateway.close());

  it("name the path, the reason and the request, also when they are errors of a path", async () => {
    const headers = { "x-request-id": "my-request:1" };
    const list = await fetch(`${gateway.url}/v1/files`, { headers });
    expect(list.headers.get("x-changeover-path")).toBe("candidate");
    expect(list.headers.get("x-changeover-reason")).toBe("flag-on");
    expect(list.headers.get("x-request-id")).toBe("my-request:1");
    const id = "00000000-0000-4000-8000-000000000000";
    const missing = await fetch(`${gateway.url}/v1/files/${id}`);
    expect(missing.status).toBe(404);
    expect(missing.headers.get("x-changeover-path")).toBe("legacy");
    expect(missing.headers.get("x-changeover-reason")).toBe("flag-off");
    expect(missing.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("do not take over a request id that is unsafe or too long", async () => {
    for (const unsafe of ["a b", "é", "x".repeat(129), "<script>"]) {
      const headers = { "x-request-id": Buffer.from(unsafe).toString("latin1") };
      const response = await fetch(`${gateway.url}/v1/files`, { headers });
      expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it("say when legacy stepped in for a candidate that failed", async () => {
    gateway.candidate.list = () => Promise.reject(new Error("a bug"));
    const response = await fetch(`${gateway.url}/v1/files`);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-changeover-path")).toBe("legacy");
    expect(response.headers.get("x-changeover-fell-back")).toBe("true");
  });

  it("hide what an unforeseen error says, and log it under the request id", async () => {
    gateway.legacy.info = () => Promise.reject(new Error("secret detail"));
    const id = "00000000-0000-4000-8000-000000000000";
    const response = await fetch(`${gateway.url}/v1/files/${id}`, {
      headers: { "x-request-id": "unforeseen" },
    });
    expect(response.status).toBe(500);
    expect(response.headers.get("x-should-retry")).toBe("false");
    const text = await response.text();
    expect(text).not.toContain("secret detail");
    expect(JSON.parse(text)).toMatchObject({
      error: { code: "GATEWAY_INTERNAL", type: "server_error" },
    });
    const errors = gateway.log.filter(({ level }) => level === "error");
    expect(errors.map(({ fields }) => fields["requestId"])).toEqual(["unforeseen"]);
  });

  it("write one line to the log, without names, keys or contents", async () => {
    const form = new FormData();
    form.append("purpose", "user_data");
    form.append("file", new Blob(["private content"]), "private-name.txt");
    const headers = { "x-request-id": "logged", authorization: "Bearer private-key" };
    await fetch(`${gateway.url}/v1/files`, { method: "POST", body: form, headers });
    await fetch(`${gateway.url}/v1/files/private-name.txt?purpose=nope`, { method: "PUT" });
    const lines = gateway.log.filter(({ fields }) => fields["requestId"] === "logged");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level: "info",
      fields: { method: "POST", route: "/v1/files", status: 200, fileBytes: 15, path: "legacy" },
    });
    expect(JSON.stringify(gateway.log)).not.toMatch(/private/);
  });
});
