import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdir, readlink, truncate, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { bytesSource, fileSource } from "../../src/files/source.ts";
import { eachTestFolder } from "../support/test-folder.ts";
import {
  closeAll,
  failureOf,
  fileObject,
  json,
  providerAt,
  receiveForm,
  serve,
  signal,
  uploadOf,
} from "./fixtures/provider-server.ts";

const folder = eachTestFolder();
afterEach(closeAll);

describe("the streaming transport", () => {
  it("keeps every byte when the receiver is slower than the disk", async () => {
    // More than the kernel holds for a connection, so that chunks wait in the socket's own queue.
    const bytes = randomBytes(24_000_000);
    const path = folder.in("file");
    await writeFile(path, bytes);
    const { baseUrl } = await serve(async (request, response) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      const arrived = await receiveForm(request);
      expect(arrived.sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
      json(response, 200, fileObject(arrived.bytes));
    });
    const source = await fileSource(path);
    await providerAt(baseUrl).upload(uploadOf(source), signal);
  });

  it("uses no more connections than it may, and uses them again", async () => {
    let connections = 0;
    const { baseUrl, server } = await serve(async (request, response) => {
      json(response, 200, fileObject((await receiveForm(request)).bytes));
    });
    server.on("connection", () => {
      connections += 1;
    });
    const provider = providerAt(baseUrl, { connections: 2 });
    const upload = uploadOf(bytesSource(Buffer.from("x")));
    await Promise.all(Array.from({ length: 10 }, () => provider.upload(upload, signal)));
    expect(connections).toBe(2);
  });

  it("hears an answer that comes before the file was sent", async () => {
    const { baseUrl } = await serve((request, response) => {
      const body = { error: { type: "engine_overloaded_error", message: "busy" } };
      json(response, 429, body);
      response.once("finish", () => request.resume());
    });
    const upload = uploadOf(bytesSource(randomBytes(20_000_000)));
    expect(await failureOf(providerAt(baseUrl).upload(upload, signal))).toMatchObject({
      code: "FILES_PROVIDER_THROTTLED",
      details: { effect: "absent" },
    });
  });

  it("closes the file when the connection breaks in the middle", async () => {
    const path = folder.in("file");
    await writeFile(path, randomBytes(8_000_000));
    const { baseUrl } = await serve((request) => {
      request.once("data", () => request.socket.resetAndDestroy());
    });
    const source = await fileSource(path);
    const before = await openFiles(path);
    const error = await failureOf(providerAt(baseUrl).upload(uploadOf(source), signal));
    expect(error).toMatchObject({ code: "FILES_PROVIDER_UNAVAILABLE" });
    await expect.poll(() => openFiles(path)).toBe(before);
  });

  it("notices a file that shrinks while it is sent", async () => {
    const path = folder.in("file");
    await writeFile(path, randomBytes(20_000_000));
    const { baseUrl } = await serve((request) => {
      request.once("data", () => {
        request.pause();
        void truncate(path, 10).then(() => request.resume());
      });
    });
    const error = await failureOf(
      providerAt(baseUrl).upload(uploadOf(await fileSource(path)), signal),
    );
    expect(error).toMatchObject({ code: "FILES_SOURCE_CHANGED" });
  });

  it("gives up on a receiver that takes no more bytes", async () => {
    const server = createTcpServer((socket) => {
      socket.on("error", () => undefined);
      socket.pause();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const provider = providerAt(`http://127.0.0.1:${port}`, { timeouts: { idleMs: 50 } });
    const error = await failureOf(
      provider.upload(uploadOf(bytesSource(randomBytes(30_000_000))), signal),
    );
    expect(error).toMatchObject({
      code: "FILES_PROVIDER_UNAVAILABLE",
      details: { effect: "possible" },
    });
    expect(error.message).toContain("no byte for 50 ms");
    server.close();
  });
});

/** How often this process has a file open. */
async function openFiles(path: string): Promise<number> {
  const descriptors = await readdir("/proc/self/fd");
  const targets = await Promise.all(
    descriptors.map((each) => readlink(`/proc/self/fd/${each}`).catch(() => "")),
  );
  return targets.filter((target) => target === path).length;
}

describe("the buffered transport", () => {
  it("opens a connection for every request, as the legacy system does", async () => {
    let connections = 0;
    const { baseUrl, server } = await serve((request, response) => {
      request.resume();
      json(response, 200, { object: "list", data: [] });
    });
    server.on("connection", () => {
      connections += 1;
    });
    const provider = providerAt(baseUrl, { transport: "buffered" });
    for (let request = 0; request < 3; request += 1) await provider.list("batch", signal);
    expect(connections).toBe(3);
  });
});
