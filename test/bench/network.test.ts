import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DelayLine, Link } from "../../bench/network/delay-line.ts";
import {
  judgeNetwork,
  measureNetwork,
  portOf,
  startCountingServer,
} from "../../bench/network/measure-network.ts";
import { type NetworkProfile, networkProfiles } from "../../bench/network/profiles.ts";
import { NetworkProxy } from "../../bench/network/proxy.ts";
import { systemClock } from "../../src/base/clock.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";

const quickest: NetworkProfile = { ...networkProfiles.lan, setupRoundTrips: 1 };

describe("a delay line", () => {
  interface Arrival {
    readonly item: number;
    readonly atMs: number;
  }

  function lineOf(
    clock: ManualClock,
    {
      oneWayMs = 0,
      bytesPerSecond = null as number | null,
      notBeforeMs = 0,
      fullBytes = 1e12,
      onRoom = (): void => undefined,
    } = {},
  ): { line: DelayLine<number>; arrivals: Arrival[] } {
    const arrivals: Arrival[] = [];
    const links = [new Link(bytesPerSecond)];
    const deliver = (item: number): void => {
      arrivals.push({ item, atMs: clock.monotonicMs() });
    };
    const line = new DelayLine<number>({
      clock,
      oneWayMs,
      links,
      notBeforeMs: clock.monotonicMs() + notBeforeMs,
      fullBytes,
      deliver,
      onRoom,
    });
    return { line, arrivals };
  }

  it("delivers after its latency, not before", () => {
    const clock = new ManualClock();
    const { line, arrivals } = lineOf(clock, { oneWayMs: 25 });
    line.push(1, 100);
    clock.advance(24);
    expect(arrivals).toEqual([]);
    clock.advance(1);
    expect(arrivals.map(({ item }) => item)).toEqual([1]);
  });

  it("delivers nothing before a new connection is set up", () => {
    const clock = new ManualClock();
    const { line, arrivals } = lineOf(clock, { oneWayMs: 25, notBeforeMs: 125 });
    line.push(1, 100);
    clock.advance(124);
    expect(arrivals).toEqual([]);
    clock.advance(1);
    expect(arrivals).toHaveLength(1);
  });

  it("carries so many bytes a second and no more, in order", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50_000 }), { minLength: 1 }), (sizes) => {
        const clock = new ManualClock();
        const startMs = clock.monotonicMs();
        const { line, arrivals } = lineOf(clock, { bytesPerSecond: 1_000_000, oneWayMs: 10 });
        for (const [item, bytes] of sizes.entries()) line.push(item, bytes);
        for (let ms = 0; ms < sizes.length * 50 + 20; ms += 1) clock.advance(1);
        expect(arrivals.map(({ item }) => item)).toEqual(sizes.map((_, index) => index));
        let bytes = 0;
        for (const { item, atMs } of arrivals) {
          bytes += sizes[item] ?? 0;
          const dueMs = 10 + bytes / 1000;
          // Half a millisecond early at most: what is due by then rides on the same timer.
          expect(atMs - startMs).toBeGreaterThanOrEqual(dueMs - 0.5);
          expect(atMs - startMs).toBeLessThanOrEqual(dueMs + 1);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("shares a link with other lines", () => {
    const link = new Link(1_000_000);
    expect(link.pass(1000, 0)).toBe(1);
    expect(link.pass(1000, 0)).toBe(2);
    expect(link.pass(1000, 10)).toBe(11);
  });

  it("says when it is full and when it has room again", () => {
    const clock = new ManualClock();
    let rooms = 0;
    const onRoom = (): void => {
      rooms += 1;
    };
    const { line } = lineOf(clock, { oneWayMs: 5, fullBytes: 1000, onRoom });
    expect(line.push(1, 999)).toBe(true);
    expect(line.push(2, 1)).toBe(false);
    expect(rooms).toBe(0);
    clock.advance(5);
    expect(rooms).toBe(1);
    expect(line.bytes).toBe(0);
  });

  it("delivers nothing while it is held, and everything due when it is released", () => {
    const clock = new ManualClock();
    const { line, arrivals } = lineOf(clock, { oneWayMs: 5 });
    line.push(1, 10);
    line.hold();
    clock.advance(100);
    expect(arrivals).toEqual([]);
    line.release();
    expect(arrivals).toHaveLength(1);
  });
});

describe("the network proxy", () => {
  let servers: Server[] = [];
  let proxies: NetworkProxy[] = [];
  let sockets: Socket[] = [];
  beforeEach(() => {
    servers = [];
    proxies = [];
    sockets = [];
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    for (const proxy of proxies) await proxy.close();
    for (const server of servers) server.close();
  });

  async function proxyTo(server: Server, profile = quickest): Promise<Socket> {
    servers.push(server);
    if (!server.listening) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    const target = { host: "127.0.0.1", port: portOf(server) };
    const proxy = await NetworkProxy.listen(target, profile, systemClock);
    proxies.push(proxy);
    const socket = connect({ host: "127.0.0.1", port: proxy.port, allowHalfOpen: true });
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  }

  it("carries bytes both ways unchanged, and ends when both sides have", async () => {
    const bytes = randomBytes(3_000_000);
    const echo = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket);
      socket.pipe(socket);
    });
    const socket = await proxyTo(echo, { ...quickest, connectionBytesPerSecond: 50_000_000 });
    const hash = createHash("sha256");
    let received = 0;
    socket.on("data", (chunk: Buffer) => {
      received += chunk.length;
      hash.update(chunk);
    });
    socket.end(bytes);
    await once(socket, "end");
    expect(received).toBe(bytes.length);
    expect(hash.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
  });

  it("holds a fast sender back while the receiver is slow", async () => {
    let paused: Socket | undefined;
    const server = createServer((socket) => {
      sockets.push(socket);
      paused = socket.pause();
    });
    const socket = await proxyTo(server);
    // More than every buffer on the way holds together.
    let isTaken = true;
    for (let sent = 0; sent < 400 && isTaken; sent += 1) {
      isTaken = await new Promise<boolean>((resolve) => {
        socket.write(Buffer.alloc(1_000_000), () => resolve(true));
        setTimeout(() => resolve(false), 500);
      });
    }
    expect(paused).toBeDefined();
    expect(isTaken).toBe(false);
  });

  it.each(["the server", "the client"])("resets the other side when %s resets", async (who) => {
    const accepted = Promise.withResolvers<Socket>();
    const server = createServer((socket) => {
      sockets.push(socket);
      accepted.resolve(socket);
    });
    const client = await proxyTo(server);
    client.on("error", () => undefined);
    client.write("x");
    const atServer = await accepted.promise;
    const [cut, left] = who === "the server" ? [atServer, client] : [client, atServer];
    const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException>();
    left.on("error", resolve);
    left.resume();
    cut.resetAndDestroy();
    expect((await promise).code).toBe("ECONNRESET");
  });

  it("is measured by a self-test that judges each claim", async () => {
    const server = await startCountingServer();
    const profile: NetworkProfile = {
      ...networkProfiles.cloud,
      roundTripMs: 20,
      connectionBytesPerSecond: 10_000_000,
    };
    servers.push(server);
    const target = { host: "127.0.0.1", port: portOf(server) };
    const proxy = await NetworkProxy.listen(target, profile, systemClock);
    proxies.push(proxy);
    const measured = await measureNetwork(proxy.port, profile, systemClock);
    // Lower bounds only: a busy machine adds, but nothing may be faster than claimed.
    expect(measured.roundTripMs).toBeGreaterThanOrEqual(19);
    expect(measured.firstAnswerMs).toBeGreaterThanOrEqual(59);
    expect(measured.connectionBytesPerSecond).toBeLessThanOrEqual(11_000_000);
    expect(measured.fourBytesPerSecond).toBeLessThanOrEqual(44_000_000);
  });

  it("breaks its claim in the judgement when it is too fast, too slow or too narrow", () => {
    const kept = {
      roundTripMs: 52,
      firstAnswerMs: 152,
      connectionBytesPerSecond: 19e6,
      fourBytesPerSecond: 78e6,
    };
    const broken = (wrong: Partial<typeof kept>): string[] =>
      judgeNetwork(networkProfiles.cloud, { ...kept, ...wrong })
        .filter((each) => !each.isKept)
        .map((each) => each.claim);
    expect(broken({})).toEqual([]);
    expect(broken({ roundTripMs: 40 })).toEqual(["round trip"]);
    expect(broken({ firstAnswerMs: 60 })).toEqual(["first answer on a new connection"]);
    expect(broken({ connectionBytesPerSecond: 12e6 })).toEqual(["one connection"]);
    expect(broken({ fourBytesPerSecond: 20e6 })).toEqual(["four connections"]);
  });

  it("is not kept by a proxy that adds nothing, however short the latency it claims", () => {
    const nothing = {
      roundTripMs: 0.2,
      firstAnswerMs: 0.4,
      connectionBytesPerSecond: 1e9,
      fourBytesPerSecond: 1e9,
    };
    const claims = judgeNetwork(networkProfiles.lan, nothing);
    expect(claims.map(({ isKept }) => isKept)).toEqual([false, false]);
  });
});
