import { createHash, randomBytes, randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { UploadStore } from "../../src/sandbox/supabase/resumable/upload-store.ts";
import { newUploadId } from "../../src/sandbox/supabase/resumable/upload-target.ts";
import { TestFolder } from "../support/test-folder.ts";

const MIB = 1024 * 1024;
const MAX_OBJECT_BYTES = 40 * MIB;
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const md5 = (bytes: Buffer): string => createHash("md5").update(bytes).digest("hex");

function metadataOf(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${base64(value)}`)
    .join(",");
}

describe("the resumable uploads of the embedded backend", () => {
  let folder: TestFolder;
  let sandbox: Sandbox;

  beforeAll(async () => {
    folder = new TestFolder();
    sandbox = await startSandbox({ dataDir: folder.path, maxObjectBytes: MAX_OBJECT_BYTES });
  });
  afterAll(async () => {
    await sandbox.close();
    await folder.remove();
  });

  const storage = (path: string): string => `${sandbox.addresses.supabase.url}/storage/v1${path}`;
  const authorized = (): Record<string, string> => {
    const { secretKey } = sandbox.addresses.supabase;
    return { apikey: secretKey, authorization: `Bearer ${secretKey}`, "tus-resumable": "1.0.0" };
  };

  async function create(
    length: number,
    more: { metadata?: Record<string, string>; headers?: Record<string, string> } = {},
  ): Promise<Response> {
    const { bucket: bucketName } = sandbox.addresses.supabase;
    const metadata = { bucketName, objectName: `tus/${randomUUID()}`, ...more.metadata };
    return fetch(storage("/upload/resumable"), {
      method: "POST",
      headers: {
        ...authorized(),
        "upload-length": String(length),
        "upload-metadata": metadataOf(metadata),
        ...more.headers,
      },
    });
  }

  /** Only the last segment, as a client behind a proxy has to do. */
  const urlOf = (created: Response): string =>
    storage(`/upload/resumable/${created.headers.get("location")?.split("/").at(-1)}`);

  const patch = (url: string, offset: number, bytes: Buffer): Promise<Response> =>
    fetch(url, {
      method: "PATCH",
      headers: {
        ...authorized(),
        "upload-offset": String(offset),
        "content-type": "application/offset+octet-stream",
      },
      body: new Uint8Array(bytes),
    });

  const offsetOf = async (url: string): Promise<number> => {
    const reply = await fetch(url, { method: "HEAD", headers: authorized() });
    return reply.status === 200 ? Number(reply.headers.get("upload-offset")) : -reply.status;
  };

  const get = (key: string): Promise<Response> =>
    fetch(storage(`/object/${sandbox.addresses.supabase.bucket}/${key}`), {
      headers: authorized(),
    });

  it("becomes an object with its type and metadata when the last byte is there, not before", async () => {
    const bytes = randomBytes(2 * MIB + 5);
    const objectName = `tus/${randomUUID()}`;
    const created = await create(bytes.length, {
      metadata: {
        objectName,
        contentType: "application/pdf",
        cacheControl: "60",
        metadata: JSON.stringify({ from: "tus" }),
      },
    });
    expect(created.status).toBe(201);
    expect(Date.parse(created.headers.get("upload-expires") ?? "")).toBeGreaterThan(Date.now());
    const url = urlOf(created);
    const id = Buffer.from(url.split("/").at(-1) ?? "", "base64url").toString();
    expect(id).toMatch(new RegExp(`^changeover-files/${objectName}/[0-9a-f-]{36}$`));
    const first = await patch(url, 0, bytes.subarray(0, MIB));
    expect([first.status, first.headers.get("upload-offset")]).toEqual([204, String(MIB)]);
    expect((await get(objectName)).status).toBe(400);
    expect((await patch(url, MIB, bytes.subarray(MIB))).status).toBe(204);
    const reply = await get(objectName);
    expect(Object.fromEntries(reply.headers)).toMatchObject({
      etag: `"${md5(bytes)}"`,
      "content-type": "application/pdf",
      "cache-control": "max-age=60",
    });
    expect(Buffer.from(await reply.arrayBuffer()).equals(bytes)).toBe(true);
    const info = await fetch(
      storage(`/object/info/${sandbox.addresses.supabase.bucket}/${objectName}`),
      { headers: authorized() },
    );
    expect(await info.json()).toMatchObject({ size: bytes.length, metadata: { from: "tus" } });
    expect(await offsetOf(url)).toBe(bytes.length);
  });

  it("keeps what arrived of a request that broke off, and goes on from there", async () => {
    const bytes = randomBytes(4 * MIB);
    const objectName = `tus/${randomUUID()}`;
    const url = urlOf(await create(bytes.length, { metadata: { objectName } }));
    await new Promise<void>((resolve) => {
      const headers = {
        ...authorized(),
        "upload-offset": "0",
        "content-length": String(bytes.length),
        "content-type": "application/offset+octet-stream",
      };
      const cut = httpRequest(url, { method: "PATCH", headers });
      cut.on("error", () => undefined);
      cut.on("close", resolve);
      cut.write(bytes.subarray(0, 3 * MIB), () => setTimeout(() => cut.destroy(), 100));
    });
    const offset = await offsetOf(url);
    expect(offset).toBeGreaterThan(0);
    expect(offset).toBeLessThanOrEqual(3 * MIB);
    // Few bytes: a refusal may close the connection before a large body was sent.
    expect((await patch(url, 0, bytes.subarray(0, 100))).status).toBe(409);
    expect((await patch(url, offset, bytes.subarray(offset))).status).toBe(204);
    expect((await get(objectName)).headers.get("etag")).toBe(`"${md5(bytes)}"`);
  });

  it("goes on after the backend was started again", async () => {
    await using own = new TestFolder();
    const bytes = randomBytes(2 * MIB);
    const before = sandbox;
    try {
      sandbox = await startSandbox({ dataDir: own.path });
      const objectName = `tus/${randomUUID()}`;
      const created = await create(bytes.length, { metadata: { objectName } });
      await patch(urlOf(created), 0, bytes.subarray(0, MIB));
      await sandbox.close();
      sandbox = await startSandbox({ dataDir: own.path });
      expect(await offsetOf(urlOf(created))).toBe(MIB);
      expect((await patch(urlOf(created), MIB, bytes.subarray(MIB))).status).toBe(204);
      expect((await get(objectName)).headers.get("etag")).toBe(`"${md5(bytes)}"`);
    } finally {
      await sandbox.close();
      sandbox = before;
    }
  });

  it("takes an upload whose length is told later, one that comes with its creation, and an empty one", async () => {
    const { bucket: bucketName } = sandbox.addresses.supabase;
    const send = (headers: Record<string, string>, body?: Uint8Array): Promise<Response> =>
      fetch(storage("/upload/resumable"), {
        method: "POST",
        headers: { ...authorized(), ...headers },
        ...(body === undefined ? {} : { body: new Uint8Array(body) }),
      });
    const named = (objectName: string): Record<string, string> => ({
      "upload-metadata": metadataOf({ bucketName, objectName }),
    });
    const deferred = await send({ ...named("tus/deferred"), "upload-defer-length": "1" });
    const reply = await fetch(urlOf(deferred), {
      method: "PATCH",
      headers: {
        ...authorized(),
        "upload-offset": "0",
        "upload-length": "3",
        "content-type": "application/offset+octet-stream",
      },
      body: "abc",
    });
    expect(reply.status).toBe(204);
    expect(await (await get("tus/deferred")).text()).toBe("abc");
    const type = { "content-type": "application/offset+octet-stream" };
    const whole = await send(
      { ...named("tus/at-once"), ...type, "upload-length": "4" },
      Buffer.from("abcd"),
    );
    expect([whole.status, whole.headers.get("upload-offset")]).toEqual([201, "4"]);
    expect(await (await get("tus/at-once")).text()).toBe("abcd");
    expect((await send({ ...named("tus/empty"), "upload-length": "0" })).status).toBe(201);
    expect((await get("tus/empty")).headers.get("content-length")).toBe("0");
  });

  it.each<[string, number, Parameters<typeof create>, string]>([
    ["too many bytes", 413, [MAX_OBJECT_BYTES + 1], "Maximum size exceeded"],
    ["an unknown bucket", 404, [1, { metadata: { bucketName: "nowhere" } }], "Bucket not found"],
    ["a key that is none", 400, [1, { metadata: { objectName: "../x" } }], "Invalid key"],
    ["a wrong key", 403, [1, { headers: { apikey: "sb_secret_wrong" } }], "row-level security"],
    ["no version", 412, [1, { headers: { "tus-resumable": "" } }], "Tus-Resumable Required"],
    ["parts", 501, [1, { headers: { "upload-concat": "partial" } }], "parallel uploads"],
  ])("refuses %s with status %i and plain text", async (_what, status, words, text) => {
    const reply = await create(...words);
    expect(reply.status).toBe(status);
    expect(reply.headers.get("tus-resumable")).toBe("1.0.0");
    expect(await reply.text()).toContain(text);
  });

  it("keeps to the limits and types of a bucket of its own", async () => {
    const limits = { file_size_limit: 1000, allowed_mime_types: ["image/png"] };
    await fetch(storage("/bucket"), {
      method: "POST",
      headers: { ...authorized(), "content-type": "application/json" },
      body: JSON.stringify({ id: "pictures", name: "pictures", ...limits }),
    });
    const into = (contentType: string): Record<string, string> => ({
      bucketName: "pictures",
      contentType,
    });
    const statuses = await Promise.all([
      create(1001, { metadata: into("image/png") }),
      create(1000, { metadata: into("text/plain") }),
      create(1000, { metadata: into("image/png") }),
    ]);
    expect(statuses.map(({ status }) => status)).toEqual([413, 415, 201]);
  });

  it("replaces an object only when asked to", async () => {
    const metadata = { objectName: `tus/${randomUUID()}` };
    await patch(urlOf(await create(3, { metadata })), 0, Buffer.from("old"));
    expect((await create(3, { metadata })).status).toBe(409);
    const again = await create(3, { metadata, headers: { "x-upsert": "true" } });
    expect((await patch(urlOf(again), 0, Buffer.from("new"))).status).toBe(204);
    expect(await (await get(metadata.objectName)).text()).toBe("new");
  });

  it("forgets an upload that is terminated, and says of a finished one that it is too late", async () => {
    const url = urlOf(await create(3));
    await patch(url, 0, Buffer.from("a"));
    expect((await fetch(url, { method: "DELETE", headers: authorized() })).status).toBe(204);
    expect(await offsetOf(url)).toBe(-404);
    const done = urlOf(await create(3));
    await patch(done, 0, Buffer.from("abc"));
    expect((await fetch(done, { method: "DELETE", headers: authorized() })).status).toBe(400);
    expect(await offsetOf(`${storage("/upload/resumable")}/bm90IG91cnM`)).toBe(-404);
  });
});

describe("unfinished uploads on disk", () => {
  const id = (): string => newUploadId({ bucketName: "b", objectName: `k/${randomUUID()}` });

  it("are gone after their time, and so are those a crash left whole but unfinished", async () => {
    await using folder = new TestFolder();
    const clock = new ManualClock();
    const options = { folder: join(folder.path, "u"), clock, expiryMs: 1000, uploadsMax: 3 };
    const store = await UploadStore.open(options);
    const create = (size: number) =>
      store.create(Object.assign(Object.create(null), { id: id(), size, metadata: {}, offset: 0 }));
    const { id: old } = await create(10);
    clock.advance(600);
    const { id: young } = await create(10);
    const { id: whole } = await create(0);
    await expect(create(1)).rejects.toMatchObject({ status_code: 429 });
    clock.advance(500);
    expect(await store.deleteExpired()).toBe(1);
    await expect(store.getUpload(old)).rejects.toMatchObject({ status_code: 404 });
    const reopened = await UploadStore.open(options);
    expect((await reopened.getUpload(young)).offset).toBe(0);
    await expect(reopened.getUpload(whole)).rejects.toMatchObject({ status_code: 404 });
    expect(await readdir(options.folder)).toHaveLength(2);
  });
});
