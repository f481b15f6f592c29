import type { Clock } from "../../base/clock.ts";
import type { AnyOperation } from "../../migration/operation.ts";
import type { MemoryPolicy } from "../policy.ts";
import type { Judgement } from "../verdict.ts";
import { type FloorReading, HeapFloor } from "./heap-floor.ts";
import { judgeMemory } from "./judge-memory.ts";
import { MemoryLadder, type MemoryLevel } from "./memory-ladder.ts";
import type { MemoryReading, MemorySource } from "./memory-sampler.ts";

/** What the composition root reads before it starts work that can wait. */
export interface BackPressure {
  /** Start no shadow and no rehearsal. */
  readonly shedShadows: boolean;
  /** Do not raise any percentage. */
  readonly hold: boolean;
}

/** What the rule needs to know about one operation beside its load. */
export interface MemoryUse {
  /** A call costs less on legacy than on the candidate; null when the operation declares no cost. */
  readonly legacyCheaper: boolean | null;
  /** The candidate served calls in the last 5 minutes. */
  readonly active: boolean;
}

/** A sampling pause that is worth a line in the log: the event loop was blocked. */
const gapMs = 2000;

/** What is remembered of one operation. */
interface Remembered {
  /** Bytes in flight of its candidate when memory was last fine. */
  fineBytes: number;
  /** When its calls were sent to legacy the last time, and whether they still are. */
  shedAtMs: number | null;
  shedAgain: boolean;
}

/** The process's memory, and for each operation what its candidate calls hold of it. */
export class MemoryRule {
  readonly #policy: MemoryPolicy;
  readonly #source: MemorySource | null;
  readonly #clock: Clock;
  readonly #ladder: MemoryLadder;
  readonly #floor: HeapFloor;
  readonly #remembered = new WeakMap<AnyOperation, Remembered>();
  #fineUsedBytes = 0;
  #reading: MemoryReading | null = null;
  #lastMs: number | null = null;
  #levelSinceMs: number | null = null;

  constructor(policy: MemoryPolicy, source: MemorySource | null, clock: Clock) {
    this.#policy = policy;
    this.#source = source;
    this.#clock = clock;
    this.#ladder = new MemoryLadder(policy);
    this.#floor = new HeapFloor(policy, clock);
  }

  get reading(): MemoryReading | null {
    return this.#reading;
  }

  get level(): MemoryLevel {
    return this.#ladder.level;
  }

  get backPressure(): BackPressure {
    const { full } = this.#floor.state();
    return { shedShadows: full || this.level >= 1, hold: full || this.level >= 2 };
  }

  /** A major garbage collection left this much. */
  collected(reading: FloorReading): void {
    this.#floor.take(reading);
  }

  /** A stage of a rollout began. */
  warmUp(): void {
    this.#floor.warmUp();
  }

  /** Takes a sample; returns the milliseconds without one when that was worth mentioning, else null. */
  sample(operations: Iterable<AnyOperation>): number | null {
    const monotonicMs = this.#clock.monotonicMs();
    this.#reading = this.#source?.sample() ?? null;
    const { ratio = null, strained = false } = this.#reading ?? {};
    const before = this.#ladder.level;
    const level = this.#ladder.step(ratio, monotonicMs, strained);
    if (level !== before) this.#levelSinceMs = level === 0 ? null : this.#clock.now();
    if ((ratio ?? 1) < this.#policy.shedShadows.ratio) {
      this.#fineUsedBytes = this.#reading?.usedBytes ?? 0;
      for (const operation of operations) {
        this.#of(operation).fineBytes = operation.load.candidate.bytes;
      }
    }
    const gap = this.#lastMs === null ? 0 : monotonicMs - this.#lastMs;
    this.#lastMs = monotonicMs;
    return gap > gapMs ? gap : null;
  }

  /**
   * Sends an operation's new calls to legacy while memory is short and that helps, and lets them back when
   * it has recovered. Only the first time within `shedAgainSeconds`: the second time is a breach.
   */
  shed(operation: AnyOperation, use: MemoryUse): void {
    const remembered = this.#of(operation);
    if (this.level < 2) {
      operation.shedding = false;
      return;
    }
    if (operation.shedding || !use.active || !this.#helps(operation, use)) return;
    const nowMs = this.#clock.monotonicMs();
    const { shedAtMs } = remembered;
    remembered.shedAgain =
      shedAtMs !== null && nowMs - shedAtMs < this.#policy.shedAgainSeconds * 1000;
    remembered.shedAtMs = nowMs;
    operation.shedding = true;
  }

  judge(operation: AnyOperation, use: MemoryUse): Judgement {
    return judgeMemory(
      {
        reading: this.#reading,
        level: this.#ladder.level,
        levelSinceMs: this.#levelSinceMs,
        inFlightBytes: operation.load.candidate.bytes,
        legacyCheaper: use.legacyCheaper,
        candidateHoldsGrowth: this.#holdsGrowth(operation),
        active: use.active,
        shedAgain: operation.shedding && this.#of(operation).shedAgain,
        floor: this.#floor.state(),
      },
      this.#policy,
    );
  }

  /** A person re-armed the latch: the sheds of before are settled. */
  restart(operation: AnyOperation): void {
    this.#remembered.delete(operation);
    operation.shedding = false;
  }

  #helps(operation: AnyOperation, { legacyCheaper }: MemoryUse): boolean {
    return legacyCheaper === true || this.#holdsGrowth(operation);
  }

  #holdsGrowth(operation: AnyOperation): boolean {
    const grown = (this.#reading?.usedBytes ?? 0) - this.#fineUsedBytes;
    const held = operation.load.candidate.bytes - this.#of(operation).fineBytes;
    return grown > 0 && held >= grown / 2;
  }

  #of(operation: AnyOperation): Remembered {
    const known = this.#remembered.get(operation);
    if (known !== undefined) return known;
    const made: Remembered = { fineBytes: 0, shedAtMs: null, shedAgain: false };
    this.#remembered.set(operation, made);
    return made;
  }
}
