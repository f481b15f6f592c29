import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../src/base/clock.ts";
import { DelayLine, Link } from "./delay-line.ts";
import type { NetworkProfile } from "./profiles.ts";

/** Bytes on their way beyond what the network itself holds: what a socket buffers. */
const BUFFER_BYTES = 1024 * 1024;
/** Bytes on their way where there is no limit of bandwidth. */
const UNLIMITED_BYTES = 16 * 1024 * 1024;

/** Where the proxy sends what it gets. */
export interface ProxyTarget {
  readonly host: string;
  readonly port: number;
}

/**
 * A TCP proxy on 127.0.0.1 that delays and throttles both directions as a network would: latency,
 * bandwidth for each connection and for all of them, and the round trips of a new connection.
 */
export class NetworkProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #profile: NetworkProfile;
  readonly #clock: Clock;
  readonly #target: ProxyTarget;
  readonly #upLink: Link;
  readonly #downLink: Link;

  private constructor(target: ProxyTarget, profile: NetworkProfile, clock: Clock) {
    this.#target = target;
    this.#profile = profile;
    this.#clock = clock;
    this.#upLink = new Link(profile.totalBytesPerSecond);
    this.#downLink = new Link(profile.totalBytesPerSecond);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#accept(socket),
    );
  }

  /** Listens on a free port of 127.0.0.1. */
  static async listen(
    target: ProxyTarget,
    profile: NetworkProfile,
    clock: Clock,
  ): Promise<NetworkProxy> {
    const proxy = new NetworkProxy(target, profile, clock);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Cuts every connection and stops listening. */
  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(client: Socket): void {
    const upstream = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    const { roundTripMs, setupRoundTrips } = this.#profile;
    const readyMs = this.#clock.monotonicMs() + setupRoundTrips * roundTripMs;
    const notBeforeMs = readyMs + roundTripMs / 2;
    const up = this.#carry(client, upstream, this.#upLink, notBeforeMs);
    const down = this.#carry(upstream, client, this.#downLink, notBeforeMs);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => other.resetAndDestroy());
      socket.once("close", () => {
        this.#sockets.delete(socket);
        // An orderly end travels along the line; whatever else ends a socket ends the other at once.
        if (!socket.readableEnded) other.resetAndDestroy();
        if (!other.destroyed) return;
        up.close();
        down.close();
      });
    }
  }

  #carry(from: Socket, to: Socket, shared: Link, notBeforeMs: number): DelayLine<Buffer | null> {
    const { roundTripMs, connectionBytesPerSecond: own, totalBytesPerSecond: all } = this.#profile;
    const oneWayMs = roundTripMs / 2;
    const slowest = Math.min(own ?? Number.POSITIVE_INFINITY, all ?? Number.POSITIVE_INFINITY);
    const inFlight = (slowest * oneWayMs) / 1000 + BUFFER_BYTES;
    const line = new DelayLine<Buffer | null>({
      clock: this.#clock,
      oneWayMs,
      links: [new Link(own), shared],
      notBeforeMs,
      fullBytes: Number.isFinite(inFlight) ? inFlight : UNLIMITED_BYTES,
      deliver: (chunk) => {
        if (chunk === null) to.end();
        else if (!to.destroyed && !to.write(chunk)) line.hold();
      },
      onRoom: () => from.resume(),
    });
    to.on("drain", () => line.release());
    from.on("data", (chunk: Buffer) => {
      if (!line.push(chunk, chunk.length)) from.pause();
    });
    from.once("end", () => line.push(null, 0));
    return line;
  }
}
