import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import type { ObjectFacts } from "../../src/files/storage/object-storage.ts";
import {
  type ResumableObject,
  type ResumableOptions,
  ResumableUploads,
} from "../../src/files/storage/resumable/resumable-uploads.ts";
import { seededBytes, sha256Of } from "../contract/file-manager-world.ts";
import { type ObjectServer, objectServer } from "./object-server.ts";

const signal = new AbortController().signal;
const toClose: { close(): Promise<void> }[] = [];
let folder: string;
const warnings: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "changeover-tus-"));
});
afterEach(async () => {
  await Promise.all(toClose.splice(0).map((each) => each.close()));
  await rm(folder, { recursive: true });
  warnings.length = 0;
});

const tus = { "tus-resumable": "1.0.0" };

/** A server that keeps the bytes of one upload, and says what a test wants where it wants. */
class Uploads {
  readonly seen: { readonly method: string; readonly url: string; readonly offset: string }[] = [];
  readonly metadata: string[] = [];
  bytes: Buffer = Buffer.alloc(0);
  /** Answers in the server's place when it returns true. */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    this.seen.push({ method, url, offset: String(headers["upload-offset"] ?? "") });
    if (this.instead(request, response)) return;
    if (method === "POST") {
      this.bytes = Buffer.alloc(0);
      this.metadata.push(String(headers["upload-metadata"]));
      // What a server behind a proxy says of itself.
      const location = `https://internal:5000/upload/resumable/aWQ?x=1`;
      response.writeHead(201, { ...tus, location }).end();
    } else if (method === "HEAD") {
      response.writeHead(200, { ...tus, "upload-offset": this.bytes.length }).end();
    } else if (method === "PATCH") {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      this.bytes = Buffer.concat([this.bytes, ...chunks]);
      response.writeHead(204, { ...tus, "upload-offset": this.bytes.length }).end();
    } else {
      response.writeHead(204, tus).end();
    }
  }

  methods(): string {
    return this.seen.map(({ method }) => method).join(" ");
  }
}

async function serve(
  options: Partial<ResumableOptions> = {},
): Promise<{ readonly server: ObjectServer; readonly uploads: Uploads; open(): ResumableUploads }> {
  const uploads = new Uploads();
  const server = await objectServer((request, response) => uploads.answer(request, response));
  toClose.push(server);
  const open = (): ResumableUploads => {
    const resumable = new ResumableUploads(
      { url: `${server.url}/api`, secretKey: "sb_secret_test", bucket: "files" },
      {
        clock: systemClock,
        logger: { ...silentLogger, warn: (_fields, message) => void warnings.push(message) },
        folder: join(folder, "partials"),
        fromBytes: 1000,
        partBytes: 1000,
        waitsMs: [0, 1],
        head: async () => null,
        ...options,
      },
    );
    toClose.unshift(resumable);
    return resumable;
  };
  return { server, uploads, open };
}

const bytes = seededBytes("in parts", 2500);
const object = (more: Partial<ResumableObject> = {}): ResumableObject => ({
  key: "none/user-data/ab/abc/id",
  sizeBytes: bytes.length,
  mimeType: "text/plain",
  open: async function* (start) {
    for (let at = start; at < bytes.length; at += 300) {
      yield bytes.subarray(at, Math.min(at + 300, bytes.length));
    }
  },
  keep: false,
  ...more,
});
const key = { sha256: sha256Of(bytes), provider: "none", purpose: "user-data" } as const;

async function send(resumable: ResumableUploads, more: Partial<ResumableObject> = {}) {
  const partial = await resumable.claim({ ...key, sizeBytes: bytes.length });
  if (partial === null) return "in one piece";
  try {
    return await resumable.put(object(more), partial, signal);
  } finally {
    await partial.release();
  }
}

const remembered = async (): Promise<number> => {
  const names = await readdir(join(folder, "partials"), { recursive: true });
  return names.filter((name) => name.endsWith(".json")).length;
};

describe("the resumable door", () => {
  it("says what the object is, sends it in parts, and keeps to the last segment of its address", async () => {
    const { uploads, open } = await serve();
    expect(await send(open())).toBe(true);
    expect(uploads.bytes.equals(bytes)).toBe(true);
    expect(uploads.seen).toEqual([
      { method: "POST", url: "/api/storage/v1/upload/resumable", offset: "" },
      { method: "PATCH", url: "/api/storage/v1/upload/resumable/aWQ", offset: "0" },
      { method: "PATCH", url: "/api/storage/v1/upload/resumable/aWQ", offset: "1000" },
      { method: "PATCH", url: "/api/storage/v1/upload/resumable/aWQ", offset: "2000" },
    ]);
    const pairs = (uploads.metadata[0] ?? "").split(",").map((pair) => pair.split(" "));
    const metadata = pairs.map(([name, value = ""]) => [
      name,
      Buffer.from(value, "base64").toString(),
    ]);
    expect(Object.fromEntries(metadata)).toEqual({
      bucketName: "files",
      objectName: "none/user-data/ab/abc/id",
      contentType: "text/plain",
      cacheControl: "3600",
    });
  });

  it("sends all the same where nothing can be remembered", async () => {
    const { uploads, open } = await serve();
    const resumable = open();
    const partial = await resumable.claim({ ...key, sizeBytes: bytes.length });
    if (partial === null) throw new Error("It is large enough.");
    await rm(join(folder, "partials"), { recursive: true });
    expect(await resumable.put(object(), partial, signal)).toBe(true);
    await partial.release();
    expect(uploads.bytes.equals(bytes)).toBe(true);
    expect(warnings).toEqual(["An unfinished upload cannot be remembered"]);
    await writeFile(join(folder, "partials"), "no folder");
    expect(await open().claim({ ...key, sizeBytes: bytes.length })).toBeNull();
    expect(warnings).toHaveLength(2);
  });

  it("leaves small objects to the other way", async () => {
    const { open } = await serve({ fromBytes: 2501 });
    expect(await send(open())).toBe("in one piece");
  });

  it("that is not there is told once, and asked for again after a while", async () => {
    const clock = new ManualClock();
    const { uploads, open } = await serve({ clock, absentMs: 1000 });
    uploads.instead = (_request, response) => {
      response.writeHead(404, { "content-type": "application/json" }).end("{}");
      return true;
    };
    const resumable = open();
    expect(await send(resumable)).toBe(false);
    expect(await send(resumable)).toBe("in one piece");
    clock.advance(1000);
    expect(await send(resumable)).toBe(false);
    expect(uploads.methods()).toBe("POST POST");
    expect(warnings).toEqual([expect.stringContaining("no resumable uploads")]);
    uploads.instead = () => false;
    clock.advance(1000);
    expect(await send(resumable)).toBe(true);
  });

  it.each<[number, string, string, boolean]>([
    [404, "Bucket not found", "FILES_BACKEND_REJECTED", false],
    [413, "Maximum size exceeded", "FILES_BACKEND_REJECTED", false],
    [403, "new row violates row-level security policy", "FILES_BACKEND_REJECTED", false],
    [423, "The resource is locked", "FILES_BACKEND_UNAVAILABLE", true],
    [429, "Too many connections", "FILES_BACKEND_UNAVAILABLE", true],
    [502, "<html>Bad gateway</html>", "FILES_BACKEND_UNAVAILABLE", true],
  ])(
    "judges a refusal of %i by its status and quotes its text",
    async (status, text, code, retryable) => {
      const { uploads, open } = await serve();
      uploads.instead = (_request, response) => {
        response.writeHead(status, tus).end(text);
        return true;
      };
      await expect(send(open())).rejects.toMatchObject({
        code,
        retryable,
        message: expect.stringContaining(text.startsWith("<") ? `status ${status}` : text),
      });
      expect(uploads.seen).toHaveLength(retryable ? 3 : 1);
    },
  );

  it.each([
    [409, "Upload-Offset conflict"],
    [423, "locked"],
    [400, "Request aborted due to lock acquired"],
    [500, "Something went wrong"],
  ])("asks how far it is after a part that was answered %i (%s)", async (status, text) => {
    const { uploads, open } = await serve();
    let isFirst = true;
    uploads.instead = (request, response) => {
      if (request.method !== "PATCH" || request.headers["upload-offset"] !== "1000") return false;
      if (!isFirst) return false;
      isFirst = false;
      request.resume().on("end", () => response.writeHead(status, tus).end(text));
      return true;
    };
    expect(await send(open())).toBe(true);
    expect(uploads.methods()).toBe("POST PATCH PATCH HEAD PATCH PATCH");
    expect(uploads.bytes.equals(bytes)).toBe(true);
  });

  it.each([404, 410])("begins anew when the server has lost the upload (%i)", async (status) => {
    const { uploads, open } = await serve();
    let lost = 0;
    uploads.instead = (request, response) => {
      if (request.headers["upload-offset"] === "2000" && lost === 0) lost = 1;
      if (lost !== 1 || request.method === "POST") return false;
      if (request.method === "HEAD") lost = 2;
      request.resume().on("end", () => response.writeHead(status, tus).end("gone"));
      return true;
    };
    expect(await send(open())).toBe(true);
    expect(uploads.methods()).toBe("POST PATCH PATCH PATCH HEAD POST PATCH PATCH PATCH");
    expect(uploads.bytes.equals(bytes)).toBe(true);
  });

  it("is content when the upload is gone because it is the object already", async () => {
    const facts: ObjectFacts = { sizeBytes: bytes.length, md5: null };
    const { uploads, open } = await serve({ head: async () => facts });
    uploads.instead = (request, response) => {
      const isLast = request.headers["upload-offset"] === "2000";
      if (!isLast && request.method !== "HEAD") return false;
      request.resume().on("end", () => {
        if (isLast) response.destroy();
        else response.writeHead(404, tus).end();
      });
      return true;
    };
    expect(await send(open())).toBe(true);
    expect(uploads.methods()).toBe("POST PATCH PATCH PATCH HEAD");
  });

  it("begins anew when the upload is whole but its object is gone", async () => {
    const { uploads, open } = await serve();
    let isFirst = true;
    uploads.instead = (request, response) => {
      if (request.headers["upload-offset"] !== "2000" || !isFirst) return false;
      isFirst = false;
      // All is stored, and somebody removed the object before the client asked.
      uploads.bytes = bytes;
      request.resume().on("end", () => response.writeHead(503, tus).end());
      return true;
    };
    expect(await send(open())).toBe(true);
    expect(uploads.methods()).toBe("POST PATCH PATCH PATCH HEAD POST PATCH PATCH PATCH");
  });

  it("gives up after a few failures without progress, and remembers how far it was", async () => {
    const { uploads, open } = await serve();
    uploads.instead = (request, response) => {
      if (request.headers["upload-offset"] !== "1000") return false;
      request.resume().on("end", () => response.writeHead(503, tus).end());
      return true;
    };
    await expect(send(open())).rejects.toMatchObject({ code: "FILES_BACKEND_UNAVAILABLE" });
    expect(uploads.methods()).toBe("POST PATCH PATCH HEAD PATCH HEAD PATCH");
    expect(await remembered()).toBe(1);
    uploads.instead = () => false;
    uploads.seen.length = 0;
    expect(await send(open())).toBe(true);
    expect(uploads.methods()).toBe("HEAD PATCH PATCH");
    expect(await remembered()).toBe(0);
  });

  it("hands on a broken body's own error and gives the upload up on the server", async () => {
    const broken = new Error("The disk is gone.");
    const { uploads, open } = await serve();
    const breaking = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 1500);
      throw broken;
    };
    await expect(send(open(), { open: breaking })).rejects.toBe(broken);
    expect(uploads.seen.at(-1)).toMatchObject({ method: "DELETE" });
    expect(await remembered()).toBe(0);
  });

  it("gives up on the server what nobody continued in time", async () => {
    const clock = new ManualClock();
    const { uploads, open } = await serve({ clock, waitsMs: [], keepMs: 5000 });
    uploads.instead = (request, response) => {
      if (request.method !== "PATCH") return false;
      request.resume().on("end", () => response.writeHead(503, tus).end());
      return true;
    };
    const resumable = open();
    await expect(send(resumable)).rejects.toMatchObject({ code: "FILES_BACKEND_UNAVAILABLE" });
    expect(await remembered()).toBe(1);
    clock.advance(700_000);
    const other = await resumable.claim({ ...key, sizeBytes: 2000 });
    expect(await remembered()).toBe(0);
    while (!uploads.methods().includes("DELETE")) await new Promise((go) => setImmediate(go));
    expect(uploads.seen.at(-1)).toMatchObject({
      method: "DELETE",
      url: "/api/storage/v1/upload/resumable/aWQ",
    });
    await other?.release();
  });
});
