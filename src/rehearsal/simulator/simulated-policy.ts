import type { TrafficSecond } from "./traffic.ts";

/** Somebody who watches the traffic and decides when to roll back: our guard, or a rival. */
export interface SimulatedPolicy {
  /** How results and charts call it. */
  readonly name: string;
  /** Times that it began to hold a rollout without rolling back. */
  readonly holds: number;
  /** Candidate calls that it let through and that failed for their callers. */
  readonly harmed: number;
  /** True when it lets traffic back by itself after a trip, and so goes on being played. */
  readonly reopens: boolean;
  /**
   * Watches one second. Returns `noTrip`, or after how many of the second's candidate calls it tripped
   * (0: before the first of them).
   */
  play(traffic: TrafficSecond): number;
  /** A person sends traffic back after a trip. */
  rearm(): void;
}

/** What `play` returns for a second without a trip. */
export const noTrip = -1;
