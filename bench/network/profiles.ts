/** A network between client and server, as the proxy plays it. */
export interface NetworkProfile {
  readonly name: NetworkName;
  /** Milliseconds from a byte sent to the other side's answer, half of it each way. */
  readonly roundTripMs: number;
  /** Round trips that a new connection costs before its first byte arrives: 1 for TCP, 1 more for TLS 1.3. */
  readonly setupRoundTrips: number;
  /** Bytes a second on one connection, in each direction; null for no limit. */
  readonly connectionBytesPerSecond: number | null;
  /** Bytes a second on all connections together, in each direction; null for no limit. */
  readonly totalBytesPerSecond: number | null;
}

/** The networks there are. */
export type NetworkName = "loopback" | "lan" | "region" | "cloud" | "wan";

const MB = 1_000_000;

/**
 * Every network by its name. On `loopback` there is no proxy in between: on a small machine it would be
 * the limit itself.
 */
export const networkProfiles: Readonly<Record<NetworkName, NetworkProfile>> = {
  loopback: {
    name: "loopback",
    roundTripMs: 0,
    setupRoundTrips: 0,
    connectionBytesPerSecond: null,
    totalBytesPerSecond: null,
  },
  lan: {
    name: "lan",
    roundTripMs: 1,
    setupRoundTrips: 2,
    connectionBytesPerSecond: null,
    totalBytesPerSecond: null,
  },
  region: {
    name: "region",
    roundTripMs: 20,
    setupRoundTrips: 2,
    connectionBytesPerSecond: null,
    totalBytesPerSecond: null,
  },
  cloud: {
    name: "cloud",
    roundTripMs: 50,
    setupRoundTrips: 2,
    connectionBytesPerSecond: 20 * MB,
    totalBytesPerSecond: null,
  },
  wan: {
    name: "wan",
    roundTripMs: 80,
    setupRoundTrips: 2,
    connectionBytesPerSecond: null,
    totalBytesPerSecond: 12.5 * MB,
  },
};

/** Every network, nearest first. */
export const networkNames: readonly NetworkName[] = ["loopback", "lan", "region", "cloud", "wan"];
