import { createHash, randomBytes } from "node:crypto";
import OpenAI, { toFile } from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { StandInReport } from "../../src/sandbox/provider/admin.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { TestFolder } from "../support/test-folder.ts";

const MIB = 1024 * 1024;

describe("the stand-in for Kimi", () => {
  let folder: TestFolder;
  let sandbox: Sandbox;
  let client: OpenAI;
  let admin: string;

  beforeAll(async () => {
    folder = new TestFolder();
    sandbox = await startSandbox({ dataDir: folder.path });
    const { baseUrl, apiKey, adminUrl } = sandbox.addresses.kimi;
    client = new OpenAI({ baseURL: baseUrl, apiKey, maxRetries: 0 });
    admin = adminUrl;
  });
  afterEach(async () => {
    await fetch(`${admin}/faults`, { method: "DELETE" });
    await fetch(`${admin}/files`, { method: "DELETE" });
  });
  afterAll(async () => {
    await sandbox.close();
    await folder.remove();
  });

  const purpose = "file-extract" as OpenAI.FilePurpose;
  const upload = async (bytes: Buffer, name = "a.txt", as = purpose) =>
    client.files.create({ file: await toFile(bytes, name, { type: "text/plain" }), purpose: as });
  const report = async (): Promise<StandInReport> =>
    (await (await fetch(`${admin}/report`)).json()) as StandInReport;
  const setFaults = async (faults: unknown) => {
    const body = JSON.stringify(faults);
    return fetch(`${admin}/faults`, { method: "PUT", body });
  };

  const errorType = async (reply: Response) =>
    ((await reply.json()) as { error: { type: string } }).error.type;

  it("says what it is", async () => {
    const banner = await (await fetch(new URL("/", sandbox.addresses.kimi.baseUrl))).json();
    expect(banner).toMatchObject({ standIn: true, message: expect.stringContaining("stand-in") });
  });

  it("carries a file through its whole life with the openai client", async () => {
    const bytes = Buffer.from("The text of the file: äöü.");
    const created = await upload(bytes, "report.txt");
    expect(created).toEqual({
      id: expect.any(String),
      object: "file",
      bytes: bytes.length,
      created_at: expect.any(Number),
      filename: "report.txt",
      purpose: "file-extract",
      status: "ok",
      status_details: "",
    });
    expect(await client.files.retrieve(created.id)).toEqual(created);
    expect((await client.files.list()).data).toEqual([created]);
    const content = JSON.parse(await (await client.files.content(created.id)).text());
    expect(content).toMatchObject({ content: bytes.toString(), filename: "report.txt" });
    expect(await client.files.delete(created.id)).toEqual({
      id: created.id,
      object: "file",
      deleted: true,
    });
    await expect(client.files.retrieve(created.id)).rejects.toMatchObject({
      status: 404,
      error: { type: "resource_not_found_error" },
    });
  });

  it("reports the bytes and the SHA-256 of what arrived", async () => {
    const bytes = randomBytes(3 * MIB);
    const { id } = await upload(bytes, "big.pdf");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect(await report()).toMatchObject({
      standIn: true,
      provider: "kimi",
      files: [{ id, bytes: bytes.length, sha256, fileName: "big.pdf", purpose: "file-extract" }],
      requests: { upload: 1 },
      refused: {},
      faults: null,
    });
    expect((await report()).openConnections).toBeGreaterThan(0);
  });

  it("gives batch files back byte for byte, and images not at all", async () => {
    const bytes = Buffer.from('{"a":1}\n');
    const batch = await upload(bytes, "jobs.jsonl", "batch");
    expect(await (await client.files.content(batch.id)).text()).toBe(bytes.toString());
    const image = await upload(randomBytes(10), "a.png", "image" as OpenAI.FilePurpose);
    await expect(client.files.content(image.id)).rejects.toMatchObject({ status: 400 });
  });

  it.each([
    [
      "an unknown purpose",
      () => upload(Buffer.from("x"), "a.txt", "assistants"),
      "Invalid purpose: only 'file-extract' accepted",
    ],
    ["an empty file", () => upload(Buffer.alloc(0)), "File size is zero"],
    ["a batch that is not JSONL", () => upload(Buffer.from("x"), "a.txt", "batch"), "file type"],
    ["an unknown type", () => upload(Buffer.from("x"), "a.exe"), "file type"],
  ])("refuses %s with the documented error", async (_what, call, message) => {
    await expect(call()).rejects.toMatchObject({
      status: 400,
      error: { type: "invalid_request_error", message: expect.stringContaining(message) },
    });
    expect((await report()).files).toEqual([]);
  });

  it("refuses a file over 100 MB without reading it to its end", async () => {
    await expect(upload(Buffer.alloc(110 * MIB))).rejects.toMatchObject({
      status: 400,
      error: {
        message:
          "File size is too large, max file size is 100MB, please confirm and re-upload the file",
      },
    });
    expect((await report()).files).toEqual([]);
  });

  it("knows its key from no key and from a wrong one", async () => {
    const { baseUrl } = sandbox.addresses.kimi;
    const none = await fetch(`${baseUrl}/files`);
    expect([none.status, await errorType(none)]).toEqual([401, "invalid_authentication_error"]);
    const wrong = await fetch(`${baseUrl}/files`, { headers: { authorization: "Bearer x" } });
    expect([wrong.status, await errorType(wrong)]).toEqual([401, "incorrect_api_key_error"]);
  });

  it("refuses bodies that are no multipart form, or have no file", async () => {
    const { baseUrl, apiKey } = sandbox.addresses.kimi;
    const headers = { authorization: `Bearer ${apiKey}` };
    const post = (body: string | FormData) =>
      fetch(`${baseUrl}/files`, { method: "POST", headers, body });
    expect((await post("plain")).status).toBe(400);
    const form = new FormData();
    form.set("purpose", "file-extract");
    expect((await post(form)).status).toBe(400);
    expect((await report()).refused).toEqual({ "not-multipart": 1, "no-file": 1 });
  });

  it("answers with an error as often as a fault says, with the provider's body", async () => {
    expect((await setFaults({ errorStatus: 429, count: 2, operations: ["list"] })).status).toBe(
      200,
    );
    for (let n = 0; n < 2; n++) {
      await expect(client.files.list()).rejects.toMatchObject({
        status: 429,
        error: { type: "engine_overloaded_error" },
      });
    }
    expect((await client.files.list()).data).toEqual([]);
    expect((await report()).faults).toBeNull();
  });

  it("is survived by the openai client's own retries", async () => {
    await setFaults({ errorStatus: 503, count: 1 });
    const retrying = client.withOptions({ maxRetries: 1 });
    expect((await retrying.files.list()).data).toEqual([]);
    expect((await report()).requests).toEqual({ list: 2 });
  });

  it("cuts an upload after as many bytes as a fault says, and keeps nothing", async () => {
    await setFaults({ resetAfterBytes: 100_000, count: 1 });
    await expect(upload(randomBytes(2 * MIB))).rejects.toThrow(/Connection error/);
    const { files, uploadBytes } = await report();
    expect(files).toEqual([]);
    expect(uploadBytes).toBeGreaterThanOrEqual(100_000);
    expect(uploadBytes).toBeLessThan(2 * MIB);
    expect((await upload(Buffer.from("x"))).bytes).toBe(1);
  });

  it("can do the work and lose the reply", async () => {
    await setFaults({ loseReply: 1, count: 1, operations: ["upload"] });
    await expect(upload(Buffer.from("lost?"), "lost.txt")).rejects.toThrow(/Connection error/);
    expect((await client.files.list()).data).toMatchObject([{ filename: "lost.txt", bytes: 5 }]);
  });

  it("waits as long as a fault says before it answers", async () => {
    await setFaults({ latencyMs: 600_000 });
    const signal = AbortSignal.timeout(50);
    await expect(client.files.list({}, { signal })).rejects.toThrow(/aborted/);
    await fetch(`${admin}/faults`, { method: "DELETE" });
    expect((await client.files.list()).data).toEqual([]);
  });

  it.each([
    [{ nonsense: 1 }, /no fault nonsense/],
    [{ errorStatus: 200 }, /from 400 to 599/],
    [{ latencyMs: -1 }, /from 0/],
    [{ latencyMs: 1, count: 0 }, /count/],
    [{ latencyMs: 1, operations: ["everything"] }, /operations/],
    [[], /object/],
  ])("refuses the faults %j", async (faults, message) => {
    const reply = await setFaults(faults);
    expect(reply.status).toBe(400);
    expect(((await reply.json()) as { message: string }).message).toMatch(message);
  });
});
