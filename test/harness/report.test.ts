import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf, readingOf } from "../../src/harness/measurement.ts";
import type { PairValues } from "../../src/harness/pairs.ts";
import {
  type BenchmarkReport,
  formatValue,
  renderJson,
  renderMarkdown,
  renderText,
} from "../../src/harness/report.ts";

const pairs = (base: readonly number[], contender: readonly number[]): PairValues => ({
  base: { name: "legacy", values: base },
  contender: { name: "streaming", values: contender },
  first: base.map(() => "base" as const),
});

const throughput: Comparison = comparisonOf(
  {
    case: "upload-50mb",
    measure: "throughput",
    unit: "MB/s",
    better: "higher",
    resolution: null,
    nodeFlags: [],
    note: "one file at a time",
  },
  [pairs([60, 60], [120, 120]), pairs([60, 60], [120, 120])],
  seededRandom(1),
);

const memory: Comparison = comparisonOf(
  {
    case: "upload-memory",
    measure: "memory over idle",
    unit: "MB",
    better: "lower",
    resolution: 4,
    nodeFlags: ["--max-old-space-size=32"],
    note: "",
  },
  [pairs([200, 200], [0, 1])],
  seededRandom(1),
);

const report: BenchmarkReport = {
  schemaVersion: 1,
  product: "changeover",
  startedAt: "2026-01-01T00:00:00.000Z",
  finishedAt: "2026-01-01T00:01:00.000Z",
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
  comparisons: [throughput, memory],
  distributions: [
    {
      case: "facade-overhead",
      name: "a|b",
      calls: 12_345,
      p50Ns: 190.4,
      p95Ns: 1234.6,
      p99Ns: 2000,
      p999Ns: 3000,
      maxNs: 588_769,
    },
  ],
  figures: [
    {
      case: "rollback",
      measure: "failures",
      unit: "calls",
      value: 12,
      ci95: { low: 10, high: 14 },
    },
  ],
  targets: [
    {
      id: "facade-time",
      text: "Time added / opossum's",
      source: "ours",
      case: "facade-peers",
      unit: "x",
      bound: "at-most",
      limit: 1,
      value: 0.5,
      ci95: { low: 0.45, high: 0.55 },
      verdict: "pass",
      why: "",
    },
    {
      id: "facade-bytes",
      text: "Bytes of a call",
      source: "ours",
      case: "facade-peers",
      unit: "B",
      bound: "at-most",
      limit: 1500,
      value: 1404,
      ci95: { low: 1400, high: 1510 },
      verdict: "inconclusive",
      why: "the limit is inside the interval",
    },
    {
      id: "all-cores",
      text: "Hashing on all cores",
      source: "ours",
      case: "hashing-all-cores",
      unit: "x",
      bound: "at-least",
      limit: 0.9,
      value: null,
      ci95: null,
      verdict: "inconclusive",
      why: "needs 4 cores, there are 2",
    },
  ],
  failures: [{ case: "upload-1mb", code: "FILES_BUSY", message: "Too many." }],
  skipped: [{ case: "hashing-all-cores", reason: "needs 4 cores, there are 2" }],
  durations: [{ case: "upload-50mb", seconds: 12.5 }],
};

describe("a report for the terminal", () => {
  it("is an aligned table, then the distribution, what failed, and the machine", () => {
    expect(
      renderText(report),
    ).toBe(`case           measure               base         contender          ratio  95 % interval   difference  pairs   reading
-------------  --------------------  -----------  -----------------  -----  --------------  ----------  ------  -------
upload-50mb    throughput, MB/s      legacy 60.0  streaming 120      2.00   2.00 to 2.00    +60.0       4 in 2  better
upload-memory  memory over idle, MB  legacy 200   streaming <= 4.00  0.020  0.020 to 0.020  -196        2       better

ratio = contender / base; the interval is a bootstrap 95 % interval over launches and pairs; difference = contender - base. 1 MB = 1,000,000 bytes.

Time of single calls in ns, with the cost of reading the clock inside.

case             call  p50  p95    p99    p99.9  max      calls
---------------  ----  ---  -----  -----  -----  -------  ------
facade-overhead  a|b   190  1,235  2,000  3,000  588,769  12,345

case      figure           value  95 % interval
--------  ---------------  -----  -------------
rollback  failures, calls  12.0   10.0 to 14.0

Targets: pass when the whole 95 % interval is on the right side of the limit, fail when all of it is on the wrong one, inconclusive otherwise and where nothing was measured.

target        promise                 limit           measured  95 % interval   verdict
------------  ----------------------  --------------  --------  --------------  ----------------------------------------------
facade-time   Time added / opossum's  at most 1 x     0.500     0.450 to 0.550  pass
facade-bytes  Bytes of a call         at most 1500 B  1,404     1,400 to 1,510  inconclusive: the limit is inside the interval

Of 2 targets that were measured: 1 pass, 0 fail, 1 inconclusive.

1 more targets were not measured and are inconclusive.

upload-1mb was not measured: FILES_BUSY: Too many.

hashing-all-cores was skipped: needs 4 cores, there are 2

Node 24.0.0, V8 13.6, linux 6.1 x64, 2 x Some CPU, 8.0 GB; load 0.10 0.20 0.30 before, 1.00 2.00 3.00 after (1, 5, 15 minutes).
`);
  });

  it("says below its table what stands in the way of a target, in Markdown beside it", () => {
    const why = "One thread hashes and sends.";
    const [first] = report.targets;
    const targets = first === undefined ? [] : [{ ...first, verdict: "fail" as const, why }];
    const text = renderText({ ...report, targets });
    expect(text).toContain(`0.450 to 0.550  fail\n\nfacade-time: ${why}\n\nOf 1 targets`);
    expect(renderMarkdown({ ...report, targets })).toContain(`fail: ${why} |`);
  });

  it("says first when it is a quick one", () => {
    expect(renderText({ ...report, quick: true })).toMatch(/^Quick run: few samples/);
  });
});

describe("a report in Markdown", () => {
  it("has the same rows, the notes with their flags, and no cell that breaks the table", () => {
    expect(renderMarkdown(report)).toBe(`# Benchmark of 2026-01-01T00:00:00.000Z

| case | measure | base | contender | ratio | 95 % interval | difference | pairs | reading |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| upload-50mb | throughput, MB/s | legacy 60.0 | streaming 120 | 2.00 | 2.00 to 2.00 | +60.0 | 4 in 2 | better |
| upload-memory | memory over idle, MB | legacy 200 | streaming <= 4.00 | 0.020 | 0.020 to 0.020 | -196 | 2 | better |

ratio = contender / base; the interval is a bootstrap 95 % interval over launches and pairs; difference = contender - base. 1 MB = 1,000,000 bytes.

- upload-50mb: one file at a time
- upload-memory: Node flags \`--max-old-space-size=32\`

## Distribution

Time of single calls in ns, with the cost of reading the clock inside.

| case | call | p50 | p95 | p99 | p99.9 | max | calls |
| --- | --- | --- | --- | --- | --- | --- | --- |
| facade-overhead | a\\|b | 190 | 1,235 | 2,000 | 3,000 | 588,769 | 12,345 |

## Figures

| case | figure | value | 95 % interval |
| --- | --- | --- | --- |
| rollback | failures, calls | 12.0 | 10.0 to 14.0 |

## Targets

Targets: pass when the whole 95 % interval is on the right side of the limit, fail when all of it is on the wrong one, inconclusive otherwise and where nothing was measured.

| target | promise | limit | measured | 95 % interval | verdict |
| --- | --- | --- | --- | --- | --- |
| facade-time | Time added / opossum's | at most 1 x | 0.500 | 0.450 to 0.550 | pass |
| facade-bytes | Bytes of a call | at most 1500 B | 1,404 | 1,400 to 1,510 | inconclusive: the limit is inside the interval |
| all-cores | Hashing on all cores | at least 0.9 x | – | – | inconclusive: needs 4 cores, there are 2 |

## Not measured

- upload-1mb was not measured: FILES_BUSY: Too many.
- hashing-all-cores was skipped: needs 4 cores, there are 2

## Machine

Node 24.0.0, V8 13.6, linux 6.1 x64, 2 x Some CPU, 8.0 GB; load 0.10 0.20 0.30 before, 1.00 2.00 3.00 after (1, 5, 15 minutes).
`);
  });
});

describe("a report as JSON", () => {
  it("keeps everything, with every value as it was measured", () => {
    const parsed = JSON.parse(renderJson(report)) as BenchmarkReport;
    expect(parsed).toEqual(report);
    expect(parsed.schemaVersion).toBe(1);
    expect(parsed.comparisons[1]?.raw[0]?.contender.values).toEqual([0, 1]);
  });
});

describe("a value", () => {
  it.each([
    [0.0694, "0.069"],
    [0.9996, "1.00"],
    [4.351, "4.35"],
    [61.25, "61.3"],
    [99.96, "100"],
    [1234.4, "1,234"],
    [0, "0.000"],
  ])("of %d is written %s", (value, text) => {
    expect(formatValue(value)).toBe(text);
  });
});

describe("the reading of an interval", () => {
  it.each([
    [1.1, 1.2, "lower", "worse"],
    [1.1, 1.2, "higher", "better"],
    [0.8, 0.9, "lower", "better"],
    [0.8, 0.9, "higher", "worse"],
    [0.9, 1.1, "lower", "unclear"],
    [1, 1.1, "higher", "unclear"],
  ] as const)("from %d to %d, where %s is better, is %s", (low, high, better, reading) => {
    expect(readingOf({ low, high }, better)).toBe(reading);
  });
});
