import { createHash } from "node:crypto";
import { performance } from "node:perf_hooks";
import { setTimeout as wait } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { systemClock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type Changeover, createChangeover } from "../../src/changeover.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import { serveJob } from "../../src/harness/child.ts";
import { quantileOfSorted } from "../../src/harness/statistics.ts";
import { type ArrivalsOrder, sharedMicroseconds } from "./shadow-arrivals.ts";

/** One launch: blocks without and with shadows, in turn. */
export interface ShadowJob {
  /** How busy the event loop should be, 0 to 1. */
  readonly utilisation: number;
  /** Whether it should be as busy with or without shadows. */
  readonly calibrate: "with shadows" | "without shadows";
  /** How long the backend of every call takes to answer, in milliseconds: its distance. */
  readonly backendMs: number;
  /** Shadows that may run at the same time; the farther the backend, the more of them are under way. */
  readonly concurrentMax: number;
  /** Share of the calls that are shadowed, in percent, while shadows are on. */
  readonly percentage: number;
  readonly pairs: number;
  readonly blockMs: number;
  /** A stretch of looking for the rate at which it is as busy as it should be, in milliseconds. */
  readonly calibrationMs: number;
  readonly seed: number;
}

/** What one block showed. */
export interface ShadowBlock {
  readonly calls: number;
  /** Milliseconds from the caller's request to its answer. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Share of the time that the event loop was busy, 0 to 1. */
  readonly utilisation: number;
  /** Shadows that ran to their end. */
  readonly ran: number;
  /** Shadows shed, by reason. */
  readonly skipped: Readonly<Record<string, number>>;
  /** Shadows that waited for their turn when the last caller had its answer. */
  readonly waitingAtEnd: number;
  /** Milliseconds until none was left after that. */
  readonly drainedMs: number;
}

/** What one launch measured. */
export interface ShadowLaunch {
  /** Calls a second. */
  readonly perSecond: number;
  readonly off: readonly ShadowBlock[];
  readonly on: readonly ShadowBlock[];
}

const operation = "bench.read";
const CALIBRATION_ROUNDS = 4;
const FIRST_RATE = 300;
/** On a machine that is too busy to be as idle as it should be, a block still needs callers. */
const RATE_MIN = 50;
const DRAIN_LIMIT_MS = 20_000;
/** Arrivals at the beginning of a block that are not counted: caches and queues fill. */
const SETTLE_SHARE = 0.1;

serveJob<ShadowJob, ShadowLaunch>(async (job, { progress }) => {
  const bench = new ShadowBench(job);
  try {
    const random = seededRandom(job.seed);
    let perSecond = FIRST_RATE;
    const shadowed = job.calibrate === "with shadows";
    for (let round = 0; round < CALIBRATION_ROUNDS; round += 1) {
      const order = { perSecond, durationMs: job.calibrationMs, seed: round };
      // The other state too, so that code and caches of both are warm.
      await bench.block(!shadowed, order);
      const { utilisation } = await bench.block(shadowed, order);
      const rate = Math.round((perSecond * job.utilisation) / Math.max(0.02, utilisation));
      perSecond = Math.max(RATE_MIN, rate);
    }
    const off: ShadowBlock[] = [];
    const on: ShadowBlock[] = [];
    for (let pair = 0; pair < job.pairs; pair += 1) {
      const offFirst = random.next() < 0.5;
      for (const withShadows of offFirst ? [false, true] : [true, false]) {
        const seed = job.seed * 1000 + pair;
        const order = { perSecond, durationMs: job.blockMs, seed };
        (withShadows ? on : off).push(await bench.block(withShadows, order));
      }
      progress(`${perSecond} calls a second, pair ${pair + 1} of ${job.pairs}`);
    }
    return { perSecond, off, on };
  } finally {
    await bench.close();
  }
});

interface Answer {
  readonly id: number;
  readonly digest: string;
  readonly fields: readonly string[];
}

const page = Buffer.alloc(8 * 1024, "changeover");
const record = JSON.stringify(Array.from({ length: 60 }, (_, index) => `field ${index}`));

/** A small read: a wait for the backend, then parsing and hashing what it sent. */
async function read(id: number, backendMs: number): Promise<Answer> {
  await wait(backendMs);
  const fields = JSON.parse(record) as string[];
  return { id, digest: createHash("sha256").update(page).digest("hex"), fields };
}

/** One process that serves callers, whose shadows can be switched on and off. */
class ShadowBench {
  readonly #flags = staticFlags({ [operation]: { percentage: 0, shadow: 0 } });
  readonly #worker = new Worker(new URL("./shadow-arrivals.ts", import.meta.url));
  readonly #changeover: Promise<Changeover>;

  readonly #percentage: number;

  constructor({ percentage, backendMs, concurrentMax }: ShadowJob) {
    this.#percentage = percentage;
    // No cap for each minute: shadows have to be shed for want of room, not by a count.
    const shadow = { perMinuteMax: 1e9, concurrentMax };
    this.#changeover = createChangeover({ flags: this.#flags, shadow });
    this.#serve = this.#changeover.then((changeover) =>
      changeover.migrate<number, Answer>({
        name: operation,
        kind: "read",
        legacy: (id) => read(id, backendMs),
        candidate: (id) => read(id, backendMs),
      }),
    );
  }

  readonly #serve: Promise<(id: number, options: { key: string }) => Promise<Answer>>;

  async block(withShadows: boolean, order: ArrivalsOrder): Promise<ShadowBlock> {
    const changeover = await this.#changeover;
    const change = { by: "bench", reason: "measuring" };
    await this.#flags.control?.setShadow(operation, withShadows ? this.#percentage : 0, change);
    const before = await shadowCounts(changeover);
    const busy = performance.eventLoopUtilization();
    const latenciesMs = await this.#callers(await this.#serve, order);
    const { utilization } = performance.eventLoopUtilization(busy);
    const answered = await shadowCounts(changeover);
    const inFlight = changeover.shadowsInFlight;
    // Of a part of the calls nobody knows beforehand how many were picked.
    const isKnown = !withShadows || this.#percentage === 100;
    const picked = withShadows ? latenciesMs.length : 0;
    const drainedMs = await drain(changeover, isKnown ? before.ended + picked : null);
    const after = await shadowCounts(changeover);
    const waitingAtEnd = after.ended - answered.ended - inFlight;
    const counted = Float64Array.from(
      latenciesMs.slice(Math.floor(latenciesMs.length * SETTLE_SHARE)),
    ).sort();
    return {
      calls: latenciesMs.length,
      p50Ms: quantileOfSorted(counted, 0.5),
      p95Ms: quantileOfSorted(counted, 0.95),
      p99Ms: quantileOfSorted(counted, 0.99),
      utilisation: utilization,
      ran: after.ran - before.ran,
      skipped: difference(before.skipped, after.skipped),
      waitingAtEnd,
      drainedMs,
    };
  }

  /** Serves everybody who comes; resolves when the last one has been answered. */
  #callers(
    serve: (id: number, options: { key: string }) => Promise<Answer>,
    order: ArrivalsOrder,
  ): Promise<number[]> {
    const latenciesMs: number[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<number[]>();
    let arrived = 0;
    let answered = 0;
    let over = false;
    const finish = (): void => {
      if (!over || answered < arrived) return;
      this.#worker.off("message", onMessage);
      this.#worker.off("error", reject);
      resolve(latenciesMs);
    };
    const one = async (index: number, sentUs: number): Promise<void> => {
      await serve(index, { key: `user-${index % 1000}` });
      latenciesMs[index] = (sharedMicroseconds() - sentUs) / 1000;
      answered += 1;
      finish();
    };
    const onMessage = (message: number | "end"): void => {
      if (message === "end") {
        over = true;
        finish();
        return;
      }
      one(arrived, message).catch(reject);
      arrived += 1;
    };
    this.#worker.on("message", onMessage);
    this.#worker.once("error", reject);
    this.#worker.postMessage(order);
    return promise;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
    await (await this.#changeover).close();
  }
}

interface ShadowCounts {
  readonly ran: number;
  readonly skipped: Readonly<Record<string, number>>;
  /** Ran or skipped: no longer waiting and not running. */
  readonly ended: number;
}

/** From what a scrape of the metrics shows. */
async function shadowCounts(changeover: Changeover): Promise<ShadowCounts> {
  const text = await changeover.metrics.text();
  const ran = sumOf(text, /^changeover_shadow_runs_total\{.*result="(\w+)".*\} (\d+)$/gm);
  const skipped = sumOf(text, /^changeover_shadow_skipped_total\{.*reason="([\w-]+)".*\} (\d+)$/gm);
  const total = (counts: Record<string, number>): number =>
    Object.values(counts).reduce((sum, count) => sum + count, 0);
  return { ran: total(ran), skipped, ended: total(ran) + total(skipped) };
}

function sumOf(text: string, pattern: RegExp): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [, label = "", value = "0"] of text.matchAll(pattern)) {
    found[label] = (found[label] ?? 0) + Number(value);
  }
  return found;
}

function difference(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  const grown = Object.entries(after).map(
    ([reason, count]) => [reason, count - (before[reason] ?? 0)] as const,
  );
  return Object.fromEntries(grown.filter(([, count]) => count > 0));
}

/** How long nothing may have ended for a queue of unknown length to count as empty, in milliseconds. */
const QUIET_MS = 100;

/**
 * Waits until as many shadows have ended as were picked (null: until none runs and none has ended for a
 * while), so that none runs into the next block. Returns when the last one ended.
 */
async function drain(changeover: Changeover, ended: number | null): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  const passedMs = (): number => systemClock.monotonicMs() - startedMs;
  let seen = (await shadowCounts(changeover)).ended;
  let seenMs = 0;
  const isDone = (): boolean =>
    ended === null
      ? changeover.shadowsInFlight === 0 && passedMs() - seenMs > QUIET_MS
      : seen >= ended;
  while (!isDone()) {
    if (passedMs() > DRAIN_LIMIT_MS) {
      throw new CodedError(
        "BENCH_SHADOWS_STUCK",
        `Shadows had not ended ${DRAIN_LIMIT_MS} ms after the last caller was answered.`,
      );
    }
    await wait(5);
    const now = (await shadowCounts(changeover)).ended;
    if (now !== seen) seenMs = passedMs();
    seen = now;
  }
  return ended === null ? seenMs : passedMs();
}
