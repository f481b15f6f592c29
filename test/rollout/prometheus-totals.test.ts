import { describe, expect, it } from "vitest";
import { PrometheusTotals, queriesOf } from "../../src/rollout/fleet/prometheus-totals.ts";
import {
  prometheusStandIn,
  type StandInAnswer,
  type Vector,
} from "../support/prometheus-stand-in.ts";

const operation = "shop.resize";
/** Something that answers as Prometheus does, by query. */
function prometheus(
  answers: Partial<Record<keyof ReturnType<typeof queriesOf>, StandInAnswer>>,
): Promise<string> {
  const queries = queriesOf(undefined);
  return prometheusStandIn((query) => {
    const name = Object.entries(queries).find(([, text]) => text === query)?.[0];
    return answers[name as keyof typeof queries];
  });
}

const up: Vector = [
  [{ instance: "a" }, "1"],
  [{ instance: "b" }, "0"],
];
const runs = (instance: string, path: string, outcome: string, count: string): Vector[number] => [
  { instance, operation, path, outcome },
  count,
];
const calls: Vector = [
  runs("a", "legacy", "succeeded", "90"),
  runs("a", "candidate", "succeeded", "7"),
  runs("a", "candidate", "failed", "2"),
  runs("a", "candidate", "timed-out", "1"),
  runs("a", "candidate", "aborted", "4"),
  runs("b", "candidate", "failed", "100"),
];

describe("counts from Prometheus", () => {
  it("are those of every instance that is up, and of no other", async () => {
    const durations: Vector = [
      [{ instance: "a", operation, path: "legacy" }, "4.5"],
      [{ instance: "a", operation, path: "candidate" }, "0.25"],
    ];
    const compared: Vector = [[{ instance: "a", operation }, "12"]];
    const url = await prometheus({ up, calls, durations, compared });
    const reading = await new PrometheusTotals({ url }).read([operation]);
    expect(reading).toEqual({
      totals: [
        {
          instance: "a",
          operation,
          legacy: { calls: 90, failed: 0, timedOut: 0, durationMs: 4500 },
          candidate: { calls: 10, failed: 2, timedOut: 1, durationMs: 250 },
          compared: 12,
        },
      ],
    });
  });

  const blind: [string, Parameters<typeof prometheus>[0]][] = [
    ["nothing is up", { up: [[{ instance: "a" }, "0"]], calls }],
    ["no target is known", { calls }],
    ["there are no counts", { up }],
    ["a count is not a number", { up, calls: [...calls, runs("a", "legacy", "failed", "NaN")] }],
    ["a count is endless", { up, calls: [runs("a", "legacy", "failed", "+Inf")] }],
    ["only an instance that is down has counts", { up, calls: calls.slice(-1) }],
    ["it answers 503", { up, calls: 503 }],
    ["it does not answer", { up, calls: "hang" }],
  ];

  it.each(blind)("are blind, never 0, when %s", async (_what, answers) => {
    const url = await prometheus(answers);
    const totals = new PrometheusTotals({ url, timeoutMs: 300 });
    expect(await totals.read([operation])).toEqual({ blind: expect.any(String) });
  });
});
