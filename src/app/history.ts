import type { Clock, Timer } from "../base/clock.ts";
import { Ring } from "../base/ring.ts";
import { catalogue } from "../metrics/catalogue.ts";
import type { PathTotals } from "../metrics/recorder.ts";
import type { Path } from "../migration/call.ts";
import type { Load } from "../migration/operation.ts";

/** Traffic of one path over a span of time, as callers saw it; shadows are left out. */
export interface PathTraffic {
  /** Runs that ended in each second, on average. */
  readonly perSecond: number;
  readonly failedPerSecond: number;
  readonly timedOutPerSecond: number;
  /**
   * Milliseconds within which half, 95 % and 99 % of the runs ended, interpolated within the buckets of
   * `changeover_call_duration_seconds`; null without runs.
   */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
}

/** Both paths at one moment. */
export interface TrafficPoint {
  /** Wall-clock milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** Over the time since the point before; latencies over the last 10 s. */
  readonly traffic: Readonly<Record<Path, PathTraffic>>;
  /** What the calls in flight declare to hold in memory. */
  readonly inFlightBytes: Readonly<Record<Path, number>>;
}

/** What the history watches of an operation. */
export interface HistoryOperation {
  readonly name: string;
  readonly load: Readonly<Record<Path, Readonly<Load>>>;
}

/** Where the history looks, and how often. */
export interface HistoryOptions {
  readonly operations: () => readonly HistoryOperation[];
  /** Growing totals of an operation, as `MetricsRecorder.totals` gives them. */
  readonly totals: (operation: string) => Readonly<Record<Path, PathTotals>> | null;
  readonly clock: Clock;
  /** Milliseconds between two points. Default 2000. */
  readonly everyMs?: number;
  /** Points that are kept of each operation. Default 150: five minutes. */
  readonly pointsMax?: number;
  /** Operations that are watched; later ones have no history. Default 50. */
  readonly operationsMax?: number;
}

interface Look {
  readonly atMs: number;
  readonly totals: Readonly<Record<Path, PathTotals>>;
}

interface Track {
  readonly points: Ring<TrafficPoint>;
  readonly looks: Ring<Look>;
}

/** Spans over which quantiles of a point, and the rates of "the last minute", are taken. */
const latencySpanMs = 10_000;
const minuteMs = 60_000;

/** The buckets' upper bounds in milliseconds. */
const boundsMs: readonly number[] = (catalogue.callDuration.buckets ?? []).map((s) => s * 1000);

/**
 * What happened lately, for whoever draws it: a look at the metrics' totals every 2 s, so that calls
 * cost nothing more. Bounded in operations and in points; forgets with the process.
 */
export class History {
  readonly #options: Required<HistoryOptions>;
  readonly #tracks = new Map<string, Track>();
  readonly #timer: Timer;

  constructor(options: HistoryOptions) {
    this.#options = { everyMs: 2000, pointsMax: 150, operationsMax: 50, ...options };
    const { clock, everyMs } = this.#options;
    this.look();
    this.#timer = clock.every(everyMs, () => this.look());
  }

  /** The points that are kept, oldest first; none for an operation that is not watched. */
  points(operation: string): readonly TrafficPoint[] {
    return this.#tracks.get(operation)?.points.toArray() ?? [];
  }

  /** The last minute, or the time since the start where that is shorter. */
  lastMinute(operation: string): Readonly<Record<Path, PathTraffic>> {
    const { clock, totals } = this.#options;
    const after = { atMs: clock.monotonicMs(), totals: totals(operation) };
    const before = this.#lookBefore(operation, after.atMs - minuteMs);
    const over = (path: Path): PathTraffic => {
      if (before === null || after.totals === null) return noTraffic;
      const spanMs = after.atMs - before.atMs;
      const [from, to] = [before.totals[path], after.totals[path]];
      return { ...rates(from, to, spanMs), ...quantiles(from.durations, to.durations) };
    };
    return { legacy: over("legacy"), candidate: over("candidate") };
  }

  /** Takes a point now; the timer does it by itself. */
  look(): void {
    const { operations, totals, clock, operationsMax } = this.#options;
    const atMs = clock.monotonicMs();
    for (const operation of operations().slice(0, operationsMax)) {
      const found = totals(operation.name);
      if (found === null) continue;
      this.#add(this.#trackOf(operation.name), { atMs, totals: found }, operation.load);
    }
  }

  close(): void {
    this.#timer.cancel();
  }

  #add({ points, looks }: Track, now: Look, load: HistoryOperation["load"]): void {
    const known = looks.toArray();
    looks.push(now);
    const before = known.at(-1);
    if (before === undefined) return;
    const earlier = known.find(({ atMs }) => atMs >= now.atMs - latencySpanMs) ?? before;
    const over = (path: Path): PathTraffic => ({
      ...rates(before.totals[path], now.totals[path], now.atMs - before.atMs),
      ...quantiles(earlier.totals[path].durations, now.totals[path].durations),
    });
    points.push({
      atMs: this.#options.clock.now(),
      traffic: { legacy: over("legacy"), candidate: over("candidate") },
      inFlightBytes: { legacy: load.legacy.bytes, candidate: load.candidate.bytes },
    });
  }

  #trackOf(operation: string): Track {
    const known = this.#tracks.get(operation);
    if (known !== undefined) return known;
    const { everyMs, pointsMax } = this.#options;
    const looks = Math.ceil(minuteMs / everyMs) + 1;
    const track: Track = { points: new Ring(pointsMax), looks: new Ring(looks) };
    this.#tracks.set(operation, track);
    return track;
  }

  /** The first look after a moment, so that a span is never longer than asked for. */
  #lookBefore(operation: string, sinceMs: number): Look | null {
    const looks = this.#tracks.get(operation)?.looks.toArray() ?? [];
    return looks.find(({ atMs }) => atMs >= sinceMs) ?? looks.at(-1) ?? null;
  }
}

const noTraffic: PathTraffic = {
  perSecond: 0,
  failedPerSecond: 0,
  timedOutPerSecond: 0,
  p50Ms: null,
  p95Ms: null,
  p99Ms: null,
};

type Rates = Pick<PathTraffic, "perSecond" | "failedPerSecond" | "timedOutPerSecond">;

function rates(before: PathTotals, after: PathTotals, spanMs: number): Rates {
  const each = (from: number, to: number): number =>
    spanMs > 0 ? (Math.max(0, to - from) * 1000) / spanMs : 0;
  return {
    perSecond: each(before.runs, after.runs),
    failedPerSecond: each(before.failed, after.failed),
    timedOutPerSecond: each(before.timedOut, after.timedOut),
  };
}

type Quantiles = Pick<PathTraffic, "p50Ms" | "p95Ms" | "p99Ms">;

function quantiles(before: Float64Array, after: Float64Array): Quantiles {
  const counts = Array.from(after, (count, bucket) => Math.max(0, count - (before[bucket] ?? 0)));
  return {
    p50Ms: quantile(counts, boundsMs, 0.5),
    p95Ms: quantile(counts, boundsMs, 0.95),
    p99Ms: quantile(counts, boundsMs, 0.99),
  };
}

/**
 * The value below which the share `q` of the counted values lies, by straight lines within each bucket as
 * Prometheus' `histogram_quantile` draws them; the last bound for what is above it; null without values.
 * `counts` has one number for each of the ascending `bounds`, and one for everything above.
 */
export function quantile(
  counts: readonly number[],
  bounds: readonly number[],
  q: number,
): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = q * total;
  let below = 0;
  for (const [bucket, upper] of bounds.entries()) {
    const count = counts[bucket] ?? 0;
    if (count > 0 && below + count >= rank) {
      const lower = bounds[bucket - 1] ?? 0;
      return lower + (upper - lower) * Math.max(0, (rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1) ?? null;
}
