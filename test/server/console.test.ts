import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { request } from "undici";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { assetOf, assetPaths, encodingFor } from "../../src/server/console/assets.ts";
import { Feed } from "../../src/server/console/feed.ts";
import {
  type FeedMessage,
  historyColumns,
  sectionsOf,
} from "../../src/server/console/feed-state.ts";
import { type ConsoleApp, startConsole } from "../support/console-app.ts";
import { startGateway } from "../support/gateway-app.ts";

let product: ConsoleApp;
const feeds: IncomingMessage[] = [];
beforeEach(async () => {
  product = await startConsole();
});
afterEach(async () => {
  for (const feed of feeds.splice(0)) feed.destroy();
  await product.close();
});

/** Opens the feed; the returned list grows with its messages. */
async function listen(
  headers: Readonly<Record<string, string>> = {},
): Promise<{ messages: FeedMessage[]; response: IncomingMessage }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${product.url}/console/events`, { headers }, resolve).on("error", reject);
  });
  feeds.push(response);
  const messages: FeedMessage[] = [];
  let text = "";
  response.setEncoding("utf8");
  response.on("data", (chunk: string) => {
    text += chunk;
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) messages.push(JSON.parse(part.slice("data: ".length)));
  });
  response.on("error", () => undefined);
  return { messages, response };
}

const unlocked = (): Record<string, string> => ({ authorization: `Bearer ${product.token}` });

describe("the console's files", () => {
  it("are below 150 KB in all, as they are sent", async () => {
    const assets = await Promise.all(assetPaths.map(assetOf));
    const sizes = assets.map((asset) => asset?.encodings.gzip.length ?? Number.NaN);
    expect(sizes.length).toBeGreaterThan(10);
    const sum = sizes.reduce((total, size) => total + size, 0);
    expect(sum).toBeLessThan(150_000);
  });

  it("come under a policy that allows nothing but our own files", async () => {
    const { headers, body, statusCode } = await request(product.url);
    expect(statusCode).toBe(200);
    expect(headers["content-type"]).toBe("text/html; charset=utf-8");
    const policy = String(headers["content-security-policy"]);
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "connect-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
    ]) {
      expect(policy.split("; ")).toContain(rule);
    }
    expect(policy).not.toContain("unsafe");
    expect(headers["x-content-type-options"]).toBe("nosniff");
    const html = await body.text();
    expect(html).not.toMatch(/<script(?![^>]* src=)|<style|style="|\son[a-z]+="|https?:/);
  });

  it("are compressed as the browser likes it, and not sent again while they are the same", async () => {
    const url = `${product.url}/console/main.js`;
    const first = await request(url, { headers: { "accept-encoding": "gzip, deflate" } });
    expect(first.headers["content-encoding"]).toBe("gzip");
    const text = gunzipSync(Buffer.from(await first.body.arrayBuffer())).toString();
    expect(text).toContain("Connection");
    const etag = String(first.headers["etag"]);
    const again = await request(url, { headers: { "if-none-match": `"other", ${etag}` } });
    expect(again.statusCode).toBe(304);
    expect(await again.body.text()).toBe("");
    const plain = await request(url);
    expect(plain.headers["content-encoding"]).toBeUndefined();
    expect(await plain.body.text()).toBe(text);
    expect(encodingFor("gzip;q=0, br;q=0.5")).toBe("br");
    expect(encodingFor("br;q=0, gzip;q=0.0")).toBe("identity");
    expect(encodingFor(undefined)).toBe("identity");
  });

  it("are these and no others: nothing outside of the page can be asked for", async () => {
    for (const path of [
      "/console/",
      "/console/index.html",
      "/console/..%2ffeed.ts",
      "/console/x",
    ]) {
      const { statusCode, body } = await request(`${product.url}${path}`);
      expect(statusCode, path).toBe(404);
      expect(await body.json()).toMatchObject({ error: { code: "GATEWAY_NO_ROUTE" } });
    }
    const post = await request(product.url, { method: "POST" });
    expect(post.statusCode).toBe(405);
    await post.body.dump();
  });
});

describe("the console's feed", () => {
  it("sends everything first, and then what has changed, with the time each second", async () => {
    await product.call(5);
    product.history.look();
    const { messages } = await listen();
    await vi.waitFor(() => expect(messages.length).toBeGreaterThan(2), { timeout: 10_000 });
    const [first, ...later] = messages;
    expect(first?.operations?.map(({ name }) => name)).toEqual(["files.upload", "files.info"]);
    expect(first?.process).toMatchObject({ pid: process.pid });
    expect(first?.journal).toEqual([]);
    expect(first?.history["files.upload"]?.[0]).toHaveLength(historyColumns.length);
    for (const message of later) {
      expect(Date.parse(message.at)).toBeGreaterThan(Date.parse(first?.at ?? ""));
      expect(message.journal).toBeUndefined();
    }
    await product.changeover.rollBack("files.upload", {
      by: { type: "person", name: "ann" },
      reason: "a test",
    });
    await vi.waitFor(
      () => {
        const entries = messages.flatMap(({ journal = [] }) => journal);
        expect(entries.map(({ why }) => why)).toContain("a test");
      },
      { timeout: 10_000 },
    );
  });

  it("has the newest moment of the journal first, whenever it arrived, and what is equal once", () => {
    const entry = (at: string, operation: string) => ({
      at: `2026-11-21T10:00:${at}.000Z`,
      operation,
      kind: "rollback" as const,
      actor: { type: "rule" as const, name: "quorum" },
      from: "candidate",
      to: "legacy",
      why: "two instances have latched",
      evidence: { instance: Math.random() },
    });
    // As a fleet's journal has it: every instance writes one, and one of them was cut off for a while.
    const arrived = [
      entry("05", "files.info"),
      entry("09", "files.upload"),
      entry("09", "files.upload"),
      entry("01", "files.list"),
      entry("09", "files.upload"),
    ];
    const { journal } = sectionsOf(product.app, arrived);
    expect(journal.map(({ operation, times }) => [operation, times])).toEqual([
      ["files.upload", 3],
      ["files.info", 1],
      ["files.list", 1],
    ]);
    expect(JSON.stringify(journal)).not.toContain('instance"');
  });

  it("has the values of mismatches for holders of the token only", async () => {
    product.candidate.differs = true;
    await product.call(60);
    await vi.waitFor(() => expect(product.changeover.mismatches()).toHaveLength(1), {
      timeout: 10_000,
    });
    const [open, closed] = await Promise.all([listen(unlocked()), listen()]);
    await vi.waitFor(() => expect([open, closed].map((f) => f.messages.length)).not.toContain(0));
    const values = ({ messages }: typeof open): unknown =>
      messages[0]?.mismatches?.[0]?.differences.map(({ path, legacy, candidate }) => [
        path,
        legacy,
        candidate,
      ]);
    expect(values(open)).toEqual([["size", "1", "2"]]);
    expect(values(closed)).toEqual([["size", null, null]]);
    expect(JSON.stringify(closed.messages)).not.toContain(product.token);
  });

  it.each([
    ["a wrong token", { authorization: "Bearer no-such-token-at-all" }, 401],
    ["a page of another site", { "sec-fetch-site": "cross-site" }, 403],
    ["another machine's name", { host: "evil.example" }, 403],
  ])("refuses %s", async (_what, headers, status) => {
    const { statusCode, body } = await request(`${product.url}/console/events`, { headers });
    await body.dump();
    expect(statusCode).toBe(status);
  });

  it("off loopback takes the token, and the page itself knows nothing", async () => {
    const far = await startConsole({ host: "::ffff:127.0.0.1" });
    try {
      const refused = await request(`${far.url}/console/events`);
      expect(refused.statusCode).toBe(401);
      expect(await refused.body.json()).toMatchObject({
        error: { code: "GATEWAY_OPERATOR_TOKEN_REQUIRED" },
      });
      const shell = await request(far.url);
      expect(await shell.body.text()).not.toMatch(/files\.|version/);
      const headers = { authorization: `Bearer ${far.token}` };
      const admitted = await request(`${far.url}/console/events`, { headers });
      expect(admitted.statusCode).toBe(200);
      admitted.body.destroy();
    } finally {
      await far.close();
    }
  });

  it("serves so many pages at a time, and looks at nothing when the last has gone", async () => {
    const limits = { consoleClientsMax: 2 };
    const gateway = await startGateway({ gateway: { limits } });
    const taken = vi.spyOn(gateway.app, "snapshot");
    const url = `${gateway.url}/console/events`;
    const answers = [await request(url), await request(url)];
    const third = await request(url);
    expect(third.statusCode).toBe(503);
    expect(third.headers["retry-after"]).toBe("5");
    expect(await third.body.json()).toMatchObject({ error: { code: "GATEWAY_CONSOLE_FULL" } });
    for (const { body } of answers) body.on("error", () => undefined).destroy();
    await vi.waitFor(async () => {
      const next = await request(url);
      next.body.on("error", () => undefined).destroy();
      expect(next.statusCode).toBe(200);
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const before = taken.mock.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(taken.mock.calls.length).toBe(before);
    await gateway.close();
  });

  it("drops a page that does not read, and goes on with the others", async () => {
    const long = "x".repeat(400_000);
    let turn = 0;
    const loud = await startConsole({
      change: (snapshot) => {
        turn += 1;
        return { ...snapshot, version: `${turn}${long.repeat(20)}` };
      },
    });
    const feed = new Feed({
      app: loud.app,
      clock: systemClock,
      limits: { consoleClientsMax: 9, consoleBufferBytes: 2 ** 20 },
    });
    const server = createServer((_request, response) => {
      response.writeHead(200);
      void feed.add(response, false);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [silent, reading] = await Promise.all(
      [0, 1].map(() => new Promise<IncomingMessage>((resolve) => get(url, resolve))),
    );
    silent?.on("error", () => undefined).pause();
    reading?.on("error", () => undefined).resume();
    await vi.waitFor(() => expect(feed.clients).toBe(2));
    await vi.waitFor(() => expect(feed.clients).toBe(1), { timeout: 15_000 });
    feed.close();
    expect(feed.clients).toBe(0);
    silent?.destroy();
    server.closeAllConnections();
    server.close();
    await loud.close();
  });

  it("ends when the gateway does", async () => {
    const { messages, response } = await listen();
    await vi.waitFor(() => expect(messages.length).toBeGreaterThan(0));
    const ended = new Promise((resolve) => response.once("close", resolve));
    await product.gateway.close(0);
    await ended;
  });
});
