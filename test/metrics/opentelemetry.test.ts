import { metrics, SpanStatusCode, trace } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { afterEach, describe, expect, it } from "vitest";
import { type Changeover, createChangeover } from "../../src/changeover.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import { type Bridge, bridgeOpenTelemetry } from "../../src/metrics/opentelemetry.ts";

const fail = (): never => {
  throw Object.assign(new Error("secret words"), { status: 503 });
};
const open: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function changeoverWith(percentage: number): Promise<Changeover> {
  const changeover = await createChangeover({ flags: staticFlags({ "a.b": percentage }) });
  open.push(() => changeover.close());
  return changeover;
}

/** An SDK that is registered as an application would do it. */
function registerSdk() {
  const spans = new InMemorySpanExporter();
  const tracing = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: spans })],
  });
  const exported = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    exporter: exported,
    exportIntervalMillis: 1e6,
  });
  const metering = new MeterProvider({ readers: [reader] });
  trace.setGlobalTracerProvider(tracing);
  metrics.setGlobalMeterProvider(metering);
  open.push(async () => {
    trace.disable();
    metrics.disable();
    await tracing.shutdown();
    await metering.shutdown();
  });
  const collect = async (): Promise<
    Map<string, readonly { attributes: object; value: unknown }[]>
  > => {
    await metering.forceFlush();
    const last = exported.getMetrics().at(-1);
    const found = (last?.scopeMetrics ?? []).flatMap((scope) => scope.metrics);
    return new Map(found.map((each) => [each.descriptor.name, each.dataPoints]));
  };
  return { spans, collect };
}

const bridged = (changeover: Changeover): Bridge => {
  const bridge = bridgeOpenTelemetry(changeover);
  open.push(() => bridge.close());
  return bridge;
};

describe("the OpenTelemetry bridge", () => {
  it("subscribes to nothing where no SDK is registered", async () => {
    const changeover = await changeoverWith(0);
    let subscriptions = 0;
    const observations = {
      subscribe: () => {
        subscriptions += 1;
        return () => undefined;
      },
    } as unknown as Changeover["observations"];
    const bridge = bridgeOpenTelemetry({ observations, metrics: changeover.metrics });
    expect(bridge).toMatchObject({ metrics: false, spans: false });
    expect(subscriptions).toBe(0);
    bridge.close();
  });

  it("makes one span for each call, with path, reason, outcome and times, and no words of the error", async () => {
    const { spans } = registerSdk();
    const changeover = await changeoverWith(100);
    expect(bridged(changeover)).toMatchObject({ metrics: true, spans: true });
    const read = changeover.migrate({
      name: "a.b",
      kind: "read",
      legacy: () => 1,
      candidate: fail,
    });
    await read(1, { key: "k", requestId: "req-1" });
    const [span, ...others] = spans.getFinishedSpans();
    expect(others).toEqual([]);
    expect(span?.name).toBe("changeover a.b");
    expect(span?.attributes).toEqual({
      "changeover.operation": "a.b",
      "changeover.path": "legacy",
      "changeover.decided_path": "candidate",
      "changeover.reason": "flag-on",
      "changeover.outcome": "succeeded",
      "changeover.fell_back": true,
      "changeover.request_id": "req-1",
      "error.type": "unavailable",
    });
    expect(span?.status.code).toBe(SpanStatusCode.UNSET);
    expect(JSON.stringify(span?.attributes)).not.toContain("secret");
    const [seconds = 0, nanos = 0] = span?.duration ?? [];
    expect(seconds * 1e9 + nanos).toBeGreaterThanOrEqual(0);
  });

  it("marks the span of a call that failed its caller", async () => {
    const { spans } = registerSdk();
    const changeover = await changeoverWith(100);
    bridged(changeover);
    const write = changeover.migrate({ name: "a.b", kind: "write", legacy: fail, candidate: fail });
    await expect(write(1, { key: "k" })).rejects.toThrow("secret");
    const [span] = spans.getFinishedSpans();
    expect(span?.status).toEqual({ code: SpanStatusCode.ERROR });
    expect(span?.attributes).toMatchObject({
      "changeover.outcome": "failed",
      "error.type": "unavailable",
    });
  });

  it("gives the catalogue's counters and gauges, and durations, when the SDK collects", async () => {
    const { collect } = registerSdk();
    const changeover = await changeoverWith(100);
    const read = changeover.migrate({
      name: "a.b",
      kind: "read",
      legacy: () => 1,
      candidate: fail,
    });
    bridged(changeover);
    await read(1, { key: "k" });
    const points = await collect();
    const valued = (name: string): readonly object[] =>
      (points.get(name) ?? [])
        .filter(({ value }) => value !== 0)
        .map(({ attributes, value }) => ({ ...attributes, value }));
    expect(valued("changeover_calls")).toEqual([
      { operation: "a.b", path: "legacy", outcome: "succeeded", source: "served", value: 1 },
      { operation: "a.b", path: "candidate", outcome: "failed", source: "served", value: 1 },
    ]);
    expect(valued("changeover_flag_percentage")).toEqual([{ operation: "a.b", value: 100 }]);
    const durations = points.get("changeover_call_duration") ?? [];
    expect(durations.map(({ attributes }) => attributes)).toEqual([
      { operation: "a.b", path: "candidate", outcome: "failed" },
      { operation: "a.b", path: "legacy", outcome: "succeeded" },
    ]);
  });

  it("is quiet after it was closed", async () => {
    const { spans, collect } = registerSdk();
    const changeover = await changeoverWith(0);
    const bridge = bridged(changeover);
    await collect();
    bridge.close();
    const read = changeover.migrate({
      name: "a.b",
      kind: "read",
      legacy: () => 1,
      candidate: fail,
    });
    await read(1, { key: "k" });
    expect(spans.getFinishedSpans()).toEqual([]);
    expect((await collect()).get("changeover_calls") ?? []).toEqual([]);
  });
});
