import type { BenchmarkCase } from "./case.ts";
import { facadeOverhead } from "./cases/facade-overhead.ts";
import { uploadMemory } from "./cases/upload-memory.ts";
import { uploadThroughput } from "./cases/upload-throughput.ts";

/** Every case, in the order in which they run. */
export const benchmarkCases: readonly BenchmarkCase[] = [
  ...uploadThroughput,
  uploadMemory,
  facadeOverhead,
];
