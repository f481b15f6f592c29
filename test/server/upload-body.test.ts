import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { Readable } from "node:stream";
import { request, fetch as undiciFetch } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { startGateway, type TestGateway } from "../support/gateway-app.ts";
import { RawClient, sendRaw } from "../support/raw-http.ts";

const MB = 1_000_000;
const fileHead = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n';
const formTail =
  '\r\n--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--b--\r\n';
const head = (line: string, headers: readonly string[]): string =>
  `${[line, "host: localhost", ...headers].join("\r\n")}\r\n\r\n`;
const formType = "content-type: multipart/form-data; boundary=b";

describe("a body that is too large", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({ maxFileBytes: 2 * MB });
  });
  afterEach(async () => {
    expect(await gateway.spooled()).toEqual([]);
    expect(gateway.app.spool.usedBytes).toBe(0);
    expect(gateway.store.files.size).toBe(0);
  });
  afterAll(() => gateway.close());

  it("gets its 413 while a plain client is still sending, and reads it in full", async () => {
    const client = new RawClient(gateway.port);
    client.socket.pause();
    await client.write(head("POST /v1/files HTTP/1.1", [formType, "transfer-encoding: chunked"]));
    await client.write(`${fileHead.length.toString(16)}\r\n${fileHead}\r\n`);
    const piece = Buffer.alloc(100_000, 1);
    const chunk = Buffer.concat([
      Buffer.from(`${piece.length.toString(16)}\r\n`),
      piece,
      Buffer.from("\r\n"),
    ]);
    // It does not look at the answer until all is sent.
    for (let sent = 0; sent < 20 * MB; sent += piece.length) await client.write(chunk);
    await client.write(`${formTail.length.toString(16)}\r\n${formTail}\r\n0\r\n\r\n`);
    client.socket.resume();
    const answer = await client.all();
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
    expect(answer).toMatch(/connection: close/i);
    expect(answer).toContain('"code":"FILES_TOO_LARGE"');
    expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")))).toHaveProperty("error.message");
  });

  it("gets its 413 before a byte was read when it announces its length", async () => {
    const client = new RawClient(gateway.port);
    await client.write(
      head("PUT /v1/files/a.bin HTTP/1.1", ["content-length: 9000000", "expect: 100-continue"]),
    );
    await client.until('"code":"FILES_TOO_LARGE"');
    expect(client.received).toMatch(/^HTTP\/1.1 413 /);
    client.destroy();
  });

  it("gets its 413 from undici and from fetch, streamed or not", async () => {
    const url = `${gateway.url}/v1/files/large.bin`;
    const piece = Buffer.alloc(100_000, 1);
    const stream = (): Readable => Readable.from(Array.from({ length: 200 }, () => piece));
    const streamed = await request(url, { method: "PUT", body: stream() });
    expect(streamed.statusCode).toBe(413);
    expect(await streamed.body.json()).toMatchObject({ error: { code: "FILES_TOO_LARGE" } });
    const whole = await request(url, { method: "PUT", body: Buffer.alloc(5 * MB) });
    expect(whole.statusCode).toBe(413);
    await whole.body.dump();
    const fetched = await undiciFetch(url, { method: "PUT", body: stream(), duplex: "half" });
    expect(fetched.status).toBe(413);
    expect(await fetched.json()).toMatchObject({ error: { param: "file" } });
  });
});

describe("a spool that is full", () => {
  it("answers 507, and takes files again afterwards", async () => {
    const gateway = await startGateway({ spoolBytes: 2 * MB });
    const url = `${gateway.url}/v1/files/a.bin?purpose=user_data`;
    const piece = Buffer.alloc(100_000, 1);
    const body = Readable.from(Array.from({ length: 40 }, () => piece));
    const { statusCode, headers, body: answer } = await request(url, { method: "PUT", body });
    expect(statusCode).toBe(507);
    expect(headers["x-should-retry"]).toBe("true");
    expect(await answer.json()).toMatchObject({
      error: { code: "FILES_SPOOL_FULL", type: "server_error" },
    });
    expect(await gateway.spooled()).toEqual([]);
    const small = await request(url, { method: "PUT", body: piece });
    expect(small.statusCode).toBe(201);
    await small.body.dump();
    await gateway.close();
  });
});

describe("a client that leaves in the middle", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway();
  });
  afterAll(() => gateway.close());
  const expectNothingLeft = async () => {
    await vi.waitFor(async () => {
      expect(gateway.gateway.callsInFlight).toBe(0);
      expect(await gateway.spooled()).toEqual([]);
    });
    expect(gateway.app.spool.usedBytes).toBe(0);
    expect(gateway.store.files.size).toBe(0);
    expect(gateway.log.filter(({ level }) => level !== "debug")).toEqual([]);
  };

  it("of a form leaves nothing behind, and is no news", async () => {
    const client = new RawClient(gateway.port);
    await client.write(head("POST /v1/files HTTP/1.1", [formType, "content-length: 5000000"]));
    await client.write(fileHead);
    await client.write(Buffer.alloc(2 * MB));
    await vi.waitFor(async () => expect(await gateway.spooled()).toHaveLength(1));
    client.destroy();
    await expectNothingLeft();
  });

  it("of a raw body leaves nothing behind, and is no news", async () => {
    const client = new RawClient(gateway.port);
    await client.write(head("PUT /v1/files/a.bin HTTP/1.1", ["content-length: 5000000"]));
    await client.write(Buffer.alloc(2 * MB));
    await vi.waitFor(async () => expect(await gateway.spooled()).toHaveLength(1));
    client.destroy();
    await expectNothingLeft();
    expect(gateway.log.some(({ fields }) => fields["status"] === 499)).toBe(true);
  });

  it("after its body was received aborts the call, and nothing is stored", async () => {
    const started = Promise.withResolvers<void>();
    gateway.legacy.beforeUpload = async (_request, { signal }) => {
      started.resolve();
      await once(signal, "abort");
    };
    const client = new RawClient(gateway.port);
    await client.write(
      `${head("PUT /v1/files/a.bin?purpose=user_data HTTP/1.1", ["content-length: 3"])}abc`,
    );
    await started.promise;
    client.destroy();
    await expectNothingLeft();
    gateway.legacy.beforeUpload = () => Promise.resolve();
  });
});

describe("a body that stops coming", () => {
  it("gets a 408 once no byte came for the limit", async () => {
    const gateway = await startGateway({ gateway: { limits: { bodyIdleMs: 200, jsonMs: 200 } } });
    for (const [line, type, part] of [
      ["POST /v1/files HTTP/1.1", formType, fileHead],
      ["PUT /v1/files/a.bin HTTP/1.1", "content-type: text/plain", "abc"],
    ] as const) {
      const client = new RawClient(gateway.port);
      await client.write(`${head(line, [type, "content-length: 1000"])}${part}`);
      await client.until("GATEWAY_BODY_IDLE");
      expect(client.received).toMatch(/^HTTP\/1.1 408 /);
      client.destroy();
    }
    expect(await gateway.spooled()).toEqual([]);
    await gateway.close();
  });
});

describe("PUT of a file's own bytes", () => {
  let gateway: TestGateway;
  let url: string;
  const bytes = randomBytes(100_000);
  const digest = `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`;
  const put = (path: string, headers: Record<string, string> = {}, body: Buffer = bytes) =>
    request(`${url}/${path}`, { method: "PUT", body, headers });
  beforeAll(async () => {
    gateway = await startGateway();
    url = `${gateway.url}/v1/files`;
  });
  afterAll(() => gateway.close());

  it("is stored, with purpose and provider from the query or from headers", async () => {
    const first = await put("a.txt?purpose=file-extract&provider=kimi");
    expect(first.statusCode).toBe(201);
    const file = (await first.body.json()) as { id: string };
    expect(file).toMatchObject({ filename: "a.txt", provider: "kimi", bytes: 100_000 });
    expect(first.headers["location"]).toBe(`/v1/files/${file.id}`);
    const headers = { "x-changeover-purpose": "vision", "x-changeover-provider": "none" };
    const second = await put("b.bin", headers);
    expect(await second.body.json()).toMatchObject({ purpose: "vision", provider: "none" });
    const third = await put("c.bin");
    expect(third.statusCode).toBe(201);
    await third.body.dump();
  });

  it("is checked against the digest it declares", async () => {
    const right = await put("a.bin", { "repr-digest": digest });
    expect(right.statusCode).toBe(201);
    await right.body.dump();
    const wrong = await put("a.bin", { "repr-digest": digest }, randomBytes(10));
    expect(wrong.statusCode).toBe(400);
    expect(await wrong.body.json()).toMatchObject({ error: { code: "FILES_DIGEST_MISMATCH" } });
    const broken = await put("a.bin", { "repr-digest": "sha-256=:nonsense:" });
    expect(await broken.body.json()).toMatchObject({ error: { code: "GATEWAY_INVALID_HEADER" } });
    expect(await gateway.spooled()).toEqual([]);
  });

  it("may not be compressed on its way", async () => {
    const { statusCode, body } = await put("a.bin", { "content-encoding": "gzip" });
    expect(statusCode).toBe(415);
    expect(await body.json()).toMatchObject({ error: { code: "GATEWAY_UNSUPPORTED_BODY" } });
  });

  it("is told to go on when it asks first", async () => {
    const client = new RawClient(gateway.port);
    await client.write(
      head("PUT /v1/files/asks.bin HTTP/1.1", ["content-length: 3", "expect: 100-continue"]),
    );
    await client.until("100 Continue");
    await client.write("abc");
    await client.until("201 Created");
    client.destroy();
  });

  it.each([
    ["..%2f..%2fetc%2fpasswd", "FILES_INVALID_NAME"],
    ["%2e%2e%5cwindows", "FILES_INVALID_NAME"],
    ["a%00b.txt", "FILES_INVALID_NAME"],
    [encodeURIComponent("😀".repeat(64)), "FILES_INVALID_NAME"],
    ["%E0%A4%A", "GATEWAY_BAD_REQUEST"],
  ])("under the name %s is refused as %s", async (name, code) => {
    const answer = await sendRaw(
      gateway.port,
      `${head(`PUT /v1/files/${name}?purpose=user_data HTTP/1.1`, [
        "content-length: 3",
        "connection: close",
      ])}abc`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).toContain(`"code":"${code}"`);
    expect(await gateway.spooled()).toEqual([]);
  });

  it("with a dot segment in its path never reaches a file", async () => {
    for (const path of ["..", "%2e%2e"]) {
      const answer = await sendRaw(
        gateway.port,
        head(`PUT /v1/files/${path} HTTP/1.1`, ["content-length: 0", "connection: close"]),
      );
      expect(answer).toMatch(/^HTTP\/1.1 40[04] /);
    }
  });
});
