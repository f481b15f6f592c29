import { constants, PerformanceObserver } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import type { Clock } from "../../base/clock.ts";
import type { MemoryPolicy } from "../policy.ts";

/** What was left in the heap right after a major garbage collection. */
export interface FloorReading {
  /** Bytes of the JavaScript heap and of buffers that are still held. */
  readonly floorBytes: number;
  /** Used heap over what its old generation may hold; 1 is the end of the process. */
  readonly heapRatio: number;
}

/** Tells of every major garbage collection. */
export interface FloorSource {
  /** Returns how to stop it. */
  subscribe(listener: (reading: FloorReading) => void): () => void;
}

const mib = 1024 * 1024;
/** What V8 adds to the old generation's limit for the young one: three semi-spaces (V8 13: 64 MiB each). */
const semiSpacesMib = 3;
const semiSpaceMib = Number(process.versions.v8.split(".")[0]) >= 13 ? 64 : 16;

/**
 * How many bytes the old generation may hold. `heap_size_limit` counts the young generation's reserve as
 * well, up to 192 MiB that objects which survive can never use: in a small heap the process dies at 40 %
 * of it. What the command line says is taken as it is.
 */
export function oldGenerationLimit(
  heapLimitBytes: number,
  flags: readonly string[] = process.execArgv,
): number {
  const flag = (name: RegExp): number | null => {
    const index = flags.findLastIndex((each) => name.test(each.split("=")[0] ?? ""));
    const value = Number(flags[index]?.split("=")[1] ?? flags[index + 1]);
    return index >= 0 && value > 0 ? value : null;
  };
  const old = flag(/^--max[-_]old[-_]space[-_]size$/);
  if (old !== null) return old * mib;
  const semi = flag(/^--max[-_]semi[-_]space[-_]size$/) ?? semiSpaceMib;
  const rest = heapLimitBytes - semiSpacesMib * semi * mib;
  return rest > 0 ? rest : heapLimitBytes;
}

/** This process's own collector. Costs nothing but when a major collection happens. */
export const ownFloor: FloorSource = {
  subscribe(listener) {
    const observer = new PerformanceObserver((list) => {
      // Entries come in batches, and what is used now is only known now: one reading for each major one.
      for (const entry of list.getEntries()) {
        const { kind } = (entry as { detail?: { kind?: number } }).detail ?? {};
        if (kind === constants.NODE_PERFORMANCE_GC_MAJOR) listener(readFloor());
      }
    });
    observer.observe({ entryTypes: ["gc"] });
    return () => observer.disconnect();
  },
};

function readFloor(): FloorReading {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  const floorBytes = used + process.memoryUsage().arrayBuffers;
  return { floorBytes, heapRatio: used / oldGenerationLimit(limit) };
}

/** What the floors say. Bytes, and seconds of a monotonic clock. */
export interface FloorState {
  /** Floor points since the warm-up ended. */
  readonly points: number;
  readonly spanSeconds: number;
  readonly baselineBytes: number;
  readonly floorBytes: number;
  readonly bytesPerSecond: number;
  readonly leaking: boolean;
  /** Major collections in a row that left the heap nearly full. */
  readonly fullInARow: number;
  readonly full: boolean;
}

const pointsMax = 120;
/** Floors that make the baseline: the lowest of the first few. */
const baselinePoints = 3;

/**
 * Follows the floor of the heap: what major collections leave. A floor that rises for minutes is a leak,
 * whatever the sawtooth above it does. Points are thinned so that 120 of them span twice the time that a
 * leak must last; the first minutes after a start or a new stage are warm-up and do not count.
 */
export class HeapFloor {
  readonly #policy: MemoryPolicy["leak"];
  readonly #full: MemoryPolicy["heapFull"];
  readonly #clock: Clock;
  readonly #points: { readonly atMs: number; readonly bytes: number }[] = [];
  #warmUntilMs: number;
  #fullInARow = 0;
  #state: FloorState | null = null;

  constructor(policy: Pick<MemoryPolicy, "leak" | "heapFull">, clock: Clock) {
    this.#policy = policy.leak;
    this.#full = policy.heapFull;
    this.#clock = clock;
    this.#warmUntilMs = clock.monotonicMs() + policy.leak.warmUpSeconds * 1000;
  }

  /** A stage began: what fills up now is not a leak yet. */
  warmUp(): void {
    this.#points.length = 0;
    this.#state = null;
    this.#warmUntilMs = this.#clock.monotonicMs() + this.#policy.warmUpSeconds * 1000;
  }

  take({ floorBytes, heapRatio }: FloorReading): void {
    this.#fullInARow = heapRatio > this.#full.ratio ? this.#fullInARow + 1 : 0;
    this.#state = null;
    const atMs = this.#clock.monotonicMs();
    if (atMs < this.#warmUntilMs) return;
    const last = this.#points.at(-1);
    const apartMs = (2000 * this.#policy.seconds) / pointsMax;
    // Of two that are close together the lower one is the floor.
    if (last !== undefined && atMs - last.atMs < apartMs) {
      if (floorBytes < last.bytes) this.#points.splice(-1, 1, { ...last, bytes: floorBytes });
      return;
    }
    this.#points.push({ atMs, bytes: floorBytes });
    // The first ones are the baseline and stay.
    if (this.#points.length > pointsMax) this.#points.splice(baselinePoints, 1);
  }

  state(): FloorState {
    this.#state ??= this.#judge();
    return this.#state;
  }

  #judge(): FloorState {
    const points = this.#points;
    const firstMs = points[0]?.atMs ?? 0;
    const last = points.at(-1);
    const spanSeconds = last === undefined ? 0 : (last.atMs - firstMs) / 1000;
    const baselineBytes = Math.min(...points.slice(0, baselinePoints).map((each) => each.bytes));
    const floorBytes = Math.min(...points.slice(-baselinePoints).map((each) => each.bytes));
    const bytesPerSecond = theilSen(points);
    const { pointsMin, seconds, factor, bytesPerSecondMin } = this.#policy;
    const leaking =
      points.length >= pointsMin &&
      spanSeconds >= seconds &&
      bytesPerSecond > bytesPerSecondMin &&
      floorBytes > factor * baselineBytes;
    const full = this.#fullInARow >= this.#full.inARow;
    return {
      points: points.length,
      spanSeconds,
      baselineBytes: points.length === 0 ? 0 : baselineBytes,
      floorBytes: points.length === 0 ? 0 : floorBytes,
      bytesPerSecond,
      leaking,
      fullInARow: this.#fullInARow,
      full,
    };
  }
}

/** The median of the slopes between all pairs of points: a few odd ones cannot bend it. In bytes a second. */
function theilSen(points: readonly { readonly atMs: number; readonly bytes: number }[]): number {
  const slopes = points.flatMap((from, index) =>
    points.slice(index + 1).map((to) => (1000 * (to.bytes - from.bytes)) / (to.atMs - from.atMs)),
  );
  slopes.sort((a, b) => a - b);
  return slopes[Math.floor(slopes.length / 2)] ?? 0;
}
