import { createHash } from "node:crypto";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../src/base/manual-clock.ts";
import { Load } from "../../../src/cli/commands/demo/traffic/load.ts";

const clean: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const each of clean.splice(0)) await each();
});

/** A gateway that stores at once, and answers look-ups when the test says so. */
async function world(perSecond: number, concurrencyMax: number, listPerSecond = 0) {
  const asked: (() => void)[] = [];
  const server = createServer(async (request, response: ServerResponse) => {
    if (request.method === "GET") {
      const list = request.url?.includes("limit") === true;
      asked.push(() => response.end(JSON.stringify(list ? { data: [] } : { id: "file-1", bytes })));
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    bytes = body.length;
    const sha256 = createHash("sha256").update(body).digest("hex");
    response.end(JSON.stringify({ id: "file-1", bytes, sha256 }));
  });
  let bytes = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  clean.push(() => new Promise((resolve) => server.close(resolve)));
  const clock = new ManualClock();
  const load = new Load(
    {
      origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      tenants: [{ name: "shop-1", key: "a-key" }],
      perSecond: { info: perSecond, list: listPerSecond, download: 0, upload: 0, delete: 0 },
      concurrencyMax,
      seed: 1,
    },
    clock,
  );
  await load.seed();
  load.start();
  /** Answers everything that was asked and not answered yet. */
  const answer = (): void => {
    for (const each of asked.splice(0)) each();
  };
  const made = (): number => load.counts().calls.info;
  return { clock, load, asked, answer, made };
}

describe("the demo's callers", () => {
  it("give a place that comes free to the next call that is due, without waiting for a round", async () => {
    const { clock, load, asked, answer, made } = await world(100, 2);
    clock.advance(100);
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    for (let done = 2; done <= 10; done += 2) {
      answer();
      await vi.waitFor(() => expect(made()).toBe(done));
      if (done < 10) await vi.waitFor(() => expect(asked).toHaveLength(2));
    }
    // Ten were due in a tenth of a second, and there are no more.
    expect([asked.length, load.counts().notMade, load.counts().harmed]).toEqual([0, 0, 0]);
    await load.stop();
  });

  it("keep half a second of calls waiting at most, and count those they did not make", async () => {
    const { clock, load, asked, answer, made } = await world(100, 1);
    clock.advance(10_000);
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    const { notMade } = load.counts();
    expect(notMade).toBeGreaterThanOrEqual(940);
    while (made() < 1000 - notMade) {
      answer();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(made() + notMade).toBe(1000);
    await load.stop();
  });

  it("keep to their mixture when the product cannot keep up", async () => {
    const { clock, load, asked, answer } = await world(100, 1, 10);
    for (let n = 0; n < 110; n += 1) {
      clock.advance(20);
      while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
      answer();
    }
    const { info, list } = load.counts().calls;
    expect(info / list).toBeGreaterThan(8);
    expect(info / list).toBeLessThan(12);
    // The last calls end, too.
    let stopped = false;
    void load.stop().then(() => {
      stopped = true;
    });
    while (!stopped) {
      answer();
      clock.advance(20);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
});
