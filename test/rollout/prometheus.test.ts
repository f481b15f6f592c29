import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import {
  askPrometheus,
  isCount,
  sumOf,
  unusableAnswer,
} from "../../src/rollout/fleet/prometheus.ts";
import { prometheusStandIn, type StandInAnswer } from "../support/prometheus-stand-in.ts";

const limits = { timeoutMs: 300, bytesMax: 2000 };
const matrix = '{"status":"success","data":{"resultType":"matrix","result":[]}}';

it("gives the series that Prometheus answers, to the query that was asked", async () => {
  const url = await prometheusStandIn((query) =>
    query === "count(up)" ? [[{ job: "a" }, "2"]] : [],
  );
  for (const address of [url, `${url}/`]) {
    const samples = await askPrometheus({ ...limits, timeoutMs: 5000, url: address }, "count(up)");
    expect(samples).toEqual([{ metric: { job: "a" }, value: [1, "2"] }]);
  }
});

it.each<[string, StandInAnswer, string]>([
  ["answers 503", 503, "TypeError"],
  ["answers something else", "<html>", "SyntaxError"],
  ["answers a matrix", matrix, "ValiError"],
  ["says that the query failed", '{"status":"error"}', "ValiError"],
  ["answers too much", `"${"x".repeat(3000)}"`, "RangeError"],
  ["does not answer", "hang", "TimeoutError"],
])("rejects when Prometheus %s, and names no address", async (_what, answer, name) => {
  const url = await prometheusStandIn(() => answer);
  const error = await askPrometheus({ ...limits, url }, "up").catch((why: unknown) => why);
  expect(unusableAnswer(error)).toBe(`Prometheus gave no answer that can be used (${name}).`);
});

it("rejects when nobody listens", async () => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise((done) => server.close(done));
  await expect(askPrometheus({ ...limits, url }, "up")).rejects.toThrow(TypeError);
});

it("tells a count from what Prometheus says instead of one", () => {
  const sample = (text: string) => ({ metric: {}, value: [1, text] as const });
  expect(["0", "2.5", "", "NaN", "+Inf", "-Inf"].map((text) => isCount(sample(text)))).toEqual([
    ...[true, true, false, false, false, false],
  ]);
  expect(sumOf([sample("1.5"), sample("2")])).toBe(3.5);
  expect(sumOf([])).toBe(0);
});
