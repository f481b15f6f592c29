import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join, posix } from "node:path";
import { type EventLoopUtilization, performance } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";

/** Who set the limit that the ratio is about; `heap` when only the heap has one. */
export type MemoryLimitSource = "cgroup-v2" | "cgroup-v1" | "constrained" | "configured" | "heap";

/** One look at the memory of this process. */
export interface MemoryReading {
  /** Used over allowed memory, the highest that applies; 1 is the end. */
  readonly ratio: number;
  /** Bytes counted against the limit: the working set of the cgroup, else the resident set. */
  readonly usedBytes: number;
  readonly limitBytes: number;
  readonly limitFrom: MemoryLimitSource;
  /** Used heap over the heap's limit. */
  readonly heapRatio: number;
  /** Tasks stall on memory, or the event loop has no time left: a hint that shortens waiting. */
  readonly strained?: boolean;
}

/** Anything that can tell how much memory is used. */
export interface MemorySource {
  sample(): MemoryReading;
}

/** Where a sampler looks; the defaults are this process and this machine. */
export interface MemorySamplerOptions {
  /** Folder that stands for `/` when cgroup files are read; default `/`. */
  readonly root?: string;
  /** The limit to go by where the machine sets none, in bytes. */
  readonly limitBytes?: number | null;
  /** Numbers of this process; replaced in tests. */
  readonly process?: ProcessMemory;
}

/** The numbers that Node.js knows about its own process. */
export interface ProcessMemory {
  rssBytes(): number;
  heapUsedBytes(): number;
  heapLimitBytes(): number;
  /** Physical memory of the machine. */
  totalBytes(): number;
  /** `process.constrainedMemory()`: 0, undefined or more than there is means no limit. */
  constrainedBytes(): number | undefined;
  /** Share of the time since it was last asked that the event loop was busy, 0 to 1. */
  loopBusy(): number;
}

/** Over these the process is strained: `some avg10` of the kernel's pressure file in percent, busy loop. */
const pressureMax = 10;
const busyMax = 0.95;

let lastLoop: EventLoopUtilization | undefined;

const ownProcess: ProcessMemory = {
  rssBytes: () => process.memoryUsage.rss(),
  heapUsedBytes: () => getHeapStatistics().used_heap_size,
  heapLimitBytes: () => getHeapStatistics().heap_size_limit,
  totalBytes: () => totalmem(),
  constrainedBytes: () => process.constrainedMemory(),
  loopBusy: () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, lastLoop);
    lastLoop = now;
    return utilization;
  },
};

interface Usage {
  readonly usedBytes: number;
  readonly limitBytes: number;
  readonly from: MemoryLimitSource;
}

/**
 * Reads how much of its memory this process uses, from the first of: cgroup v2, cgroup v1,
 * `process.constrainedMemory()`, the configured limit. The page cache is left out (`inactive_file`), since
 * the kernel gives it up freely. The heap's own limit always counts as well. Costs some ten
 * microseconds; sample a few times a second.
 */
export class MemorySampler implements MemorySource {
  readonly #root: string;
  readonly #limitBytes: number | null;
  readonly #process: ProcessMemory;
  readonly #v2: readonly string[];
  readonly #v1: readonly string[];

  constructor(options: MemorySamplerOptions = {}) {
    this.#root = options.root ?? "/";
    this.#limitBytes = options.limitBytes ?? null;
    this.#process = options.process ?? ownProcess;
    const groups = this.#read("proc/self/cgroup")?.split("\n") ?? [];
    const v2 = groups.find((line) => line.startsWith("0::"))?.slice(3) ?? "/";
    const v1 = groups.map((line) => /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/.exec(line)?.[1]);
    this.#v2 = foldersUpFrom("sys/fs/cgroup", v2);
    this.#v1 = foldersUpFrom("sys/fs/cgroup/memory", v1.find((path) => path !== undefined) ?? "/");
  }

  sample(): MemoryReading {
    const heapLimitBytes = this.#process.heapLimitBytes();
    const heapUsedBytes = this.#process.heapUsedBytes();
    const heapRatio = heapLimitBytes > 0 ? heapUsedBytes / heapLimitBytes : 0;
    const usage = this.#cgroup2() ?? this.#cgroup1() ?? this.#constrained() ?? this.#configured();
    const strained = this.#strained();
    if (usage === null) {
      return {
        strained,
        ratio: heapRatio,
        usedBytes: heapUsedBytes,
        limitBytes: heapLimitBytes,
        limitFrom: "heap",
        heapRatio,
      };
    }
    const { usedBytes, limitBytes, from } = usage;
    const ratio = Math.max(usedBytes / limitBytes, heapRatio);
    return { ratio, usedBytes, limitBytes, limitFrom: from, heapRatio, strained };
  }

  /** Pressure stall information (PSI) of the own group, else of the machine; older kernels have none. */
  #strained(): boolean {
    if (this.#process.loopBusy() > busyMax) return true;
    const text = this.#read(`${this.#v2[0]}/memory.pressure`) ?? this.#read("proc/pressure/memory");
    return Number(/^some avg10=([\d.]+)/m.exec(text ?? "")?.[1] ?? 0) > pressureMax;
  }

  #cgroup2(): Usage | null {
    return this.#tightest(this.#v2, "cgroup-v2", {
      limit: "memory.max",
      used: "memory.current",
      cache: "inactive_file",
    });
  }

  #cgroup1(): Usage | null {
    return this.#tightest(this.#v1, "cgroup-v1", {
      limit: "memory.limit_in_bytes",
      used: "memory.usage_in_bytes",
      cache: "total_inactive_file",
    });
  }

  /** The group that is closest to its limit, of the process's own and all around it. */
  #tightest(
    folders: readonly string[],
    from: MemoryLimitSource,
    names: { limit: string; used: string; cache: string },
  ): Usage | null {
    let tightest: Usage | null = null;
    for (const folder of folders) {
      const limitBytes = this.#number(`${folder}/${names.limit}`);
      const current = this.#number(`${folder}/${names.used}`);
      if (limitBytes === null || current === null || !this.#isLimit(limitBytes)) continue;
      const stat = this.#read(`${folder}/memory.stat`) ?? "";
      const cache = Number(new RegExp(`^${names.cache} (\\d+)$`, "m").exec(stat)?.[1] ?? 0);
      const usedBytes = Math.max(0, current - cache);
      if (tightest === null || usedBytes / limitBytes > tightest.usedBytes / tightest.limitBytes) {
        tightest = { usedBytes, limitBytes, from };
      }
    }
    return tightest;
  }

  #constrained(): Usage | null {
    const limitBytes = this.#process.constrainedBytes() ?? 0;
    if (!this.#isLimit(limitBytes)) return null;
    return { usedBytes: this.#process.rssBytes(), limitBytes, from: "constrained" };
  }

  #configured(): Usage | null {
    if (this.#limitBytes === null) return null;
    return {
      usedBytes: this.#process.rssBytes(),
      limitBytes: this.#limitBytes,
      from: "configured",
    };
  }

  /** "max", 0 and anything beyond physical memory mean that there is no limit. */
  #isLimit(bytes: number): boolean {
    return bytes > 0 && bytes < this.#process.totalBytes();
  }

  #number(path: string): number | null {
    const text = this.#read(path)?.trim();
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
  }

  #read(path: string): string | null {
    try {
      return readFileSync(join(this.#root, path), "utf8");
    } catch {
      return null;
    }
  }
}

/** `/a/b` under `base`: base/a/b, base/a, base. In a container only the last may exist. */
function foldersUpFrom(base: string, path: string): string[] {
  const parts = posix
    .normalize(path)
    .split("/")
    .filter((part) => part !== "" && part !== "..");
  return Array.from({ length: parts.length + 1 }, (_, index) =>
    [base, ...parts.slice(0, parts.length - index)].join("/"),
  );
}
