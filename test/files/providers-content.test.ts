import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createProvider } from "../../src/files/providers/create-provider.ts";
import type { Provider, ProviderUpload } from "../../src/files/providers/provider.ts";
import { fileSource } from "../../src/files/source.ts";
import {
  closeAll,
  failureOf,
  json,
  providerAt,
  serve,
  signal,
  transports,
} from "./fixtures/provider-server.ts";
import { SteadyWorld } from "./fixtures/steady-world.ts";

let world: SteadyWorld;
beforeAll(async () => {
  world = await SteadyWorld.open();
});
afterEach(async () => {
  await closeAll();
  await world.reset();
});
afterAll(() => world?.close());

const names = ["kimi", "glm"] as const;
const everyWay = names.flatMap((name) => transports.map((transport) => ({ name, transport })));

async function uploadOf(bytes: Uint8Array, name: string, purpose: string): Promise<ProviderUpload> {
  const path = join(world.folder, name);
  await writeFile(path, bytes);
  return { source: await fileSource(path), name, mimeType: "text/plain", purpose };
}

describe.each(everyWay)("$name by the $transport transport", ({ name, transport }) => {
  const using = async <T>(use: (provider: Provider) => Promise<T>): Promise<T> => {
    const { baseUrl, apiKey } = world.sandbox.addresses[name];
    const provider = createProvider({ name, baseUrl, apiKey, transport });
    return use(provider).finally(() => provider.close());
  };

  it("gives the bytes of a batch back as they are", async () => {
    const bytes = randomBytes(1_000_000);
    await using(async (provider) => {
      const file = await provider.upload(await uploadOf(bytes, "jobs.jsonl", "batch"), signal);
      const { kind, body } = await provider.content(file.id, signal);
      expect(kind).toBe("bytes");
      expect((await buffer(body)).equals(bytes)).toBe(true);
    });
  });

  it("has nothing to give out for what it does not know", async () => {
    await using(async (provider) => {
      for (const id of ["0123456789abcdef", "../secrets", ""]) {
        expect(await failureOf(provider.content(id, signal))).toMatchObject({
          code: "FILES_NOT_FOUND",
          status: 404,
        });
      }
    });
  });

  it("lets go of the connection when nobody reads to the end", async () => {
    await using(async (provider) => {
      const upload = await uploadOf(randomBytes(20_000_000), "jobs.jsonl", "batch");
      const { id } = await provider.upload(upload, signal);
      const unread = await provider.content(id, signal);
      unread.body.destroy();
      const { body } = await provider.content(id, signal);
      for await (const _chunk of body) break;
      expect(body.destroyed).toBe(true);
      // Open bodies would hold the only ways to the provider.
      expect(await provider.list("batch", signal)).toHaveLength(1);
    });
  });

  it("lists page by page", async () => {
    await using(async (provider) => {
      const ids: string[] = [];
      for (let n = 0; n < 5; n += 1) {
        const upload = await uploadOf(Buffer.from(`{"n":${n}}`), `${n}.jsonl`, "batch");
        ids.push((await provider.upload(upload, signal)).id);
      }
      const pages: string[][] = [];
      for (let after: string | undefined, more = true; more; ) {
        const page = await provider.page(
          { purpose: "batch", limit: 2, ...(after === undefined ? {} : { after }) },
          signal,
        );
        pages.push(page.files.map((file) => file.id));
        after = page.files.at(-1)?.id;
        more = page.hasMore;
      }
      expect(pages.map((page) => page.length)).toEqual([2, 2, 1]);
      expect(pages.flat()).toEqual(ids);
      expect(await provider.page({ purpose: "image" }, signal)).toEqual({
        files: [],
        hasMore: false,
      });
      expect((await provider.counted("batch", signal)).map((file) => file.id)).toEqual(ids);
    });
  });

  it("answers a probe, and refuses one with a wrong key", async () => {
    await using((provider) => provider.probe(signal));
    const { baseUrl } = world.sandbox.addresses[name];
    const stranger = createProvider({ name, baseUrl, apiKey: "sk-wrong", transport });
    const error = await failureOf(stranger.probe(signal)).finally(() => stranger.close());
    expect(error).toMatchObject({ code: "FILES_PROVIDER_UNAUTHORISED" });
  });
});

describe("what Kimi extracted", () => {
  it("is text of its own kind, and never taken for the bytes of the file", async () => {
    const provider = world.provider();
    const bytes = Buffer.from("The text of the file: äöü.");
    const file = await provider.upload(await uploadOf(bytes, "a.txt", "file-extract"), signal);
    const { kind, body } = await provider.content(file.id, signal);
    expect(kind).toBe("extracted-text");
    const extracted = await text(body);
    expect(extracted).toContain("The text of the file");
    expect(extracted).not.toBe(bytes.toString());
  });

  it("does not exist for an image, and the error says who refused", async () => {
    const provider = world.provider();
    const file = await provider.upload(await uploadOf(randomBytes(9), "a.png", "image"), signal);
    expect(await failureOf(provider.content(file.id, signal))).toMatchObject({
      code: "FILES_PROVIDER_REJECTED",
      details: { provider: "kimi", providerStatus: 400 },
    });
  });
});

describe.each(transports)("a content by the %s transport", (transport) => {
  it("that breaks off is an error and not a short file", async () => {
    const { baseUrl } = await serve((_, response) => {
      response.writeHead(200, { "content-length": 1000 });
      response.write("only this");
      setTimeout(() => response.destroy(), 50);
    });
    const provider = providerAt(baseUrl, { name: "glm", transport });
    const { body } = await provider.content("file-1", signal);
    expect(await failureOf(text(body))).toMatchObject({
      code: "FILES_PROVIDER_UNAVAILABLE",
      details: { provider: "glm" },
    });
  });

  it("that never begins is not waited for longer than a request may take", async () => {
    const { baseUrl } = await serve(() => undefined);
    const provider = providerAt(baseUrl, { name: "glm", transport, timeouts: { requestMs: 50 } });
    const error = await failureOf(provider.content("file-1", signal));
    expect(error).toMatchObject({ code: "FILES_PROVIDER_UNAVAILABLE" });
    expect(error.message).toContain("longer than 50 ms");
  });

  it("ends with its caller's own reason when that gives up while reading", async () => {
    const { baseUrl } = await serve((_, response) => {
      response.writeHead(200);
      response.write("the beginning");
    });
    const caller = new AbortController();
    const provider = providerAt(baseUrl, { name: "glm", transport });
    const { body } = await provider.content("file-1", caller.signal);
    const reading = failureOf(text(body));
    const reason = new Error("The user closed the window.");
    setTimeout(() => caller.abort(reason), 50);
    expect(await reading).toBe(reason);
  });
});

describe("a page of Kimi's list", () => {
  it("after a file that is not in the list is refused", async () => {
    const { baseUrl } = await serve((_, response) => json(response, 200, { data: [] }));
    const page = providerAt(baseUrl).page({ purpose: "batch", after: "file-9" }, signal);
    expect(await failureOf(page)).toMatchObject({ code: "FILES_NOT_FOUND" });
  });
});
