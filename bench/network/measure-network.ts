import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../src/base/clock.ts";
import { median } from "../../src/harness/statistics.ts";
import type { NetworkProfile } from "./profiles.ts";

/** What a network turned out to do. */
export interface NetworkMeasurement {
  /** Milliseconds for one byte there and one back, on an open connection: the median. */
  readonly roundTripMs: number;
  /** The same on a new connection, from asking for it on. */
  readonly firstAnswerMs: number;
  /** Bytes a second of one connection towards the server. */
  readonly connectionBytesPerSecond: number;
  /** Bytes a second of four connections together. */
  readonly fourBytesPerSecond: number;
}

/** One claim of a profile and what was measured. */
export interface NetworkClaim {
  readonly claim: string;
  readonly unit: "ms" | "MB/s";
  readonly claimed: number;
  readonly measured: number;
  /** What is accepted. */
  readonly low: number;
  readonly high: number;
  readonly isKept: boolean;
}

const PINGS = 9;
const HEADER_BYTES = 8;
/** How long a transfer should take at the claimed bandwidth, in milliseconds. */
const TRANSFER_MS = 600;
const UNLIMITED_TRANSFER_BYTES = 64_000_000;

/** A server that answers one byte whenever it got as many as it was announced. */
export async function startCountingServer(): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) => {
    let header = Buffer.alloc(0);
    let missing = 0;
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      let rest = chunk;
      while (rest.length > 0) {
        if (missing === 0) {
          const needed = HEADER_BYTES - header.length;
          header = Buffer.concat([header, rest.subarray(0, needed)]);
          rest = rest.subarray(needed);
          if (header.length < HEADER_BYTES) return;
          missing = header.readDoubleBE(0);
          header = Buffer.alloc(0);
        }
        const taken = Math.min(missing, rest.length);
        missing -= taken;
        rest = rest.subarray(taken);
        if (missing === 0 && taken > 0) socket.write("k");
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** The port a server listens on. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Measures what lies between here and a {@link startCountingServer} behind `port`. */
export async function measureNetwork(
  port: number,
  profile: NetworkProfile,
  clock: Clock,
): Promise<NetworkMeasurement> {
  const firstAnswers: number[] = [];
  const roundTrips: number[] = [];
  const block = Buffer.alloc(64 * 1024);
  const open = async (): Promise<Socket> => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    return socket;
  };
  for (let count = 0; count < PINGS; count += 1) {
    const startedMs = clock.monotonicMs();
    const socket = await open();
    await send(socket, 1, block);
    firstAnswers.push(clock.monotonicMs() - startedMs);
    const askedMs = clock.monotonicMs();
    await send(socket, 1, block);
    roundTrips.push(clock.monotonicMs() - askedMs);
    socket.destroy();
  }
  const roundTripMs = median(roundTrips);
  const rate = async (connections: number, bytesPerSecond: number | null): Promise<number> => {
    const bytes =
      bytesPerSecond === null
        ? UNLIMITED_TRANSFER_BYTES
        : Math.round((bytesPerSecond * TRANSFER_MS) / 1000 / connections);
    const sockets = await Promise.all(Array.from({ length: connections }, open));
    // Past the cost of a new connection before the clock runs.
    await Promise.all(sockets.map((socket) => send(socket, 1, block)));
    const startedMs = clock.monotonicMs();
    await Promise.all(sockets.map((socket) => send(socket, bytes, block)));
    const ms = clock.monotonicMs() - startedMs - roundTripMs;
    for (const socket of sockets) socket.destroy();
    return (bytes * connections * 1000) / Math.max(1, ms);
  };
  const { connectionBytesPerSecond: own, totalBytesPerSecond: all } = profile;
  return {
    roundTripMs,
    firstAnswerMs: median(firstAnswers),
    connectionBytesPerSecond: await rate(1, own ?? all),
    fourBytesPerSecond: await rate(4, all ?? (own === null ? null : 4 * own)),
  };
}

async function send(socket: Socket, bytes: number, block: Buffer): Promise<void> {
  const answered = once(socket, "data");
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeDoubleBE(bytes, 0);
  socket.write(header);
  for (let sent = 0; sent < bytes; sent += block.length) {
    const chunk = block.subarray(0, Math.min(block.length, bytes - sent));
    if (!socket.write(chunk)) await once(socket, "drain");
  }
  await answered;
}

/**
 * Compares what was measured with what the profile claims. Latency may be 10 % and 5 ms more (timers
 * are late on a busy machine), and 1 ms less or, of a short one, a tenth; bandwidth 15 % less or 10 %
 * more. What has no limit claims nothing.
 */
export function judgeNetwork(
  profile: NetworkProfile,
  measured: NetworkMeasurement,
): NetworkClaim[] {
  const { roundTripMs, setupRoundTrips, connectionBytesPerSecond, totalBytesPerSecond } = profile;
  const claims = [
    latency("round trip", roundTripMs, measured.roundTripMs),
    latency(
      "first answer on a new connection",
      (1 + setupRoundTrips) * roundTripMs,
      measured.firstAnswerMs,
    ),
  ];
  const own = connectionBytesPerSecond ?? totalBytesPerSecond;
  if (own !== null) {
    claims.push(bandwidth("one connection", own, measured.connectionBytesPerSecond));
    const four = totalBytesPerSecond ?? 4 * own;
    claims.push(bandwidth("four connections", four, measured.fourBytesPerSecond));
  }
  return claims;
}

function latency(claim: string, claimed: number, measured: number): NetworkClaim {
  return judged({
    claim,
    unit: "ms",
    claimed,
    measured,
    low: claimed - Math.min(1, claimed / 10),
    high: claimed * 1.1 + 5,
  });
}

function bandwidth(claim: string, bytesPerSecond: number, seen: number): NetworkClaim {
  const claimed = bytesPerSecond / 1e6;
  const measured = seen / 1e6;
  return judged({
    claim,
    unit: "MB/s",
    claimed,
    measured,
    low: claimed * 0.85,
    high: claimed * 1.1,
  });
}

function judged(claim: Omit<NetworkClaim, "isKept">): NetworkClaim {
  return { ...claim, isKept: claim.measured >= claim.low && claim.measured <= claim.high };
}
