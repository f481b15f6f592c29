import { LRUCache } from "lru-cache";
import type { Clock } from "../../../base/clock.ts";

/** A name under which one upload goes to the provider, and no other at the same time. */
export interface SentName {
  readonly name: string;
  /**
   * Gives the name back. `isOpen` when a file of that name may still turn up at the provider: the name
   * is then not used for the same size again until nobody could mistake it any more.
   */
  release(isOpen: boolean): void;
}

/** What tells uploads apart at a provider, beside the time. */
export interface SentKind {
  readonly purpose: string;
  readonly name: string;
  readonly sizeBytes: number;
}

/** Names that are remembered as not to be used for a while. */
const RESTING_MAX = 10_000;
/** Longest name that is sent once a number was added, in UTF-16 units. */
const NAME_MAX = 255;

/**
 * Sees to it that no two uploads that are under way have name, size and purpose in common: the second
 * `report.pdf` goes out as `report (2).pdf`. The provider's list then tells which of them arrived. Only
 * the provider sees these names.
 */
export class SentNames {
  readonly #clock: Clock;
  readonly #restMs: number;
  readonly #taken = new Set<string>();
  readonly #resting = new LRUCache<string, number>({ max: RESTING_MAX });

  /** `restMs`: how long a name rests when its file may still turn up, in milliseconds. */
  constructor(clock: Clock, restMs: number) {
    this.#clock = clock;
    this.#restMs = restMs;
  }

  /** The name itself when it is free, else the first number that is. */
  reserve({ purpose, name, sizeBytes }: SentKind): SentName {
    for (let number = 1; ; number += 1) {
      const sent = numbered(name, number);
      const key = JSON.stringify([purpose, sent, sizeBytes]);
      if (this.#isTaken(key)) continue;
      this.#taken.add(key);
      return { name: sent, release: (isOpen) => this.#release(key, isOpen) };
    }
  }

  #release(key: string, isOpen: boolean): void {
    this.#taken.delete(key);
    if (isOpen) this.#resting.set(key, this.#clock.monotonicMs() + this.#restMs);
  }

  #isTaken(key: string): boolean {
    return this.#taken.has(key) || (this.#resting.get(key) ?? 0) > this.#clock.monotonicMs();
  }
}

function numbered(name: string, number: number): string {
  if (number === 1) return name;
  const dot = name.lastIndexOf(".");
  const end = dot > 0 ? name.slice(dot) : "";
  const suffix = ` (${number})${end}`;
  const start = dot > 0 ? name.slice(0, dot) : name;
  return start.slice(0, Math.max(1, NAME_MAX - suffix.length)).toWellFormed() + suffix;
}
