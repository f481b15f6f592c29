import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { PrometheusTotals, queriesOf } from "../../src/rollout/fleet/prometheus-totals.ts";

type Vector = readonly (readonly [Record<string, string>, string])[];

const operation = "shop.resize";
const open: Server[] = [];

/** Something that answers as Prometheus does, by query. */
async function prometheus(
  answers: Partial<Record<keyof ReturnType<typeof queriesOf>, Vector | string | number>>,
): Promise<string> {
  const queries = queriesOf(undefined);
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const query = new URLSearchParams(body).get("query");
      const name = Object.entries(queries).find(([, text]) => text === query)?.[0];
      const answer = answers[name as keyof typeof queries] ?? [];
      if (typeof answer === "number") {
        response.writeHead(answer).end("{}");
        return;
      }
      if (answer === "hang") return;
      if (typeof answer === "string") {
        response.end(answer);
        return;
      }
      const result = answer.map(([metric, value]) => ({ metric, value: [1, value] }));
      response.end(JSON.stringify({ status: "success", data: { resultType: "vector", result } }));
    });
  });
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

afterEach(async () => {
  for (const server of open.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

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
    ["it answers something else", { up, calls: "<html>" }],
    [
      "it answers a matrix",
      { up, calls: '{"status":"success","data":{"resultType":"matrix","result":[]}}' },
    ],
    ["it answers too much", { up, calls: `"${"x".repeat(3000)}"` }],
    ["it does not answer", { up, calls: "hang" }],
  ];

  it.each(blind)("are blind, never 0, when %s", async (_what, answers) => {
    const url = await prometheus(answers);
    const totals = new PrometheusTotals({ url, timeoutMs: 300, bytesMax: 2000 });
    expect(await totals.read([operation])).toEqual({ blind: expect.any(String) });
  });

  it("are blind when nobody listens", async () => {
    const url = await prometheus({});
    await new Promise((resolve) => open.splice(0)[0]?.close(resolve));
    const reading = await new PrometheusTotals({ url }).read([operation]);
    expect(reading).toEqual({ blind: expect.any(String) });
  });
});
