import { register as globalRegistry, Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { ByteBudget } from "../../src/base/byte-budget.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { MetricsRecorder } from "../../src/metrics/recorder.ts";
import { Facade } from "../../src/migration/facade.ts";
import type { FlagSource } from "../../src/migration/flags.ts";
import { Operation } from "../../src/migration/operation.ts";
import { Shadow } from "../../src/shadow/shadow.ts";
import { countedBy, samplesOf } from "./exposition.ts";

const never = (): undefined => undefined;
const fail = (): never => {
  throw new Error("no");
};

/** A facade, a shadow and a recorder as the library puts them together. */
function setUp({ candidate = false, shadow: shadowed = false, exemplars = false } = {}) {
  const clock = new ManualClock();
  const flags: FlagSource = {
    kind: "test",
    control: null,
    revision: () => 1,
    freshness: () => ({ state: "fresh", lastRefreshMs: 5000 }),
    answer: () => ({ candidate, shadow: shadowed }),
    state: (operation) => ({
      ...{ operation, enabled: true, percentage: 25, shadowPercentage: 0, origin: "test" },
    }),
    problems: () => [{ subject: "a", message: "b" }],
    ready: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const room = (name: string) =>
    new ByteBudget({ name, limitBytes: 1e9, queueMax: 1, waitMs: 1 }, clock);
  const facade = new Facade({
    ...{ flags, clock, logger: silentLogger, latches: [] },
    budgets: { legacy: room("legacy"), candidate: room("candidate") },
  });
  const shadow = new Shadow({
    ...{ clock, logger: silentLogger, report: facade.report, random: seededRandom(1) },
  });
  const recorder = new MetricsRecorder({ version: "1.2.3", node: "v24.0.0", exemplars });
  facade.operationAdded.subscribe((operation) => recorder.addOperation(operation));
  facade.observations.subscribe((observation) => recorder.observation(observation));
  facade.observations.subscribe((observation) => shadow.observe(observation));
  shadow.compared.subscribe((result) => recorder.shadowResult(result));
  shadow.skips.subscribe((skip) => recorder.shadowSkip(skip));
  recorder.readFrom({ flags, internalErrors: () => facade.internalErrors });
  return { clock, facade, shadow, recorder };
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

const key = { key: "k" };
const named = (name: string) =>
  new Operation({ name, kind: "read", legacy: never, candidate: never }, never);

describe("the metrics recorder", () => {
  it("counts a call by path, outcome and source, and its decision by reason", async () => {
    const { facade, recorder } = setUp();
    const call = facade.migrate({ name: "a.b", kind: "read", legacy: never, candidate: fail });
    await call(1, key);
    await call(1, key);
    expect(await countedBy(recorder, "calls_total")).toEqual({
      "operation=a.b outcome=succeeded path=legacy source=served": 2,
    });
    expect(await countedBy(recorder, "decisions_total")).toEqual({
      "operation=a.b path=legacy reason=flag-off": 2,
    });
  });

  it("counts both runs of a call that fell back", async () => {
    const { facade, recorder } = setUp({ candidate: true });
    await facade.migrate({ name: "a.b", kind: "read", legacy: never, candidate: fail })(1, key);
    expect(await countedBy(recorder, "calls_total")).toEqual({
      "operation=a.b outcome=failed path=candidate source=served": 1,
      "operation=a.b outcome=succeeded path=legacy source=served": 1,
    });
    expect(await countedBy(recorder, "fallbacks_total")).toEqual({
      "operation=a.b result=answered": 1,
    });
  });

  it("counts a failed write that legacy was not allowed to answer as denied", async () => {
    const { facade, recorder } = setUp({ candidate: true });
    const call = facade.migrate({ name: "a.b", kind: "write", legacy: never, candidate: fail });
    await expect(call(1, key)).rejects.toThrow("no");
    expect(await countedBy(recorder, "fallbacks_total")).toEqual({
      "operation=a.b result=denied": 1,
    });
  });

  it("puts durations into cumulative buckets, in seconds", async () => {
    const { facade, recorder, clock } = setUp();
    const legacy = (ms: number) => clock.advance(ms);
    const call = facade.migrate({ name: "a.b", kind: "read", legacy, candidate: legacy });
    for (const ms of [1, 30, 100_000]) await call(ms, key);
    const samples = samplesOf(await recorder.text());
    const of = (series: string, le?: string) =>
      samples.get(
        `changeover_call_duration_seconds_${series} ${le === undefined ? "" : `le=${le} `}operation=a.b path=legacy source=served`,
      );
    expect([of("bucket", "0.001"), of("bucket", "0.025"), of("bucket", "0.05")]).toEqual([1, 1, 2]);
    expect([of("bucket", "60"), of("bucket", "+Inf"), of("count")]).toEqual([2, 3, 3]);
    expect(of("sum")).toBeCloseTo(100.031, 6);
  });

  it("counts the bytes and the first byte of streams", async () => {
    const { facade, recorder } = setUp();
    const path = () => new Blob(["abcde"]).stream();
    const call = facade.migrate({
      ...{ name: "a.b", kind: "read", result: "stream", legacy: path, candidate: path },
    });
    for await (const _ of await call(1, key));
    expect(await countedBy(recorder, "bytes_total")).toEqual({ "operation=a.b path=legacy": 5 });
    expect(await countedBy(recorder, "time_to_first_byte_seconds_count")).toEqual({
      "operation=a.b path=legacy": 1,
    });
  });

  it("counts shadows, what they found, and what was skipped", async () => {
    const { facade, recorder } = setUp({ shadow: true });
    const answer = (n: number) => () => ({ a: n, b: n });
    const replayable = (input: number) => input > 0;
    const call = facade.migrate({
      ...{ name: "a.b", kind: "read", legacy: answer(1), candidate: answer(2), replayable },
    });
    await call(1, key);
    await call(0, key);
    await settle();
    expect(await countedBy(recorder, "shadow_runs_total")).toEqual({
      "operation=a.b result=different": 1,
    });
    expect(await countedBy(recorder, "mismatches_total")).toEqual({
      "kind=value operation=a.b": 1,
    });
    expect(await countedBy(recorder, "shadow_skipped_total")).toEqual({
      "operation=a.b reason=not-replayable": 1,
    });
    expect(await countedBy(recorder, "calls_total")).toEqual({
      "operation=a.b outcome=succeeded path=legacy source=served": 2,
      "operation=a.b outcome=succeeded path=candidate source=shadow": 1,
    });
  });

  it("reads gauges when it is scraped", async () => {
    const { facade, recorder } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    const cost = () => ({ legacy: 40, candidate: 1 });
    const legacy = () => promise;
    const call = facade.migrate({ name: "a.b", kind: "read", legacy, candidate: legacy, cost });
    const pending = call(1, key);
    await settle();
    const running = { "operation=a.b path=legacy": 1 };
    expect(await countedBy(recorder, "in_flight_calls")).toEqual(running);
    expect(await countedBy(recorder, "in_flight_bytes")).toEqual({
      "operation=a.b path=legacy": 40,
    });
    resolve();
    await pending;
    expect(await countedBy(recorder, "in_flight_calls")).toEqual({});
    const by = { type: "person", name: "test" } as const;
    facade.operation("a.b").latch.trip({ by, reason: "test", at: "2026-01-01T00:00:00Z" });
    expect(await countedBy(recorder, "latch_tripped")).toEqual({ "operation=a.b": 1 });
    expect(await countedBy(recorder, "latch_epoch")).toEqual({ "operation=a.b": 1 });
    expect(await countedBy(recorder, "flag_percentage")).toEqual({ "operation=a.b": 25 });
    const samples = samplesOf(await recorder.text());
    expect(samples.get("changeover_flags_last_refresh_timestamp_seconds")).toBe(5);
    expect(samples.get("changeover_flag_problems")).toBe(1);
    expect(samples.get("changeover_build_info node=v24.0.0 version=1.2.3")).toBe(1);
  });

  it("shows the present verdict of a rule as the only 1, and unknown rules as other", async () => {
    const recorder = new MetricsRecorder();
    recorder.addOperation(named("a.b"));
    const verdict = { operation: "a.b", rule: "error-rate", observed: 0.2, limit: 0.05 };
    recorder.verdict({ ...verdict, kind: "breached" });
    recorder.verdict({ ...verdict, kind: "suspect" });
    recorder.verdict({ ...verdict, rule: "made-up", kind: "blind" });
    recorder.verdict({ ...verdict, operation: "never.added", kind: "blind" });
    expect(await countedBy(recorder, "verdict")).toEqual({
      "operation=a.b rule=error-rate verdict=suspect": 1,
      "operation=a.b rule=other verdict=blind": 1,
    });
    expect(await countedBy(recorder, "rule_observed")).toMatchObject({
      "operation=a.b rule=error-rate": 0.2,
    });
  });

  it("counts rollbacks by what started them", async () => {
    const recorder = new MetricsRecorder();
    recorder.addOperation(named("a.b"));
    recorder.rollback({ operation: "a.b", rule: "error-rate", result: "complete" });
    recorder.rollback({ operation: "a.b", rule: "manual", result: "incomplete" });
    expect(await countedBy(recorder, "rollbacks_total")).toEqual({
      "operation=a.b result=complete rule=error-rate": 1,
      "operation=a.b result=incomplete rule=manual": 1,
    });
  });

  it("times a rollback to its latch, to its confirmed flag, and in all", async () => {
    const recorder = new MetricsRecorder();
    recorder.addOperation(named("a.b"));
    const step = (name: "latch" | "flag" | "read-back", ms: number, failed = false) => ({
      ...{ name, ms, tries: 1, error: null },
      result: failed ? ("failed" as const) : ("done" as const),
    });
    const record = { operation: "a.b", rule: "manual", at: "1970-01-01T00:00:09.000Z" } as const;
    const steps = [step("latch", 2), step("flag", 30), step("read-back", 8)];
    recorder.rollback({ ...record, result: "complete", ms: 100, steps });
    recorder.rollback({
      ...{ ...record, result: "incomplete", ms: 60 },
      steps: [step("latch", 2), step("flag", 50, true), step("read-back", 0, true)],
    });
    expect(await countedBy(recorder, "rollback_duration_seconds_count")).toEqual({
      "operation=a.b part=latch": 2,
      "operation=a.b part=flag": 1,
      "operation=a.b part=whole": 2,
    });
    const samples = samplesOf(await recorder.text());
    const sum = (part: string) =>
      samples.get(`changeover_rollback_duration_seconds_sum operation=a.b part=${part}`);
    expect([sum("latch"), sum("flag"), sum("whole")]).toEqual([0.004, 0.04, 0.16]);
    expect(samples.get("changeover_last_rollback_timestamp_seconds operation=a.b")).toBe(9);
  });

  it("counts the kinds of errors of served runs", async () => {
    const { facade, recorder } = setUp({ candidate: true });
    const network = () => {
      throw Object.assign(new TypeError("fetch failed"), { cause: { code: "ECONNREFUSED" } });
    };
    await facade.migrate({ name: "a.b", kind: "read", legacy: never, candidate: network })(1, key);
    expect(await countedBy(recorder, "errors_total")).toEqual({
      "operation=a.b path=candidate type=network": 1,
    });
  });

  it("prints request ids behind buckets, in the OpenMetrics format, where that is asked for", async () => {
    const { facade, recorder } = setUp({ exemplars: true });
    const call = facade.migrate({ name: "a.b", kind: "read", legacy: never, candidate: never });
    await call(1, { ...key, requestId: "req-1" });
    const plain = await recorder.exposition("text/plain");
    expect(plain.contentType).toBe(recorder.contentType);
    expect(plain.text).not.toContain("req-1");
    const accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5";
    const { contentType, text } = await recorder.exposition(accept);
    expect(contentType).toContain("application/openmetrics-text");
    expect(text).toMatch(/_bucket\{le="0.001",.*\} 1 # \{request_id="req-1"\} 0 \d/);
    expect(text).toContain("# TYPE changeover_calls counter\nchangeover_calls_total{");
    expect(text.endsWith("# EOF\n")).toBe(true);
    expect(await recorder.text()).toBe(plain.text);
    const refused = "text/plain, application/openmetrics-text; q=0";
    expect((await recorder.exposition(refused)).contentType).toBe(plain.contentType);
    expect((await recorder.exposition(undefined)).contentType).toBe(plain.contentType);
  });

  it("makes no request id where nobody asked for exemplars", async () => {
    const { facade, recorder } = setUp();
    await facade.migrate({ name: "a.b", kind: "read", legacy: never, candidate: never })(1, key);
    const { text } = await recorder.exposition("application/openmetrics-text");
    expect(text).not.toContain("request_id");
  });

  it("puts operations beyond its limit together, and says how many", async () => {
    const recorder = new MetricsRecorder({ operationsMax: 2 });
    const operations = ["a.a", "a.b", "a.c", "a.d"].map(named);
    for (const operation of operations) recorder.addOperation(operation);
    for (const operation of operations) operation.load.legacy.calls = 1;
    expect(await countedBy(recorder, "in_flight_calls")).toEqual({
      "operation=a.a path=legacy": 1,
      "operation=a.b path=legacy": 1,
      "operation=__other__ path=legacy": 2,
    });
    const samples = samplesOf(await recorder.text());
    expect(samples.get("changeover_operations_overflow_total")).toBe(2);
  });

  it("does not fail a scrape when a source throws, and counts that", async () => {
    const recorder = new MetricsRecorder();
    recorder.readFrom({ memory: fail });
    await recorder.text();
    expect(await countedBy(recorder, "internal_errors_total")).toMatchObject({ "part=metrics": 2 });
  });

  it("counts errors of unknown parts together", async () => {
    const recorder = new MetricsRecorder();
    const errors = new Map([
      ["decide", 2],
      ["something", 1],
      ["else", 3],
    ]);
    recorder.readFrom({ internalErrors: () => errors });
    await recorder.text();
    expect(await countedBy(recorder, "internal_errors_total")).toEqual({
      "part=decide": 2,
      "part=other": 4,
    });
  });

  it("escapes and bounds what it did not make itself", async () => {
    const recorder = new MetricsRecorder({ version: `1"\n\\${"x".repeat(500)}` });
    const line = (await recorder.text()).split("\n").find((each) => each.includes("build_info{"));
    expect(line).toContain(String.raw`version="1\"\n\\xxx`);
    expect(line?.length).toBeLessThan(150);
  });

  it("leaves the global registry alone, merges with the application's own, and can be reset", async () => {
    const { facade, recorder } = setUp();
    await facade.migrate({ name: "a.b", kind: "read", legacy: never, candidate: never })(1, key);
    expect(globalRegistry.getMetricsAsArray()).toEqual([]);
    const merged = Registry.merge([new Registry(), recorder.registry]);
    expect(await merged.metrics()).toBe(await recorder.text());
    const asData = await recorder.registry.getMetricsAsJSON();
    const calls = asData.find((each) => each.name === "changeover_calls_total");
    expect(calls).toMatchObject({
      values: expect.arrayContaining([expect.objectContaining({ value: 1 })]),
    });
    recorder.registry.resetMetrics();
    expect(await countedBy(recorder, "calls_total")).toEqual({});
    expect(recorder.contentType).toContain("text/plain; version=0.0.4");
  });
});
