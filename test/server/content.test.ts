import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startGateway, type TestGateway } from "../support/gateway-app.ts";
import { RawClient } from "../support/raw-http.ts";

type Headers = Readonly<Record<string, string>>;

async function put(gateway: TestGateway, name: string, body: Buffer): Promise<string> {
  const url = `${gateway.url}/v1/files/${encodeURIComponent(name)}?purpose=user_data`;
  const response = await fetch(url, { method: "PUT", body: new Uint8Array(body) });
  expect(response.status).toBe(201);
  return ((await response.json()) as { id: string }).id;
}

describe("the content of a file", () => {
  let gateway: TestGateway;
  let url: string;
  const bytes = randomBytes(300_000);
  const sha256 = createHash("sha256").update(bytes).digest();
  const etag = `"${sha256.toString("hex")}"`;
  const get = (headers: Headers = {}, method: "GET" | "HEAD" = "GET") =>
    request(url, { method, headers });

  beforeAll(async () => {
    gateway = await startGateway();
    url = `${gateway.url}/v1/files/${await put(gateway, "data.bin", bytes)}/content`;
  });
  afterAll(() => gateway.close());

  it("comes whole, with its length, tag and digest, for saving only", async () => {
    const { statusCode, headers, body } = await get();
    expect(statusCode).toBe(200);
    expect(headers).toMatchObject({
      "content-length": "300000",
      "content-type": "application/octet-stream",
      "accept-ranges": "bytes",
      etag,
      "repr-digest": `sha-256=:${sha256.toString("base64")}:`,
      "x-content-type-options": "nosniff",
      "x-changeover-path": "legacy",
      "x-changeover-reason": "flag-off",
    });
    expect(headers["content-disposition"]).toMatch(/^attachment; filename="data.bin"/);
    expect(bytes.equals(Buffer.from(await body.arrayBuffer()))).toBe(true);
  });

  it.each([
    ["bytes=0-0", 0, 0],
    ["bytes=100-199", 100, 199],
    ["bytes=299999-", 299_999, 299_999],
    ["bytes=299000-999999999999999999999999", 299_000, 299_999],
    ["bytes=-500", 299_500, 299_999],
    ["bytes=-99999999", 0, 299_999],
  ])("comes in part for %s", async (range, start, end) => {
    const { statusCode, headers, body } = await get({ range });
    expect(statusCode).toBe(206);
    expect(headers["content-range"]).toBe(`bytes ${start}-${end}/300000`);
    expect(headers["content-length"]).toBe(String(end - start + 1));
    expect(headers["repr-digest"]).toBe(`sha-256=:${sha256.toString("base64")}:`);
    const received = Buffer.from(await body.arrayBuffer());
    expect(bytes.subarray(start, end + 1).equals(received)).toBe(true);
  });

  it.each(["bytes=300000-", "bytes=999999-1000000", "bytes=-0"])(
    "is refused for %s with its size",
    async (range) => {
      const { statusCode, headers, body } = await get({ range });
      expect(statusCode).toBe(416);
      expect(headers["content-range"]).toBe("bytes */300000");
      expect(await body.json()).toMatchObject({ error: { code: "FILES_RANGE_NOT_SATISFIABLE" } });
    },
  );

  it.each(["bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "bytes=-", "nonsense"])(
    "comes whole for the range %s, which is to be ignored",
    async (range) => {
      const { statusCode, body } = await get({ range });
      expect(statusCode).toBe(200);
      expect((await body.arrayBuffer()).byteLength).toBe(300_000);
    },
  );

  it("is not sent again to a client that has it", async () => {
    for (const tags of [etag, `"other", W/${etag}`, "*"]) {
      const { statusCode, headers, body } = await get({ "if-none-match": tags });
      expect(statusCode).toBe(304);
      expect(headers).toMatchObject({ etag });
      expect(await body.text()).toBe("");
    }
    const changed = await get({ "if-none-match": '"other"' });
    expect(changed.statusCode).toBe(200);
    await changed.body.dump();
  });

  it("comes in part only if the client's part is of the same content", async () => {
    const same = await get({ range: "bytes=0-9", "if-range": etag });
    expect(same.statusCode).toBe(206);
    await same.body.dump();
    const other = await get({ range: "bytes=0-9", "if-range": '"other"' });
    expect(other.statusCode).toBe(200);
    await other.body.dump();
  });

  it("is described by HEAD without being downloaded", async () => {
    let downloads = 0;
    const download = gateway.legacy.download.bind(gateway.legacy);
    gateway.legacy.download = (wanted) => {
      downloads += 1;
      return download(wanted);
    };
    const { statusCode, headers, body } = await get({}, "HEAD");
    expect(statusCode).toBe(200);
    expect(headers).toMatchObject({ "content-length": "300000", etag, "accept-ranges": "bytes" });
    expect(await body.text()).toBe("");
    const known = await get({ "if-none-match": etag }, "HEAD");
    expect(known.statusCode).toBe(304);
    expect(downloads).toBe(0);
    gateway.legacy.download = download;
  });

  it("of a text keeps its type, and no script in it would run", async () => {
    const page = Buffer.from("<script>alert(1)</script>");
    const id = await put(gateway, "page.html", page);
    const { headers, body } = await request(`${gateway.url}/v1/files/${id}/content`);
    expect(headers["content-type"]).toBe("text/html");
    expect(headers["content-disposition"]).toMatch(/^attachment/);
    expect(headers["content-security-policy"]).toContain("sandbox");
    await body.dump();
  });

  it("of no bytes is an empty answer", async () => {
    const id = await put(gateway, "empty.txt", Buffer.alloc(0));
    const { statusCode, headers, body } = await request(`${gateway.url}/v1/files/${id}/content`);
    expect(statusCode).toBe(200);
    expect(headers["content-length"]).toBe("0");
    expect(await body.text()).toBe("");
    const part = await request(`${gateway.url}/v1/files/${id}/content`, {
      headers: { range: "bytes=0-" },
    });
    expect(part.statusCode).toBe(416);
    await part.body.dump();
  });

  it.each(["😀 résumé.pdf", "עברית.txt", 'a"b.txt', "100%.txt", "semi;colon.txt"])(
    "can be saved under the name %s",
    async (name) => {
      const id = await put(gateway, name, Buffer.from("x"));
      const { headers, body } = await request(`${gateway.url}/v1/files/${id}/content`);
      await body.dump();
      const disposition = String(headers["content-disposition"]);
      const extended = /filename\*=UTF-8''(\S+)$/.exec(disposition)?.[1] ?? "";
      expect(decodeURIComponent(extended)).toBe(name);
    },
  );
});

describe("a download that does not go well", () => {
  let gateway: TestGateway;
  let path: string;
  beforeAll(async () => {
    gateway = await startGateway({ gateway: { limits: { downloadIdleMs: 300 } } });
    path = `/v1/files/${await put(gateway, "data.bin", Buffer.alloc(20_000_000, 1))}/content`;
  });
  afterAll(() => gateway.close());

  it("is cut off, not ended, when its source breaks", async () => {
    const { bodyOf } = gateway.legacy;
    gateway.legacy.bodyOf = (bytes) =>
      Readable.from(
        (function* () {
          yield bytes.subarray(0, 100_000);
          throw new Error("the source broke");
        })(),
        { objectMode: false },
      );
    const { statusCode, body } = await request(`${gateway.url}${path}`);
    expect(statusCode).toBe(200);
    await expect(body.arrayBuffer()).rejects.toThrow();
    gateway.legacy.bodyOf = bodyOf;
  });

  it("closes its source when the client leaves", async () => {
    const { bodyOf } = gateway.legacy;
    const closed = Promise.withResolvers<void>();
    gateway.legacy.bodyOf = (bytes) => bodyOf(bytes).once("close", () => closed.resolve());
    const client = new RawClient(gateway.port);
    await client.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    await client.until("200 OK");
    client.destroy();
    await closed.promise;
    gateway.legacy.bodyOf = bodyOf;
  });

  it("is cut off when its reader takes nothing", async () => {
    const { bodyOf } = gateway.legacy;
    const closed = Promise.withResolvers<void>();
    gateway.legacy.bodyOf = (bytes) => bodyOf(bytes).once("close", () => closed.resolve());
    const client = new RawClient(gateway.port);
    await client.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    await client.until("200 OK");
    client.socket.pause();
    await closed.promise;
    client.destroy();
    gateway.legacy.bodyOf = bodyOf;
  });
});
