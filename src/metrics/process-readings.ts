import { constants, PerformanceObserver, performance } from "node:perf_hooks";
import { type FloorSource, ownFloor } from "../guard/memory/heap-floor.ts";
import type { ProcessView } from "./sources.ts";

const kinds: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);

/**
 * Reads memory, garbage collections and the event loop of this process. Costs nothing between
 * collections; reading it resets nothing, so that two scrapers see the same. Close it.
 */
export class ProcessReadings {
  readonly #gcSeconds = new Map<string, number>();
  readonly #observer: PerformanceObserver;
  readonly #stopFloor: () => void;
  #heapFloorBytes = 0;

  constructor(floor: FloorSource = ownFloor) {
    this.#observer = new PerformanceObserver((list) => {
      // All entries: they come in batches, and prom-client's default metric counts the first only.
      for (const { duration, detail } of list.getEntries() as readonly GcEntry[]) {
        const kind = kinds.get(detail?.kind ?? 0);
        if (kind === undefined) continue;
        this.#gcSeconds.set(kind, (this.#gcSeconds.get(kind) ?? 0) + duration / 1000);
      }
    });
    this.#observer.observe({ entryTypes: ["gc"] });
    this.#stopFloor = floor.subscribe(({ floorBytes }) => {
      this.#heapFloorBytes = floorBytes;
    });
  }

  /** What is known right now. */
  view(): ProcessView {
    const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
    // Since the start of the process: whoever scrapes takes the difference.
    const { active, idle } = performance.eventLoopUtilization();
    return {
      residentBytes: rss,
      heapUsedBytes: heapUsed,
      arrayBufferBytes: arrayBuffers,
      heapFloorBytes: this.#heapFloorBytes,
      gcSeconds: this.#gcSeconds,
      loopActiveSeconds: active / 1000,
      loopIdleSeconds: idle / 1000,
    };
  }

  /** Stops watching garbage collections. */
  close(): void {
    this.#observer.disconnect();
    this.#stopFloor();
  }
}

interface GcEntry {
  readonly duration: number;
  readonly detail?: { readonly kind?: number };
}
