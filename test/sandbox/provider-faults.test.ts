import { createHash, randomBytes } from "node:crypto";
import OpenAI, { toFile } from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { StandInReport } from "../../src/sandbox/provider/admin.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/sandbox.ts";
import { TestFolder } from "../support/test-folder.ts";

let folder: TestFolder;
let sandbox: Sandbox;
beforeAll(async () => {
  folder = new TestFolder();
  sandbox = await startSandbox({ dataDir: folder.path });
});
afterAll(async () => {
  await sandbox.close();
  await folder.remove();
});

const names = ["kimi", "glm"] as const;
type Name = (typeof names)[number];

const admin = (name: Name, method: string, path: string, body?: unknown): Promise<Response> =>
  fetch(sandbox.addresses[name].adminUrl + path, {
    method,
    body: body === undefined ? null : JSON.stringify(body),
  });
const report = async (name: Name): Promise<StandInReport> =>
  (await (await admin(name, "GET", "/report")).json()) as StandInReport;

afterEach(async () => {
  for (const name of names) {
    for (const what of ["/faults", "/limits", "/files"]) await admin(name, "DELETE", what);
  }
});

const call = (name: Name, path: string, init: RequestInit = {}): Promise<Response> => {
  const { baseUrl, apiKey } = sandbox.addresses[name];
  const headers = { authorization: `Bearer ${apiKey}`, ...init.headers };
  return fetch(baseUrl + path, { ...init, headers });
};
const list = (name: Name): Promise<Response> => call(name, "/files?purpose=file-extract");
const upload = (name: Name, bytes: Uint8Array, headers = {}): Promise<Response> => {
  const body = new FormData();
  body.set("file", new File([new Uint8Array(bytes)], "a.pdf"));
  body.set("purpose", "file-extract");
  return call(name, "/files", { method: "POST", body, headers });
};
const errorOf = async (reply: Response) => {
  const { error } = (await reply.json()) as { error: { type?: string; code?: string } };
  return [reply.status, error.type ?? error.code];
};

describe.each(names)("a fault of the stand-in for %s", (name) => {
  it("answers before the body was read, and the answer still reaches a client that closes", async () => {
    const big = randomBytes(20_000_000);
    await admin(name, "PUT", "/faults", { errorStatus: 503 });
    for (let n = 0; n < 5; n += 1) {
      const reply = await upload(name, big, { connection: "close" });
      expect(reply.status).toBe(503);
      expect(await reply.json()).toHaveProperty("error.message");
    }
    expect((await report(name)).files).toEqual([]);
  });

  it("comes in a burst, and is over after it", async () => {
    await admin(name, "PUT", "/faults", { errorStatus: 500, count: 3 });
    const statuses = [];
    for (let n = 0; n < 5; n += 1) statuses.push((await list(name)).status);
    expect(statuses).toEqual([500, 500, 500, 200, 200]);
  });

  it("hits the share of requests that it says, the same ones in every run", async () => {
    const statusesOf = async (seed: number): Promise<number[]> => {
      await admin(name, "PUT", "/faults", [
        { errorStatus: 503, percent: 20, seed },
        { errorStatus: 500, percent: 20, seed: seed + 1 },
      ]);
      const statuses: number[] = [];
      for (let n = 0; n < 100; n += 1) statuses.push((await list(name)).status);
      return statuses;
    };
    const first = await statusesOf(7);
    const count = (status: number): number => first.filter((each) => each === status).length;
    expect(count(503)).toBeGreaterThan(5);
    expect(count(503)).toBeLessThan(40);
    expect(count(500)).toBeGreaterThan(5);
    expect(count(200)).toBeGreaterThan(40);
    expect(await statusesOf(7)).toEqual(first);
    expect(await statusesOf(8)).not.toEqual(first);
  });

  it("hangs without an answer until the client has had enough", async () => {
    await admin(name, "PUT", "/faults", { hang: 1, count: 1 });
    const body = new FormData();
    body.set("file", new File(["x"], "a.pdf"));
    body.set("purpose", "file-extract");
    const signal = AbortSignal.timeout(100);
    const hanging = call(name, "/files", { method: "POST", body, signal });
    await expect(hanging).rejects.toThrow(/aborted/);
    expect((await report(name)).files).toEqual([]);
    expect((await list(name)).status).toBe(200);
  });

  it("slows the body down to the speed it says", async () => {
    const bytes = randomBytes(200_000);
    await admin(name, "PUT", "/faults", { bytesPerSecond: 500_000, operations: ["upload"] });
    const startedMs = performance.now();
    expect((await upload(name, bytes)).status).toBe(200);
    // A lower bound only: 200 kB at 500 kB/s cannot take less.
    expect(performance.now() - startedMs).toBeGreaterThan(390);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect((await report(name)).files).toMatchObject([{ sha256 }]);
  });

  it("names another number of bytes than arrived", async () => {
    await admin(name, "PUT", "/faults", { wrongBytes: 5, count: 1 });
    expect(await (await upload(name, randomBytes(100))).json()).toMatchObject({ bytes: 105 });
    expect((await report(name)).files).toMatchObject([{ bytes: 100 }]);
  });

  it("stops in the middle of its JSON", async () => {
    await admin(name, "PUT", "/faults", { truncateReply: 1, count: 1 });
    const reply = await upload(name, randomBytes(100));
    expect(reply.status).toBe(200);
    const text = await reply.text();
    expect(text).toMatch(/^\{"/);
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
    expect((await report(name)).files).toHaveLength(1);
  });

  it("says when to come back", async () => {
    await admin(name, "PUT", "/faults", { errorStatus: 429, retryAfterSeconds: 7, count: 1 });
    const reply = await list(name);
    expect([reply.status, reply.headers.get("retry-after")]).toEqual([429, "7"]);
  });

  it.each([
    [{ percent: 0, hang: 1 }, /percent/],
    [{ percent: 101, hang: 1 }, /percent/],
    [{ seed: 1.5, hang: 1 }, /seed/],
    [{ hang: 2 }, /from 1 to 1/],
    [[], /list of 1 to 20/],
    [[{ hang: 1 }, { nonsense: 1 }], /no fault nonsense/],
  ])("is refused as %j", async (faults, message) => {
    const reply = await admin(name, "PUT", "/faults", faults);
    expect(reply.status).toBe(400);
    expect(((await reply.json()) as { message: string }).message).toMatch(message);
  });
});

describe("the limits of an account at the stand-in", () => {
  it.each([
    ["kimi", "rate_limit_reached_error", "1"],
    ["glm", "1303", null],
  ] as const)("for %s hold requests per second, with its 429", async (name, code, retryAfter) => {
    await admin(name, "PUT", "/limits", { requestsPerSecond: 3 });
    const replies = await Promise.all(Array.from({ length: 6 }, () => list(name)));
    const refused = replies.filter((reply) => reply.status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(3);
    expect(refused[0]?.headers.get("retry-after")).toBe(retryAfter);
    expect(await errorOf(refused[0] as Response)).toEqual([429, code]);
    expect((await report(name)).refused["too-fast"]).toBe(refused.length);
  });

  it.each([
    ["kimi", "rate_limit_reached_error"],
    ["glm", "1302"],
  ] as const)("for %s hold requests at once, with its 429", async (name, code) => {
    await admin(name, "PUT", "/limits", { concurrentRequests: 2 });
    await admin(name, "PUT", "/faults", { latencyMs: 300 });
    const replies = await Promise.all(Array.from({ length: 5 }, () => list(name)));
    const refused = replies.filter((reply) => reply.status === 429);
    expect(refused).toHaveLength(3);
    expect(await errorOf(refused[0] as Response)).toEqual([429, code]);
    await admin(name, "DELETE", "/faults");
    expect((await list(name)).status).toBe(200);
  });

  it.each([
    ["kimi", "exceeded_current_quota_error"],
    ["glm", "1113"],
  ] as const)("for %s have a 429 that no waiting cures", async (name, code) => {
    await admin(name, "PUT", "/faults", { spentQuota: 1, count: 1 });
    expect(await errorOf(await list(name))).toEqual([429, code]);
  });

  it.each([
    [{ maxFiles: 2 }, "too-many-files"],
    [{ maxTotalBytes: 250 }, "quota-spent"],
  ])("hold %j over all files", async (limits, refusal) => {
    await admin("kimi", "PUT", "/limits", limits);
    expect((await upload("kimi", randomBytes(100))).status).toBe(200);
    expect((await upload("kimi", randomBytes(100))).status).toBe(200);
    expect(await errorOf(await upload("kimi", randomBytes(100)))).toEqual([
      400,
      "invalid_request_error",
    ]);
    expect((await report("kimi")).refused).toEqual({ [refusal]: 1 });
  });

  it("show Kimi's rate in its headers, and GLM documents none", async () => {
    for (const name of names) await admin(name, "PUT", "/limits", { requestsPerSecond: 100 });
    const headersOf = async (name: Name): Promise<(string | null)[]> => {
      const { headers } = await list(name);
      return ["limit", "remaining", "reset"].map((each) => headers.get(`x-ratelimit-${each}`));
    };
    expect(await headersOf("kimi")).toEqual(["100", "99", "1"]);
    expect(await headersOf("glm")).toEqual([null, null, null]);
  });

  it.each([
    [{ requestsPerSecond: 0 }, /whole number/],
    [{ more: 1 }, /no limit more/],
    [[], /object/],
  ])("are refused as %j", async (limits, message) => {
    const reply = await admin("glm", "PUT", "/limits", limits);
    expect(reply.status).toBe(400);
    expect(((await reply.json()) as { message: string }).message).toMatch(message);
  });

  it("are survived by the openai client with its own retries", async () => {
    const { baseUrl, apiKey } = sandbox.addresses.kimi;
    const client = new OpenAI({ baseURL: baseUrl, apiKey, maxRetries: 3 });
    await admin("kimi", "PUT", "/limits", { requestsPerSecond: 2 });
    const purpose = "file-extract" as OpenAI.FilePurpose;
    const files = await Promise.all(
      ["a.txt", "b.txt", "c.txt"].map(async (name) =>
        client.files.create({ file: await toFile(Buffer.from(name), name), purpose }),
      ),
    );
    expect(new Set(files.map(({ id }) => id)).size).toBe(3);
    expect((await report("kimi")).files).toHaveLength(3);
  });
});
