import {
  type Attributes,
  type BatchObservableResult,
  createNoopMeter,
  type Histogram,
  type Meter,
  metrics,
  type Observable,
  ProxyTracerProvider,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { TypedEvent } from "../base/event.ts";
import { answerOf, type Observation } from "../migration/observation.ts";
import { isBad, type Outcome } from "../migration/outcome.ts";
import { errorTypeOf } from "./error-type.ts";
import type { FamilySnapshot } from "./family.ts";
import type { MetricsDoor } from "./recorder.ts";

/** What is bridged: a changeover. */
export interface BridgeSource {
  readonly observations: TypedEvent<Observation>;
  readonly metrics: Pick<MetricsDoor, "snapshots">;
}

/** Options of {@link bridgeOpenTelemetry}. */
export interface BridgeOptions {
  /** Default: that of the registered SDK; null: no metrics. */
  readonly meter?: Meter | null;
  /** Default: that of the registered SDK; null: no spans. */
  readonly tracer?: Tracer | null;
}

/** A bridge that was built. */
export interface Bridge {
  /** False where no SDK is registered for them: then nothing was subscribed and calls cost nothing. */
  readonly metrics: boolean;
  readonly spans: boolean;
  /** Takes the bridge down; what was recorded stays with the SDK. */
  close(): void;
}

const scope = "changeover";

/**
 * Passes metrics and one span for each call on to the OpenTelemetry SDK that the application registered;
 * call it after that. Counters and gauges are those of the catalogue, without `_total`, read when the SDK
 * collects; `changeover_call_duration` (in seconds) is recorded for each call. A span is made when the
 * call has ended, with the times of the call, so that spans of the paths' own work are its siblings:
 * they have the same parent. It carries operation, path, reason, outcome and the kind of error, never keys,
 * inputs or messages.
 */
export function bridgeOpenTelemetry(source: BridgeSource, options: BridgeOptions = {}): Bridge {
  const meter = options.meter === undefined ? registeredMeter() : options.meter;
  const tracer = options.tracer === undefined ? registeredTracer() : options.tracer;
  const closing: (() => void)[] = [];
  if (meter !== null) {
    const durations = meter.createHistogram("changeover_call_duration", {
      description: "How long served runs of a path took.",
      unit: "s",
    });
    closing.push(source.observations.subscribe((each) => record(durations, each)));
    closing.push(observe(meter, source));
  }
  if (tracer !== null) {
    closing.push(source.observations.subscribe((each) => addSpan(tracer, each)));
  }
  return {
    metrics: meter !== null,
    spans: tracer !== null,
    close: () => {
      for (const close of closing.splice(0)) close();
    },
  };
}

function registeredMeter(): Meter | null {
  const meter = metrics.getMeter(scope);
  return meter === createNoopMeter() ? null : meter;
}

function registeredTracer(): Tracer | null {
  const provider = trace.getTracerProvider();
  // The API hands out a proxy, whose delegate is missing until an SDK is registered.
  if (!(provider instanceof ProxyTracerProvider)) return provider.getTracer(scope);
  return provider.getDelegateTracer(scope) ?? null;
}

function record(durations: Histogram, { operation, first, fallback }: Observation): void {
  const attributes = (outcome: Outcome): Attributes => ({
    operation: operation.name,
    path: outcome.path,
    outcome: outcome.kind,
  });
  durations.record(first.durationMs / 1000, attributes(first));
  if (fallback !== null) durations.record(fallback.durationMs / 1000, attributes(fallback));
}

function addSpan(tracer: Tracer, observation: Observation): void {
  const { operation, call, decision, first, fallback, atMs } = observation;
  const answer = answerOf(observation);
  const durationMs = first.durationMs + (fallback?.durationMs ?? 0);
  const bad = isBad(answer);
  const span = tracer.startSpan(`changeover ${operation.name}`, {
    kind: SpanKind.INTERNAL,
    startTime: atMs - durationMs,
    attributes: {
      "changeover.operation": operation.name,
      "changeover.path": answer.path,
      "changeover.decided_path": decision.path,
      "changeover.reason": decision.reason,
      "changeover.outcome": answer.kind,
      "changeover.fell_back": fallback !== null,
      "changeover.request_id": call.requestId,
      ...(isBad(first) ? { "error.type": errorTypeOf(bad ? answer : first) } : {}),
    },
  });
  if (bad) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end(atMs);
}

/** One instrument for each counter and gauge, made when it is first seen; histograms cannot be observed. */
function observe(meter: Meter, { metrics: door }: BridgeSource): () => void {
  const instruments = new Map<string, Observable>();
  const read = async (result: BatchObservableResult): Promise<void> => {
    for (const family of await door.snapshots()) {
      const instrument = instruments.get(family.name);
      if (instrument === undefined) continue;
      for (const { labels, value } of family.values) result.observe(instrument, value, labels);
    }
  };
  let isClosed = false;
  const start = async (): Promise<void> => {
    for (const family of await door.snapshots()) {
      if (family.type !== "histogram") instruments.set(family.name, instrumentOf(meter, family));
    }
    if (!isClosed) meter.addBatchObservableCallback(read, [...instruments.values()]);
  };
  void start();
  return () => {
    isClosed = true;
    meter.removeBatchObservableCallback(read, [...instruments.values()]);
  };
}

function instrumentOf(meter: Meter, { name, help, type }: FamilySnapshot): Observable {
  const options = { description: help };
  return type === "counter"
    ? meter.createObservableCounter(name.replace(/_total$/, ""), options)
    : meter.createObservableGauge(name, options);
}
