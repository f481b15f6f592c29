import { describe, expect, it } from "vitest";
import { benchmarkCases } from "../../bench/cases.ts";
import { judgePeers, readTargets } from "../../bench/targets.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type Comparison, comparisonOf } from "../../src/harness/measurement.ts";

const file = await readTargets();
const names = benchmarkCases.map(({ name }) => name);

describe("bench/targets.json", () => {
  it("names cases that exist, and every target once", () => {
    expect(file.targets.length).toBeGreaterThan(30);
    expect(file.targets.filter((each) => !names.includes(each.case))).toEqual([]);
    expect(file.peerExceptions.filter((each) => !names.includes(each.case))).toEqual([]);
    const ids = file.targets.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("holds the migration's promises beside our own targets", () => {
    const promises = file.targets.filter(({ source }) => source === "promise");
    expect(promises.map(({ id }) => id)).toEqual([
      "promise-memory-share",
      "promise-memory-limit",
      "promise-throughput",
      "promise-latency",
      "promise-timeouts",
      "promise-concurrency",
    ]);
  });
});

function compared(
  measure: string,
  peer: string,
  [theirs, ours]: readonly [readonly number[], readonly number[]],
): Comparison {
  const isSpeed = measure === "throughput";
  return comparisonOf(
    {
      case: "peers-50mb",
      measure,
      unit: isSpeed ? "MB/s" : "MB",
      better: isSpeed ? "higher" : "lower",
      resolution: null,
      nodeFlags: [],
      note: "",
    },
    [
      {
        base: { name: peer, values: theirs },
        contender: { name: "changeover", values: ours },
        first: [],
      },
    ],
    seededRandom(1),
  );
}

describe("a peer", () => {
  const memory = "memory over idle, small heap";
  const faster = compared("throughput", "tus-js-client", [
    [300, 300],
    [100, 100],
  ]);
  const heavier = compared(memory, "tus-js-client", [
    [90, 90],
    [9, 9],
  ]);
  const lighter = compared(memory, "tus-js-client", [
    [5, 5],
    [9, 9],
  ]);
  const verdicts = (
    comparisons: readonly Comparison[],
    exceptions: Parameters<typeof judgePeers>[1] = [],
  ): string[] => judgePeers({ comparisons, quick: false }, exceptions).map((each) => each.verdict);

  it("may be faster when it needs more memory", () => {
    expect(verdicts([faster, heavier])).toEqual(["pass"]);
  });

  it("fails the target when it is faster and needs less", () => {
    expect(verdicts([faster, lighter])).toEqual(["fail"]);
  });

  it("is left out when it is a listed exception, or a limit of the machine", () => {
    const exception = { case: "peers-50mb", peer: "tus-js-client", reason: "known" };
    expect(verdicts([faster, lighter], [exception])).toEqual([]);
    const limit = compared("throughput", "bare loopback copy", [
      [900, 900],
      [100, 100],
    ]);
    expect(verdicts([limit])).toEqual([]);
  });

  it("fails the target by its speed alone where memory is not measured", () => {
    expect(verdicts([faster])).toEqual(["fail"]);
    const asFast = compared("throughput", "tus-js-client", [
      [100, 300],
      [300, 100],
    ]);
    expect(verdicts([asFast])).toEqual(["inconclusive"]);
  });

  it("leaves it open while an interval does", () => {
    const unclear = compared(memory, "tus-js-client", [
      [5, 10],
      [10, 5],
    ]);
    expect(verdicts([faster, unclear])).toEqual(["inconclusive"]);
  });
});
