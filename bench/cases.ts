import type { BenchmarkCase } from "./case.ts";
import { facadeHeap } from "./cases/facade-heap.ts";
import { facadeOverhead } from "./cases/facade-overhead.ts";
import { facadePeers } from "./cases/facade-peers.ts";
import { shadowCost } from "./cases/shadow-cost.ts";
import { uploadMemory } from "./cases/upload-memory.ts";
import { uploadThroughput } from "./cases/upload-throughput.ts";

/** Every case, in the order in which they run. */
export const benchmarkCases: readonly BenchmarkCase[] = [
  ...uploadThroughput,
  uploadMemory,
  facadeOverhead,
  facadePeers,
  facadeHeap,
  shadowCost,
];
