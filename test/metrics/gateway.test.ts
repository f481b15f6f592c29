import { afterAll, beforeAll, expect, it } from "vitest";
import { catalogue } from "../../src/metrics/catalogue.ts";
import { filesMetrics } from "../../src/metrics/definitions/files-metrics.ts";
import { type Started, startChangeover } from "../cli/command-line.ts";
import { TestFolder } from "../support/test-folder.ts";
import { samplesOf } from "./exposition.ts";

/* What a scraper of a running gateway sees, before the first call and after it. */

const folder = new TestFolder();
let product: Started;
beforeAll(async () => {
  product = await startChangeover(folder.in("data"));
});
afterAll(async () => {
  product?.child.kill("SIGTERM");
  await product?.end;
  await folder.remove();
});

const scrape = async (accept = ""): Promise<string> => {
  const headers = accept === "" ? {} : { accept };
  return (await fetch(`${product.gateway}/metrics`, { headers })).text();
};
const openMetrics = "application/openmetrics-text; version=1.0.0";
const definitions = [...Object.values(catalogue), ...Object.values(filesMetrics)];

/** What counts without a call: the process's own times, and a rule's first verdict, which is a change. */
const lives = new Set([
  "changeover_event_loop_seconds_total",
  "changeover_gc_pause_seconds_total",
  "changeover_verdict_changes_total",
]);

it("has every family of the catalogue from the start, and every count at 0", async () => {
  const text = await scrape();
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]);
  expect(types.sort()).toEqual(definitions.map(({ name, type }) => [name, type]).sort());
  const samples = [...samplesOf(text)];
  for (const { name, type } of definitions) {
    if (type === "gauge") continue;
    const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    for (const suffix of suffixes) {
      const own = samples.filter(([key]) => key.split(" ")[0] === `${name}${suffix}`);
      expect(own, `${name}${suffix}`).not.toEqual([]);
      if (!lives.has(name)) expect(own.filter(([, value]) => value !== 0)).toEqual([]);
    }
  }
});

it("prints the request id of a call behind its bucket, in OpenMetrics, where that is asked for", async () => {
  const listed = await fetch(`${product.gateway}/v1/files`);
  const requestId = listed.headers.get("x-request-id") ?? "none";
  const exemplar = `# {request_id="${requestId}"}`;
  const text = await scrape(openMetrics);
  const line = text.split("\n").find((each) => each.includes(exemplar));
  expect(line).toMatch(/^changeover_call_duration_seconds_bucket\{.*operation="files\.list"/);
  expect(text.trimEnd().endsWith("# EOF")).toBe(true);
  const plain = await scrape();
  expect(plain).not.toContain(requestId);
});
