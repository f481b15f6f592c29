import type { AnyOperation } from "../../migration/operation.ts";
import { judgeMemory } from "../judge-limits.ts";
import type { MemoryPolicy } from "../policy.ts";
import type { Judgement } from "../verdict.ts";
import { MemoryLadder, type MemoryLevel } from "./memory-ladder.ts";
import type { MemoryReading, MemorySource } from "./memory-sampler.ts";

/** What the composition root reads before it starts work that can wait. */
export interface BackPressure {
  /** Start no shadow and no rehearsal. */
  readonly shedShadows: boolean;
  /** Do not raise any percentage. */
  readonly hold: boolean;
}

/** A sampling pause that is worth a line in the log: the event loop was blocked. */
const gapMs = 2000;

/** The process's memory, and for each operation what its candidate calls hold of it. */
export class MemoryRule {
  readonly #policy: MemoryPolicy;
  readonly #source: MemorySource | null;
  readonly #ladder: MemoryLadder;
  /** Bytes in flight of each operation's candidate when memory was last fine. */
  readonly #fineBytes = new Map<string, number>();
  #fineUsedBytes = 0;
  #reading: MemoryReading | null = null;
  #lastMs: number | null = null;
  #levelSinceMs: number | null = null;

  constructor(policy: MemoryPolicy, source: MemorySource | null) {
    this.#policy = policy;
    this.#source = source;
    this.#ladder = new MemoryLadder(policy);
  }

  get reading(): MemoryReading | null {
    return this.#reading;
  }

  get level(): MemoryLevel {
    return this.#ladder.level;
  }

  get backPressure(): BackPressure {
    return { shedShadows: this.level >= 1, hold: this.level >= 2 };
  }

  /** Takes a sample; returns the milliseconds without one when that was worth mentioning, else null. */
  sample(operations: Iterable<AnyOperation>, monotonicMs: number, nowMs: number): number | null {
    this.#reading = this.#source?.sample() ?? null;
    const before = this.#ladder.level;
    const level = this.#ladder.step(this.#reading?.ratio ?? null, monotonicMs);
    if (level !== before) this.#levelSinceMs = level === 0 ? null : nowMs;
    if ((this.#reading?.ratio ?? 1) < this.#policy.shedShadows.ratio) {
      this.#fineUsedBytes = this.#reading?.usedBytes ?? 0;
      for (const { name, load } of operations) this.#fineBytes.set(name, load.candidate.bytes);
    }
    const gap = this.#lastMs === null ? 0 : monotonicMs - this.#lastMs;
    this.#lastMs = monotonicMs;
    return gap > gapMs ? gap : null;
  }

  judge(operation: AnyOperation, legacyCheaper: boolean | null): Judgement {
    const inFlightBytes = operation.load.candidate.bytes;
    const grown = (this.#reading?.usedBytes ?? 0) - this.#fineUsedBytes;
    const held = inFlightBytes - (this.#fineBytes.get(operation.name) ?? 0);
    return judgeMemory(
      {
        reading: this.#reading,
        level: this.#ladder.level,
        levelSinceMs: this.#levelSinceMs,
        inFlightBytes,
        legacyCheaper,
        candidateHoldsGrowth: grown > 0 && held >= grown / 2,
      },
      this.#policy,
    );
  }
}
