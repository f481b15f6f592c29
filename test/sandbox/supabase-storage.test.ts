import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { TestFolder } from "../support/test-folder.ts";

const MIB = 1024 * 1024;

function connect(sandbox: Sandbox, key: "secretKey" | "publishableKey" = "secretKey") {
  const { supabase } = sandbox.addresses;
  return createClient(supabase.url, supabase[key], {
    auth: { persistSession: false },
    global: { fetch: (url, init) => fetch(url, { ...init, redirect: "error" }) },
  });
}

const md5 = (bytes: Buffer): string => createHash("md5").update(bytes).digest("hex");

describe("the storage of the embedded backend", () => {
  let folder: TestFolder;
  let sandbox: Sandbox;
  let client: ReturnType<typeof connect>;
  let headers: Record<string, string>;
  let names = 0;

  beforeAll(async () => {
    folder = new TestFolder();
    sandbox = await startSandbox({ dataDir: folder.path });
    client = connect(sandbox);
    const { secretKey } = sandbox.addresses.supabase;
    headers = { apikey: secretKey, authorization: `Bearer ${secretKey}` };
  });
  afterAll(async () => {
    await sandbox.close();
    await folder.remove();
  });

  const newName = (): string => `tests/${names++}.bin`;
  const bucket = () => client.storage.from(sandbox.addresses.supabase.bucket);
  const objectUrl = (name: string, inBucket = sandbox.addresses.supabase.bucket): string =>
    `${sandbox.addresses.supabase.url}/storage/v1/object/${inBucket}/${name}`;

  async function blobFiles(): Promise<string[]> {
    const blobs = join(folder.path, "supabase/blobs");
    const entries = await readdir(blobs, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  }

  it("takes a Buffer and gives it back", async () => {
    const name = newName();
    const bytes = randomBytes(300_000);
    const uploaded = await bucket().upload(name, bytes, { contentType: "application/pdf" });
    expect(uploaded.data).toMatchObject({ path: name, fullPath: `changeover-files/${name}` });
    const blob = (await bucket().download(name)).data;
    expect(blob?.type).toBe("application/pdf");
    expect(Buffer.from(await (blob as Blob).arrayBuffer()).equals(bytes)).toBe(true);
  });

  it("takes an empty object", async () => {
    const name = newName();
    expect((await bucket().upload(name, Buffer.alloc(0))).error).toBeNull();
    expect((await (await bucket().download(name)).data?.arrayBuffer())?.byteLength).toBe(0);
    expect((await bucket().info(name)).data?.size).toBe(0);
  });

  it.each([
    ["a Node stream", (bytes: Buffer) => Readable.from([bytes.subarray(0, 9), bytes.subarray(9)])],
    ["a web stream", (bytes: Buffer) => new Response(new Uint8Array(bytes)).body],
    ["a Blob, which travels as multipart", (bytes: Buffer) => new Blob([new Uint8Array(bytes)])],
  ])("takes %s", async (_what, body) => {
    const name = newName();
    const bytes = randomBytes(100_000);
    const options = { contentType: "image/png", metadata: { a: "ü" }, cacheControl: "60" };
    expect((await bucket().upload(name, body(bytes) as Blob, options)).error).toBeNull();
    const stored = await (await bucket().download(name)).data?.arrayBuffer();
    expect(md5(Buffer.from(stored as ArrayBuffer))).toBe(md5(bytes));
    const info = (await bucket().info(name)).data;
    expect(info).toMatchObject({ size: bytes.length, cacheControl: "max-age=60" });
    expect(info?.metadata).toEqual({ a: "ü" });
  });

  it("streams 64 MiB in and out", async () => {
    const name = newName();
    const chunk = randomBytes(MIB);
    const whole = createHash("md5");
    for (let n = 0; n < 64; n++) whole.update(chunk);
    const [pid] = sandbox.pids;
    const memory = async (field: "VmRSS" | "VmHWM"): Promise<number> => {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
    };
    const idle = await memory("VmRSS");
    const body = Readable.from(Array.from({ length: 64 }, () => chunk));
    expect((await bucket().upload(name, body)).error).toBeNull();
    const reply = await fetch(objectUrl(name), { headers });
    const received = createHash("md5");
    for await (const bytes of reply.body ?? []) received.update(bytes);
    expect(received.digest("hex")).toBe(whole.copy().digest("hex"));
    expect(reply.headers.get("etag")).toBe(`"${whole.digest("hex")}"`);
    console.info(
      `the server's memory: ${idle.toFixed(0)} MiB before, ${(await memory("VmHWM")).toFixed(0)} MiB at its highest ever`,
    );
  });

  it("shows one ETag on upload, info, GET and HEAD, and answers 304 to it", async () => {
    const name = newName();
    const etag = `"${md5(Buffer.from("some text"))}"`;
    await bucket().upload(name, Buffer.from("some text"));
    expect((await bucket().info(name)).data?.etag).toBe(etag);
    const got = await fetch(objectUrl(name), { headers });
    const head = await fetch(objectUrl(name), { headers, method: "HEAD" });
    expect([got.headers.get("etag"), head.headers.get("etag")]).toEqual([etag, etag]);
    expect(head.headers.get("content-length")).toBe("9");
    const unchanged = { ...headers, "if-none-match": etag };
    expect((await fetch(objectUrl(name), { headers: unchanged })).status).toBe(304);
  });

  it.each([
    ["bytes=2-4", 206, "cde", "bytes 2-4/10"],
    ["bytes=7-", 206, "hij", "bytes 7-9/10"],
    ["bytes=-2", 206, "ij", "bytes 8-9/10"],
    ["bytes=8-99", 206, "ij", "bytes 8-9/10"],
    ["bytes=0-1,3-4", 200, "abcdefghij", null],
  ])("answers Range %s with %i", async (range, status, text, contentRange) => {
    const name = newName();
    await bucket().upload(name, Buffer.from("abcdefghij"));
    const reply = await fetch(objectUrl(name), { headers: { ...headers, range } });
    expect([reply.status, await reply.text()]).toEqual([status, text]);
    expect(reply.headers.get("content-range")).toBe(contentRange);
  });

  it("answers a range beyond the end with 416, and the whole when the object has changed", async () => {
    const name = newName();
    await bucket().upload(name, Buffer.from("abc"));
    const beyond = await fetch(objectUrl(name), { headers: { ...headers, range: "bytes=3-" } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */3"]);
    expect(await beyond.json()).toMatchObject({ statusCode: "416", code: "InvalidRange" });
    const changed = { ...headers, range: "bytes=1-", "if-range": '"other"' };
    const whole = await fetch(objectUrl(name), { headers: changed });
    expect([whole.status, await whole.text()]).toEqual([200, "abc"]);
  });

  it("has the real server's info, with user metadata", async () => {
    const name = newName();
    await bucket().upload(name, Buffer.from("x"), {
      contentType: "text/plain",
      metadata: { a: 1 },
    });
    const path = objectUrl(name).replace("/object/", "/object/info/");
    const info = await (await fetch(path, { headers })).json();
    expect(info).toEqual({
      id: expect.any(String),
      name,
      version: expect.any(String),
      bucket_id: "changeover-files",
      size: 1,
      content_type: "text/plain",
      cache_control: "max-age=3600",
      etag: `"${md5(Buffer.from("x"))}"`,
      metadata: { a: 1 },
      last_modified: expect.any(String),
      created_at: expect.any(String),
    });
  });

  it("replaces with upsert and with update, and keeps no bytes of what it replaced", async () => {
    const name = newName();
    const before = (await blobFiles()).length;
    await bucket().upload(name, Buffer.from("one"), { metadata: { a: 1 } });
    await bucket().upload(name, Buffer.from("two"), { upsert: true });
    expect(await (await bucket().download(name)).data?.text()).toBe("two");
    await bucket().update(name, Buffer.from("three"));
    expect(await (await bucket().download(name)).data?.text()).toBe("three");
    expect((await bucket().info(name)).data?.metadata).toEqual({});
    expect(await blobFiles()).toHaveLength(before + 1);
  });

  it("copies, moves and removes, and removes the bytes with the last name for them", async () => {
    const [first, second, third] = [newName(), newName(), newName()];
    const before = (await blobFiles()).length;
    await bucket().upload(first, Buffer.from("kept"));
    await bucket().copy(first, second);
    expect((await bucket().remove([first, "never-there"])).data).toHaveLength(1);
    await bucket().move(second, third);
    expect(await (await bucket().download(third)).data?.text()).toBe("kept");
    expect((await bucket().download(second)).error).toMatchObject({ status: 400 });
    await bucket().remove([third]);
    expect(await blobFiles()).toHaveLength(before);
  });

  it("lets one of five concurrent uploads of a name win, with its own bytes", async () => {
    const name = newName();
    const bodies = Array.from({ length: 5 }, () => randomBytes(200_000));
    const results = await Promise.all(bodies.map((body) => bucket().upload(name, body)));
    const winners = results.flatMap((each, index) => (each.error === null ? [index] : []));
    expect(winners).toHaveLength(1);
    const codes = results.flatMap(({ error }) => (error === null ? [] : [error]));
    expect(codes.map((each) => "statusCode" in each && each.statusCode)).toEqual(
      Array.from({ length: 4 }, () => "409"),
    );
    const stored = Buffer.from(
      (await (await bucket().download(name)).data?.arrayBuffer()) as ArrayBuffer,
    );
    expect(stored.equals(bodies[winners[0] ?? -1] as Buffer)).toBe(true);
  });

  it("lets all of five concurrent upserts succeed, the stored bytes being one of theirs", async () => {
    const name = newName();
    const bodies = Array.from({ length: 5 }, () => randomBytes(200_000));
    const options = { upsert: true };
    const results = await Promise.all(bodies.map((body) => bucket().upload(name, body, options)));
    expect(results.map((each) => each.error)).toEqual([null, null, null, null, null]);
    const stored = Buffer.from(
      (await (await bucket().download(name)).data?.arrayBuffer()) as ArrayBuffer,
    );
    expect(bodies.some((body) => body.equals(stored))).toBe(true);
    expect((await bucket().info(name)).data?.etag).toBe(`"${md5(stored)}"`);
  });

  it("signs reads and uploads; a used or forged token is refused", async () => {
    const name = newName();
    await bucket().upload(name, Buffer.from("signed"));
    const url = (await bucket().createSignedUrl(name, 60)).data?.signedUrl ?? "";
    expect(await (await fetch(url)).text()).toBe("signed");
    const many = await bucket().createSignedUrls([name, "missing"], 60);
    expect(await (await fetch(many.data?.[0]?.signedUrl ?? "")).text()).toBe("signed");
    expect(many.data?.[1]).toMatchObject({ path: "missing", error: expect.any(String) });
    const target = newName();
    const { token = "" } = (await bucket().createSignedUploadUrl(target)).data ?? {};
    const put = () => bucket().uploadToSignedUrl(target, token, Buffer.from("put"));
    expect((await put()).data?.fullPath).toBe(`changeover-files/${target}`);
    expect((await put()).error).toMatchObject({ status: 400, statusCode: "409" });
    const forged = await fetch(`${url}x`);
    expect(forged.status).toBe(400);
    expect(await forged.json()).toMatchObject({ statusCode: "400", code: "InvalidJWT" });
  });

  it.each([
    ["an object that is not there", "GET", () => objectUrl("missing"), "404", "NoSuchKey"],
    ["a bucket that is not there", "GET", () => objectUrl("x", "nowhere"), "404", "NoSuchBucket"],
    ["an upload to no bucket", "POST", () => objectUrl("x", "nowhere"), "404", "NoSuchBucket"],
    ["a key that climbs", "POST", () => objectUrl("a/%2e%2e/%2e%2e/etc"), "400", "InvalidKey"],
    ["a key with odd letters", "POST", () => objectUrl("%C3%BC%5B%5D"), "400", "InvalidKey"],
  ])("refuses %s in the real server's words", async (_what, method, url, statusCode, code) => {
    const body = method === "POST" ? { body: "bytes" } : {};
    const reply = await fetch(url(), { method, headers, ...body });
    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({ statusCode, code, message: expect.any(String) });
  });

  it("says no to HEAD without a body, and true or false to exists()", async () => {
    const name = newName();
    await bucket().upload(name, Buffer.from("x"));
    expect((await bucket().exists(name)).data).toBe(true);
    expect((await bucket().exists("missing")).data).toBe(false);
    const head = await fetch(objectUrl("missing"), { method: "HEAD", headers });
    expect([head.status, await head.text()]).toEqual([400, ""]);
  });

  it("hides private objects from the publishable key and lets it write nothing", async () => {
    const name = newName();
    await bucket().upload(name, Buffer.from("secret"));
    const browser = connect(sandbox, "publishableKey").storage.from("changeover-files");
    expect((await browser.download(name)).error).toMatchObject({ status: 400 });
    expect((await browser.upload(newName(), Buffer.from("x"))).error).toMatchObject({
      status: 400,
      statusCode: "403",
    });
    expect((await browser.remove([name])).data ?? []).toEqual([]);
    expect((await bucket().exists(name)).data).toBe(true);
  });

  it("answers a bucket made twice with 409, and refuses to delete one that is not empty", async () => {
    await client.storage.createBucket("twice");
    const twice = await client.storage.createBucket("twice");
    expect(twice.error).toMatchObject({ status: 400, statusCode: "409" });
    await client.storage.from("twice").upload("x", Buffer.from("x"));
    expect((await client.storage.deleteBucket("twice")).error).toMatchObject({ statusCode: "409" });
  });

  describe("with limits on a bucket", () => {
    beforeAll(async () => {
      const options = { fileSizeLimit: MIB, allowedMimeTypes: ["text/plain"], public: false };
      const made = await client.storage.createBucket("limited", options);
      expect(made.error).toBeNull();
    });

    it.each([
      ["a declared length", () => randomBytes(MIB + 1)],
      ["a chunked body", () => Readable.from([randomBytes(MIB), randomBytes(1)])],
      ["a multipart body", () => new Blob([randomBytes(MIB + 1)], { type: "text/plain" })],
    ])("refuses too much with %s and keeps nothing", async (_what, body) => {
      const before = (await blobFiles()).length;
      const options = { contentType: "text/plain" };
      const limited = client.storage.from("limited");
      const { error } = await limited.upload(newName(), body() as Blob, options);
      expect(error).toMatchObject({ status: 400, statusCode: "413" });
      expect(await blobFiles()).toHaveLength(before);
    });

    it("takes exactly the limit, and only the listed types", async () => {
      const limited = client.storage.from("limited");
      const text = { contentType: "text/plain" };
      expect((await limited.upload(newName(), randomBytes(MIB), text)).error).toBeNull();
      const image = { contentType: "image/png" };
      expect((await limited.upload(newName(), Buffer.from("x"), image)).error).toMatchObject({
        statusCode: "415",
      });
    });
  });

  it("keeps the connection alive when it refuses a body before reading it", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const name = newName();
    await bucket().upload(name, Buffer.from("there"));
    const ports = new Set<number | undefined>();
    const post = (target: string, bytes: number): Promise<string> =>
      new Promise((resolve, reject) => {
        const call = request(objectUrl(target), { method: "POST", headers, agent }, (reply) => {
          let text = "";
          reply.on("data", (chunk) => {
            text += chunk;
          });
          reply.on("end", () => resolve(JSON.parse(text).code ?? "stored"));
        });
        call.on("error", reject);
        call.on("socket", (socket) => {
          if (socket.connecting) socket.once("connect", () => ports.add(socket.localPort));
          else ports.add(socket.localPort);
        });
        call.end(Buffer.alloc(bytes));
      });
    expect(await post(name, 8 * MIB)).toBe("KeyAlreadyExists");
    expect(await post(name, 8 * MIB)).toBe("KeyAlreadyExists");
    expect(await post(newName(), MIB)).toBe("stored");
    expect(ports.size).toBe(1);
    agent.destroy();
  });

  it("stores nothing of an upload that breaks off", async () => {
    const name = newName();
    const before = (await blobFiles()).length;
    const target = objectUrl(name);
    await new Promise<void>((resolve) => {
      const options = { method: "POST", headers: { ...headers, "content-length": 1000 } };
      const call = request(target, options);
      call.on("error", () => resolve());
      call.write(Buffer.alloc(500), () => setImmediate(() => call.destroy()));
      call.on("close", () => resolve());
    });
    await expect.poll(blobFiles).toHaveLength(before);
    expect((await bucket().exists(name)).data).toBe(false);
  });
});
