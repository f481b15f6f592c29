import { createHash, randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { kimiProfile } from "../../src/files/providers/profiles.ts";
import { failureOf, signal } from "./fixtures/provider-server.ts";
import { SteadyWorld } from "./fixtures/steady-world.ts";

let world: SteadyWorld;
beforeAll(async () => {
  world = await SteadyWorld.open();
});
afterEach(() => world.reset());
afterAll(() => world?.close());

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const names = ["kimi", "glm"] as const;

describe.each(names)("an upload to %s that meets trouble", (name) => {
  it.each([
    ["a reply that was lost after the file was stored", { loseReply: 1 }, 1],
    ["a reply that stops in the middle", { truncateReply: 1 }, 1],
    ["a 500", { errorStatus: 500 }, 2],
    ["a 503", { errorStatus: 503 }, 2],
    ["a 429", { errorStatus: 429 }, 2],
    ["a connection that is cut", { resetAfterBytes: 500_000 }, 2],
  ])("is at the provider exactly once after %s", async (_what, fault, uploads) => {
    const bytes = randomBytes(2_000_000);
    await world.faults({ ...fault, count: 1, operations: ["upload"] }, name);
    const sent: number[] = [];
    const provider = world.provider(name);
    const upload = await world.upload(bytes);
    const file = await provider.upload(upload, signal, (sentBytes) => sent.push(sentBytes));
    const { files, requests } = await world.report(name);
    expect(files).toMatchObject([{ id: file.id, sha256: hashOf(bytes) }]);
    expect(requests["upload"]).toBe(uploads);
    expect(sent.at(-1)).toBe(bytes.length);
    expect(sent).toEqual([...sent].sort((one, other) => one - other));
  });

  it("is refused when the provider says another size, and does not stay there", async () => {
    await world.faults({ wrongBytes: 1, count: 1, operations: ["upload"] }, name);
    const upload = await world.upload(randomBytes(1000));
    const error = await failureOf(world.provider(name).upload(upload, signal));
    expect(error).toMatchObject({ code: "FILES_INTEGRITY" });
    expect((await world.report(name)).files).toEqual([]);
  });

  it("is not repeated when its quota is spent", async () => {
    await world.faults({ spentQuota: 1, operations: ["upload"] }, name);
    const upload = await world.upload(randomBytes(1000));
    const error = await failureOf(world.provider(name).upload(upload, signal));
    expect(error).toMatchObject({ code: "FILES_PROVIDER_QUOTA", retryable: false });
    expect((await world.report(name)).requests).toEqual({ upload: 1 });
  });

  it("ends with the provider's own error when that does not pass", async () => {
    await world.faults({ errorStatus: 503, operations: ["upload"] }, name);
    const provider = world.provider(name, { retry: { attempts: 3 } });
    const error = await failureOf(provider.upload(await world.upload(randomBytes(9)), signal));
    expect(error).toMatchObject({ code: "FILES_PROVIDER_UNAVAILABLE", retryable: true });
    expect((await world.report(name)).requests["upload"]).toBe(3);
    expect(provider.status.retries.made).toBe(2);
  });
});

describe("a lost reply", () => {
  it("is found out even when no attempt is left", async () => {
    const bytes = randomBytes(1000);
    await world.faults({ loseReply: 1, operations: ["upload"] });
    const provider = world.provider("kimi", { retry: { attempts: 1 } });
    const file = await provider.upload(await world.upload(bytes), signal);
    expect((await world.report()).files).toMatchObject([{ id: file.id }]);
    expect(provider.status.lostReplies).toEqual({ adopted: 1, absent: 0, ambiguous: 0 });
  });

  it("stays an open question when the list fails too, and the error says so", async () => {
    await world.faults([
      { loseReply: 1, operations: ["upload"] },
      { errorStatus: 401, operations: ["list"] },
    ]);
    const upload = await world.upload(randomBytes(1000));
    const error = await failureOf(world.provider().upload(upload, signal));
    expect(error).toMatchObject({
      code: "FILES_PROVIDER_UNAVAILABLE",
      details: { effect: "possible" },
    });
    expect((await world.report()).requests).toMatchObject({ upload: 1 });
  });

  it("is not mistaken for an older file of the same name and size", async () => {
    const provider = world.provider();
    const [old, now] = [randomBytes(1000), randomBytes(1000)];
    const first = await provider.upload(await world.upload(old, "same.pdf"), signal);
    await world.faults({ resetAfterBytes: 1, count: 1, operations: ["upload"] });
    const second = await provider.upload(await world.upload(now, "same.pdf"), signal);
    expect(second.id).not.toBe(first.id);
    const { files } = await world.report();
    expect(files.map(({ sha256 }) => sha256)).toEqual([hashOf(old), hashOf(now)]);
  });

  it("is not mistaken for a file that our tables know from another process", async () => {
    const other = world.provider();
    const bytes = randomBytes(1000);
    const theirs = await other.upload(await world.upload(randomBytes(1000), "same.pdf"), signal);
    const asked: string[][] = [];
    const provider = world.provider("kimi", {
      known: async (ids) => {
        asked.push([...ids]);
        return new Set([theirs.id]);
      },
    });
    await world.faults({ resetAfterBytes: 1, count: 1, operations: ["upload"] });
    const file = await provider.upload(await world.upload(bytes, "same.pdf"), signal);
    expect(asked).toEqual([[theirs.id]]);
    expect(file.id).not.toBe(theirs.id);
    expect((await world.report()).files).toMatchObject([
      {},
      { id: file.id, sha256: hashOf(bytes) },
    ]);
  });

  it("never gives one upload the file of another that runs at the same time", async () => {
    const provider = world.provider();
    const contents = Array.from({ length: 12 }, () => randomBytes(1000));
    await world.faults([
      { resetAfterBytes: 1, count: 3, operations: ["upload"] },
      { loseReply: 1, count: 3, operations: ["upload"] },
    ]);
    const uploads = await Promise.all(contents.map((bytes) => world.upload(bytes, "same.pdf")));
    const files = await Promise.all(uploads.map((upload) => provider.upload(upload, signal)));
    const arrived = new Map((await world.report()).files.map(({ id, sha256 }) => [id, sha256]));
    expect(files.map(({ id }) => arrived.get(id))).toEqual(contents.map(hashOf));
    expect(arrived.size).toBe(12);
    expect(provider.status.lostReplies).toMatchObject({ adopted: 3, ambiguous: 0 });
  });
});

describe("a hundred uploads with resets, errors and lost replies among them", () => {
  it.each(names)(
    "are all at %s, each exactly once",
    async (name) => {
      await world.faults(
        [
          { resetAfterBytes: 1000, percent: 5, seed: 1, operations: ["upload"] },
          { errorStatus: 503, percent: 5, seed: 2, operations: ["upload"] },
          { loseReply: 1, percent: 5, seed: 3, operations: ["upload"] },
        ],
        name,
      );
      const provider = world.provider(name, { retryBudget: { capacity: 100 } });
      const contents = Array.from({ length: 100 }, () => randomBytes(20_000));
      const uploads = await Promise.all(contents.map((bytes) => world.upload(bytes)));
      const files = await Promise.all(uploads.map((upload) => provider.upload(upload, signal)));
      const arrived = (await world.report(name)).files;
      expect(arrived).toHaveLength(100);
      const byId = new Map(arrived.map(({ id, sha256 }) => [id, sha256]));
      expect(files.map(({ id }) => byId.get(id))).toEqual(contents.map(hashOf));
      expect(provider.status.lostReplies).toMatchObject({ ambiguous: 0 });
      expect(provider.status.lostReplies.adopted).toBeGreaterThan(0);
      expect(provider.status.retries.made).toBeGreaterThan(5);
    },
    60_000,
  );
});

describe("a provider that says 429", () => {
  it.each(names)(
    "%s slows the whole queue, and every upload gets through",
    async (name) => {
      await world.limits({ concurrentRequests: 2 }, name);
      const provider = world.provider(name, {
        retryBudget: { capacity: 100 },
        retry: { attempts: 10 },
      });
      const uploads = await Promise.all(
        Array.from({ length: 20 }, () => world.upload(randomBytes(50_000))),
      );
      const files = await Promise.all(uploads.map((upload) => provider.upload(upload, signal)));
      expect(new Set(files.map(({ id }) => id)).size).toBe(20);
      const { requests, refused } = await world.report(name);
      expect((await world.report(name)).files).toHaveLength(20);
      // Without slowing down, eight at a time against a limit of two are refused over and over.
      expect(refused["too-many-at-once"]).toBeLessThan(20);
      expect(requests["upload"]).toBe(20);
    },
    60_000,
  );

  it("is left alone for as long as it asks", async () => {
    await world.faults({ errorStatus: 429, retryAfterSeconds: 1, count: 1 });
    const provider = world.provider();
    const startedMs = performance.now();
    const first = provider.list("batch", signal);
    await expect.poll(() => provider.status.queue.pausedMs).toBeGreaterThan(0);
    expect(provider.status).toMatchObject({ queue: { limit: 1 }, health: { state: "throttled" } });
    const second = provider.list("batch", signal);
    await Promise.all([first, second]);
    // A lower bound: a second was asked for.
    expect(performance.now() - startedMs).toBeGreaterThan(950);
    expect(provider.status.health.state).toBe("up");
  });

  it("with a wait of an hour is not waited for", async () => {
    await world.faults({ errorStatus: 429, retryAfterSeconds: 3600, count: 1 });
    const error = await failureOf(world.provider().list("batch", signal));
    expect(error).toMatchObject({ code: "FILES_PROVIDER_THROTTLED", retryAfterSeconds: 3600 });
  });
});

describe("our own limits before a provider", () => {
  it("hold the bytes a second of all uploads together, without taking that for a stall", async () => {
    const provider = world.provider("kimi", {
      bytesPerSecond: 1_000_000,
      timeouts: { idleMs: 100 },
    });
    const uploads = await Promise.all([1, 2].map(() => world.upload(randomBytes(1_000_000))));
    const startedMs = performance.now();
    await Promise.all(uploads.map((upload) => provider.upload(upload, signal)));
    // A lower bound: 2 MB, of which the first second's worth goes at once.
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    expect((await world.report()).files).toHaveLength(2);
  });

  it("refuse what would wait behind too many, and send nothing of it", async () => {
    await world.faults({ latencyMs: 200, operations: ["upload"] });
    const provider = world.provider("kimi", { limits: { uploads: 1, waitingMax: 1 } });
    const uploads = await Promise.all([1, 2, 3].map(() => world.upload(randomBytes(1000))));
    const results = await Promise.allSettled(uploads.map((each) => provider.upload(each, signal)));
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect((results[2] as PromiseRejectedResult).reason).toMatchObject({
      code: "FILES_BUSY",
      details: { waiting: 1, limit: 1, effect: "absent" },
    });
    expect((await world.report()).requests["upload"]).toBe(2);
  });

  it.each([
    ["files", { maxFiles: 2 }, "2 of at most 2 files"],
    ["bytes", { maxTotalBytes: 2500 }, "2000 bytes (2.0 KiB) of at most 2500 bytes"],
  ])("know the account's quota of %s, and send nothing beyond it", async (_what, quota, text) => {
    const earlier = world.provider();
    await earlier.upload(await world.upload(randomBytes(1000)), signal);
    const provider = world.provider("kimi", { profile: kimiProfile, quota });
    const second = await provider.upload(await world.upload(randomBytes(1000)), signal);
    const third = await world.upload(randomBytes(1000));
    const error = await failureOf(provider.upload(third, signal));
    expect(error).toMatchObject({
      code: "FILES_PROVIDER_QUOTA",
      details: { provider: "kimi", effect: "absent" },
    });
    expect(error.message).toContain(text);
    expect((await world.report()).requests["upload"]).toBe(2);
    // Somebody makes room: it is counted anew before anything is refused.
    await provider.remove(second.id, signal);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await provider.upload(third, signal);
    expect(provider.quota("file-extract")).toMatchObject({ files: 2, bytes: 2000, purpose: null });
  });

  it("count uploads under way, so that a crowd does not pass the quota together", async () => {
    const provider = world.provider("kimi", { profile: kimiProfile, quota: { maxFiles: 3 } });
    const uploads = await Promise.all(
      Array.from({ length: 10 }, () => world.upload(randomBytes(1000))),
    );
    const results = await Promise.allSettled(uploads.map((each) => provider.upload(each, signal)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
    expect((await world.report()).requests["upload"]).toBe(3);
  });
});

describe("what is known of a provider", () => {
  it("is plain data, with health, speed, queue and quota", async () => {
    const provider = world.provider("kimi", { profile: kimiProfile });
    expect(provider.status.health.state).toBe("unknown");
    await provider.checkHealth(signal);
    await provider.upload(await world.upload(randomBytes(1_000_000)), signal);
    const { status } = provider;
    expect(JSON.parse(JSON.stringify(status))).toEqual(status);
    expect(status).toMatchObject({
      provider: "kimi",
      health: { state: "up", reason: "" },
      throughput: { samples: 1 },
      queue: { running: { uploads: 0, requests: 0 }, limit: 8, pausedMs: 0 },
      quotas: [{ purpose: null, files: 1, filesMax: 1000, bytes: 1_000_000 }],
      retries: { made: 0, left: 10 },
    });
  });

  it.each([
    [{ errorStatus: 500 }, "down"],
    [{ errorStatus: 401 }, "unauthorised"],
    [{ errorStatus: 429 }, "throttled"],
    [{ latencyMs: 60 }, "slow"],
  ])("after %j is that it is %s", async (fault, state) => {
    await world.faults(fault);
    const provider = world.provider("kimi", { health: { slowMs: 50 } });
    expect(await provider.checkHealth(signal)).toMatchObject({ state });
  });

  it("is asked for again and again while it is watched, until it is closed", async () => {
    const provider = world.provider("kimi", { health: { ttlMs: 1 } });
    provider.watch(20);
    await expect.poll(async () => (await world.report()).requests["list"] ?? 0).toBeGreaterThan(2);
    await provider.close();
    const before = (await world.report()).requests["list"];
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await world.report()).requests["list"]).toBe(before);
  });
});
