import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { Gate, type GateOptions } from "../../src/files/providers/steady/gate.ts";
import {
  fullPace,
  type PaceEvent,
  type PaceOptions,
  paceAfter,
} from "../../src/files/providers/steady/pace.ts";
import { failureOf, signal } from "./fixtures/provider-server.ts";

const options: PaceOptions = { maxLimit: 8, basePauseMs: 1000, maxPauseMs: 60_000 };
const throttled = (atMs: number, retryAfterMs = 0): PaceEvent => ({
  kind: "throttled",
  atMs,
  retryAfterMs,
  random: 0.5,
});

describe("the pace after a 429", () => {
  it("pauses as long as the provider asks, falls to one, and climbs back round by round", () => {
    let pace = paceAfter(fullPace(options), throttled(0, 7000), options);
    expect(pace).toMatchObject({ limit: 1, pausedUntilMs: 7000 });
    const limits: number[] = [];
    for (let n = 0; n < 28; n += 1) {
      pace = paceAfter(pace, { kind: "succeeded", atMs: 8000 }, options);
      limits.push(pace.limit);
    }
    expect(limits.slice(0, 6)).toEqual([2, 2, 3, 3, 3, 4]);
    expect(limits.at(-1)).toBe(8);
  });

  it("pauses for longer each time when nobody says how long, but not for 429s of the same moment", () => {
    const first = paceAfter(fullPace(options), throttled(0), options);
    expect(first.pausedUntilMs).toBe(750);
    expect(paceAfter(first, throttled(10), options).throttles).toBe(1);
    const second = paceAfter(first, throttled(1000), options);
    expect(second.pausedUntilMs).toBe(2500);
  });

  it("does not take an answer from before the pause for a recovery", () => {
    const paused = paceAfter(fullPace(options), throttled(0, 5000), options);
    expect(paceAfter(paused, { kind: "succeeded", atMs: 100 }, options)).toEqual(paused);
  });

  it("whatever happens, keeps between one and the maximum and pauses for a minute at most", () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant("succeeded" as const), ms: fc.nat(5000) }),
      fc.record({
        kind: fc.constant("throttled" as const),
        ms: fc.nat(5000),
        retryAfterMs: fc.nat(1_000_000),
        random: fc.double({ min: 0, max: 0.999, noNaN: true }),
      }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        let atMs = 0;
        let pace = fullPace(options);
        for (const { ms, ...each } of events) {
          atMs += ms;
          pace = paceAfter(pace, { ...each, atMs }, options);
          expect(pace.limit).toBeGreaterThanOrEqual(1);
          expect(pace.limit).toBeLessThanOrEqual(8);
          expect(pace.pausedUntilMs - atMs).toBeLessThanOrEqual(60_000);
        }
      }),
    );
  });
});

const gateOf = (more: Partial<GateOptions> = {}): { gate: Gate; clock: ManualClock } => {
  const clock = new ManualClock();
  const gate = new Gate(
    {
      provider: "kimi",
      uploads: 2,
      requests: 1,
      requestsPerSecond: null,
      waitingMax: 3,
      waitMs: 1000,
      pace: options,
      ...more,
    },
    clock,
    seededRandom(1),
  );
  return { gate, clock };
};

/** Work that runs until it is told to end. */
function job(
  gate: Gate,
  started: string[],
  name: string,
  lane: "uploads" | "requests" = "uploads",
) {
  const ending = Promise.withResolvers<void>();
  const done = gate.run(lane, signal, () => {
    started.push(name);
    return ending.promise;
  });
  done.catch(() => undefined);
  return { done, end: ending.resolve };
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("the queue in front of a provider", () => {
  it("runs so many at once, the others in order, and small requests not behind uploads", async () => {
    const { gate } = gateOf();
    const started: string[] = [];
    const jobs = ["a", "b", "c", "d"].map((name) => job(gate, started, name));
    job(gate, started, "look-up", "requests");
    await turn();
    expect(started).toEqual(["a", "b", "look-up"]);
    jobs[1]?.end();
    await turn();
    jobs[0]?.end();
    await turn();
    expect(started).toEqual(["a", "b", "look-up", "c", "d"]);
  });

  it("refuses what would wait behind too many, naming the limit", async () => {
    const { gate } = gateOf();
    const started: string[] = [];
    for (const name of ["a", "b", "c", "d", "e"]) job(gate, started, name);
    const error = await failureOf(job(gate, started, "f").done);
    expect(error).toMatchObject({
      code: "FILES_BUSY",
      status: 503,
      retryable: true,
      details: { provider: "kimi", running: 2, waiting: 3, limit: 3, effect: "absent" },
    });
    expect(error.message).toContain("at most 3 may wait");
    expect(started).toEqual(["a", "b"]);
  });

  it("lets nobody wait for ever", async () => {
    const { gate, clock } = gateOf();
    const started: string[] = [];
    const [running] = ["a", "b", "c"].map((name) => job(gate, started, name));
    const waiting = job(gate, started, "d");
    clock.advance(1000);
    expect(await failureOf(waiting.done)).toMatchObject({ code: "FILES_BUSY" });
    running?.end();
    await turn();
    expect(started).toEqual(["a", "b"]);
    expect(clock.pending).toBe(0);
  });

  it("lets a caller leave the queue, and the next one move up", async () => {
    const { gate } = gateOf({ uploads: 1 });
    const started: string[] = [];
    const first = job(gate, started, "a");
    const caller = new AbortController();
    const leaving = gate.run("uploads", caller.signal, () => Promise.resolve());
    const settled = leaving.catch((error: unknown) => error);
    job(gate, started, "c");
    caller.abort("gone");
    expect(await settled).toBe("gone");
    first.end();
    await turn();
    expect(started).toEqual(["a", "c"]);
  });

  it("stands still for everybody after a 429, then lets one through at a time", async () => {
    const { gate, clock } = gateOf({ waitMs: 60_000 });
    gate.throttled(5);
    const started: string[] = [];
    const jobs = ["a", "b", "c"].map((name) => job(gate, started, name));
    expect(gate.state).toMatchObject({ limit: 1, pausedMs: 5000, waiting: { uploads: 3 } });
    clock.advance(4999);
    await turn();
    expect(started).toEqual([]);
    clock.advance(1);
    await turn();
    expect(started).toEqual(["a"]);
    gate.succeeded();
    jobs[0]?.end();
    await turn();
    expect(started).toEqual(["a", "b", "c"]);
  });

  it("sends no more in a second than it may", async () => {
    const { gate, clock } = gateOf({
      uploads: 100,
      requestsPerSecond: 2,
      waitingMax: 100,
      waitMs: 60_000,
    });
    const started: string[] = [];
    for (let n = 0; n < 5; n += 1) job(gate, started, `${n}`);
    await turn();
    expect(started).toHaveLength(2);
    clock.advance(500);
    await turn();
    expect(started).toHaveLength(3);
    clock.advance(450);
    await turn();
    expect(started).toHaveLength(3);
    clock.advance(50);
    await turn();
    expect(started).toHaveLength(4);
  });
});
