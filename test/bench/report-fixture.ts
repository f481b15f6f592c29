import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf, type Unit } from "../../src/harness/measurement.ts";
import type { BenchmarkReport } from "../../src/harness/report.ts";

function compared(
  name: string,
  [measure, unit]: readonly [string, Unit],
  [base, theirs]: readonly [string, number],
  [contender, ours]: readonly [string, number],
): Comparison {
  return comparisonOf(
    {
      case: name,
      measure,
      unit,
      better: unit === "MB/s" ? "higher" : "lower",
      resolution: null,
      nodeFlags: ["--max-old-space-size=32"],
      note: "",
    },
    [
      {
        base: { name: base, values: [theirs, theirs * 1.1, theirs * 0.9] },
        contender: { name: contender, values: [ours, ours * 1.05, ours * 0.95] },
        first: [],
      },
    ],
    seededRandom(1),
  );
}

const speed = ["throughput", "MB/s"] as const;
const need = ["memory over idle, small heap", "MB"] as const;

/** A small report with something for every picture. */
export const report: BenchmarkReport = {
  schemaVersion: 1,
  product: "changeover",
  startedAt: "2026-01-01T00:00:00.000Z",
  finishedAt: "2026-01-01T00:10:00.000Z",
  quick: false,
  tier: "default",
  seed: 1,
  machine: {
    node: "24.0.0",
    v8: "13.6",
    platform: "linux",
    kernel: "6.1",
    arch: "x64",
    cpu: "Some CPU",
    cores: 2,
    memoryBytes: 8e9,
    loadBefore: [0.1, 0.2, 0.3],
    loadAfter: [1, 2, 3],
  },
  comparisons: [
    compared("upload-50mb", speed, ["legacy", 60], ["streaming", 120]),
    compared("peers-50mb", speed, ["tus-js-client", 300], ["changeover", 700]),
    compared("peers-50mb", need, ["tus-js-client", 27], ["changeover", 5]),
    compared("crowd-1x5mb", speed, ["undici stream", 200], ["changeover", 240]),
    compared("crowd-16x5mb", speed, ["undici stream", 210], ["changeover", 260]),
  ],
  distributions: [],
  figures: [],
  targets: [],
  failures: [],
  skipped: [],
  durations: [],
};
