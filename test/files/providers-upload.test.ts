import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { appendFile, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { bytesSource, fileSource } from "../../src/files/source.ts";
import { eachTestFolder } from "../support/test-folder.ts";
import {
  type Answerer,
  type Arrived,
  apiKey,
  closeAll,
  failureOf,
  fileObject,
  json,
  providerAt,
  receiveForm,
  serve,
  signal,
  transports,
  uploadOf,
} from "./fixtures/provider-server.ts";

const folder = eachTestFolder();
afterEach(closeAll);

describe.each(transports)("an upload by the %s transport", (transport) => {
  it("arrives byte for byte, with its length and its form", async () => {
    const arrived: Arrived[] = [];
    const { baseUrl } = await serve(async (request, response) => {
      arrived.push(await receiveForm(request));
      json(response, 200, fileObject(arrived[0]?.bytes ?? 0));
    });
    const bytes = randomBytes(3_000_001);
    const path = folder.in("file");
    await writeFile(path, bytes);
    let sent = 0;
    const file = await providerAt(baseUrl, { transport }).upload(
      uploadOf(await fileSource(path)),
      signal,
      (sentBytes) => {
        expect(sentBytes).toBeGreaterThan(sent);
        sent = sentBytes;
      },
    );
    expect(file).toEqual({
      id: "file-1",
      name: "a.txt",
      sizeBytes: bytes.length,
      purpose: "file-extract",
      createdAt: "2023-11-24T08:51:19.000Z",
    });
    expect(arrived).toHaveLength(1);
    expect(arrived[0]).toMatchObject({
      fields: { purpose: "file-extract" },
      fileName: "a.txt",
      mimeType: "text/plain",
      sha256: createHash("sha256").update(bytes).digest("hex"),
    });
    expect(arrived[0]?.headers.authorization).toBe(`Bearer ${apiKey}`);
    expect(Number(arrived[0]?.headers["content-length"])).toBeGreaterThan(bytes.length);
    expect(arrived[0]?.headers["transfer-encoding"]).toBeUndefined();
    expect(sent).toBe(bytes.length);
  });

  it.each([0, 1, 262_144, 262_145])("of %d bytes in memory arrives", async (size) => {
    const bytes = randomBytes(size);
    const { baseUrl } = await serve(async (request, response) => {
      const arrived = await receiveForm(request);
      expect(arrived.sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
      json(response, 200, fileObject(arrived.bytes));
    });
    const file = await providerAt(baseUrl, { transport }).upload(
      uploadOf(bytesSource(bytes)),
      signal,
    );
    expect(file.sizeBytes).toBe(size);
  });

  it.each([
    ["💼 报告 שלום.txt", "💼 报告 שלום.txt"],
    ['a"; filename="b.exe', "a%22; filename=%22b.exe"],
    ["a\r\nX-Evil: 1\r\n\r\n.txt", "a%0D%0AX-Evil: 1%0D%0A%0D%0A.txt"],
  ])("carries the name %j safely", async (name, expected) => {
    let raw = "";
    const { baseUrl } = await serve(async (request, response) => {
      raw = (await buffer(request)).toString("utf8");
      json(response, 200, fileObject(1));
    });
    const upload = uploadOf(bytesSource(Buffer.from("x")), { name });
    await providerAt(baseUrl, { transport }).upload(upload, signal);
    expect(raw).toContain(`name="file"; filename="${expected}"\r\n`);
    expect(raw).not.toContain("\r\nX-Evil");
  });

  it("of a file that changed since it was announced never takes place", async () => {
    let stored = 0;
    const { baseUrl } = await serve(async (request, response) => {
      await receiveForm(request).catch(() => undefined);
      if (!request.complete) return;
      stored += 1;
      json(response, 200, fileObject(100_001));
    });
    const path = folder.in("file");
    await writeFile(path, randomBytes(100_000));
    const source = await fileSource(path);
    await appendFile(path, "x");
    const error = await failureOf(
      providerAt(baseUrl, { transport }).upload(uploadOf(source), signal),
    );
    expect(error).toMatchObject({ code: "FILES_SOURCE_CHANGED", status: 409 });
    expect(stored).toBe(0);
  });

  it("rejects with the caller's own reason when given up, and leaves no connection", async () => {
    const giving = new AbortController();
    const arriving = Promise.withResolvers<IncomingMessage>();
    const { baseUrl } = await serve((request) => arriving.resolve(request));
    const upload = uploadOf(bytesSource(randomBytes(30_000_000)));
    const uploading = failureOf(providerAt(baseUrl, { transport }).upload(upload, giving.signal));
    const request = await arriving.promise;
    const reason = new Error("The user closed the window.");
    giving.abort(reason);
    expect(await uploading).toBe(reason);
    if (!request.socket.destroyed) {
      request.resume();
      await new Promise((resolve) => request.socket.once("close", resolve));
    }
  });

  it("that the provider stored in another size is an error, and is removed there", async () => {
    const removed: (string | undefined)[] = [];
    const { baseUrl } = await serve(async (request, response) => {
      if (request.method === "DELETE") {
        removed.push(request.url);
        return json(response, 200, { id: "file-1", object: "file", deleted: true });
      }
      await receiveForm(request);
      json(response, 200, fileObject(4));
    });
    const error = await failureOf(
      providerAt(baseUrl, { transport }).upload(uploadOf(bytesSource(Buffer.from("x"))), signal),
    );
    expect(error).toMatchObject({ code: "FILES_INTEGRITY", details: { expected: 1, actual: 4 } });
    expect(removed).toEqual(["/v1/files/file-1"]);
  });

  it("that the provider could not parse is the user's matter, and is removed there", async () => {
    let removed = 0;
    const { baseUrl } = await serve(async (request, response) => {
      if (request.method === "DELETE") {
        removed += 1;
        return json(response, 200, { deleted: true });
      }
      await receiveForm(request);
      const status = { status: "error", status_details: "the document is encrypted" };
      json(response, 200, fileObject(1, status));
    });
    const error = await failureOf(
      providerAt(baseUrl, { transport }).upload(uploadOf(bytesSource(Buffer.from("x"))), signal),
    );
    expect(error).toMatchObject({ code: "FILES_PROVIDER_REJECTED", status: 400 });
    expect(error.message).toContain("the document is encrypted");
    expect(removed).toBe(1);
  });

  it("that got no answer may have taken place; one that never connected did not", async () => {
    const { baseUrl, server } = await serve((request) => {
      request.resume();
      request.on("end", () => request.socket.destroy());
    });
    const upload = uploadOf(bytesSource(Buffer.from("x")));
    const provider = providerAt(baseUrl, { transport });
    expect(await failureOf(provider.upload(upload, signal))).toMatchObject({
      code: "FILES_PROVIDER_UNAVAILABLE",
      retryable: true,
      details: { provider: "kimi", effect: "possible" },
    });
    server.close();
    await once(server, "close");
    expect(await failureOf(provider.upload(upload, signal))).toMatchObject({
      code: "FILES_PROVIDER_UNAVAILABLE",
      retryable: true,
      details: { effect: "absent" },
    });
  });

  it("is not waited for longer than its limit", async () => {
    const { baseUrl } = await serve((request) => request.resume());
    const provider = providerAt(baseUrl, { transport, timeouts: { uploadMs: 50 } });
    const error = await failureOf(provider.upload(uploadOf(bytesSource(Buffer.from("x"))), signal));
    expect(error).toMatchObject({ code: "FILES_PROVIDER_UNAVAILABLE", status: 503 });
    expect(error.message).toContain("longer than 50 ms");
  });

  it("does not believe an endless answer, nor one that is no JSON, nor a redirect", async () => {
    const answers: Answerer[] = [
      (_, response) => {
        response.writeHead(200);
        Readable.from(endless()).pipe(response);
      },
      (_, response) => response.end("<html>busy</html>"),
      (_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
    ];
    const errors = [];
    for (const answer of answers) {
      const { baseUrl } = await serve((request, response) => {
        request.resume();
        request.on("end", () => answer(request, response));
      });
      const upload = uploadOf(bytesSource(Buffer.from("x")));
      errors.push(await failureOf(providerAt(baseUrl, { transport }).upload(upload, signal)));
    }
    expect(errors.map((error) => error["code"])).toEqual([
      "FILES_PROVIDER_UNAVAILABLE",
      "FILES_PROVIDER_UNAVAILABLE",
      "FILES_PROVIDER_REJECTED",
    ]);
    expect(errors[0]?.message).toContain("more than 1048576 bytes");
    expect(errors[1]?.message).not.toContain("busy");
  });

  it("never tells the key, even where the provider repeats it", async () => {
    const { baseUrl } = await serve((request, response) => {
      request.resume();
      const message = `Incorrect API key provided: ${apiKey}`;
      json(response, 401, { error: { type: "incorrect_api_key_error", message } });
    });
    const error = await failureOf(
      providerAt(baseUrl, { transport }).upload(uploadOf(bytesSource(Buffer.from("x"))), signal),
    );
    expect(error).toMatchObject({ code: "FILES_PROVIDER_UNAUTHORISED", status: 502 });
    expect(error.message).toContain("[key]");
    expect(JSON.stringify([error, error.message, error.stack])).not.toContain(apiKey);
  });
});

async function* endless(): AsyncGenerator<Uint8Array> {
  while (true) yield Buffer.alloc(65_536, " ");
}
