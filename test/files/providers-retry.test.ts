import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CodedError } from "../../src/base/errors.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { Rate } from "../../src/files/retry/rate.ts";
import { RetryBudget } from "../../src/files/retry/retry-budget.ts";
import {
  decideRetry,
  defaultRetryPolicy,
  type FailedAttempt,
} from "../../src/files/retry/retry-policy.ts";
import { type RetryingOptions, retrying } from "../../src/files/retry/retrying.ts";
import { failureOf } from "./fixtures/provider-server.ts";

const transient = new CodedError("FILES_PROVIDER_UNAVAILABLE", "down", { retryable: true });
const final = new CodedError("FILES_PROVIDER_REJECTED", "no");
const asking = (seconds: number): CodedError =>
  new CodedError("FILES_PROVIDER_THROTTLED", "slow", {
    retryable: true,
    retryAfterSeconds: seconds,
  });
const failed = (more: Partial<FailedAttempt> = {}): FailedAttempt => ({
  attempt: 1,
  elapsedMs: 0,
  error: transient,
  isTransient: true,
  isAborted: false,
  ...more,
});

describe("the decision to try again", () => {
  it.each([
    ["what was aborted", { isAborted: true }, "aborted"],
    ["what is final", { error: final, isTransient: false }, "final"],
    ["the last attempt", { attempt: 4 }, "attempts"],
    ["what asks to wait for longer than a minute", { error: asking(61) }, "retry-after"],
    ["what has taken ten minutes", { elapsedMs: 600_000 }, "time"],
  ])("is no for %s", (_what, more, reason) => {
    expect(decideRetry(defaultRetryPolicy, failed(more), 0.5)).toEqual({ retry: false, reason });
  });

  it("waits a random part of a time that doubles, and never longer than the longest", () => {
    const delayOf = (attempt: number, random: number): number => {
      const policy = { ...defaultRetryPolicy, attempts: 100 };
      const decision = decideRetry(policy, failed({ attempt }), random);
      return decision.retry ? decision.delayMs : Number.NaN;
    };
    expect([1, 2, 3, 4].map((attempt) => delayOf(attempt, 0.999))).toEqual([
      499.5, 999, 1998, 3996,
    ]);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 99 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (n, r) => {
          expect(delayOf(n, r)).toBeGreaterThanOrEqual(0);
          expect(delayOf(n, r)).toBeLessThanOrEqual(20_000);
        },
      ),
    );
  });

  it("waits for as long as the provider asks, and not a moment less", () => {
    expect(decideRetry(defaultRetryPolicy, failed({ error: asking(7) }), 0)).toEqual({
      retry: true,
      delayMs: 7000,
    });
  });
});

/** Options on a clock that runs by itself whenever somebody waits on it. */
function options(more: Partial<RetryingOptions> = {}): RetryingOptions & { clock: ManualClock } {
  const clock = new ManualClock();
  const signal = new AbortController().signal;
  return { random: seededRandom(1), signal, ...more, clock };
}

/** Moves time on as soon as something waits, until `done` settles. */
async function runThrough<T>(clock: ManualClock, done: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  done.then(settle, settle);
  while (!isSettled) {
    await new Promise((resolve) => setImmediate(resolve));
    if (clock.pending > 0) clock.advance(100);
  }
  return done;
}

describe("trying again", () => {
  it("runs the work anew for each attempt, and gives its answer", async () => {
    const all = options();
    const attempts: number[] = [];
    const answer = retrying(async (number) => {
      attempts.push(number);
      if (number < 3) throw transient;
      return "stored";
    }, all);
    expect(await runThrough(all.clock, answer)).toBe("stored");
    expect(attempts).toEqual([1, 2, 3]);
    expect(all.clock.pending).toBe(0);
  });

  it("gives up with the error of the last attempt, as it was thrown", async () => {
    const all = options();
    const errors = [1, 2, 3, 4].map((n) => new CodedError("FILES_X", `${n}`, { retryable: true }));
    const failing = retrying((number) => Promise.reject(errors[number - 1]), all);
    expect(await failureOf(runThrough(all.clock, failing))).toBe(errors[3]);
  });

  it.each([final, new TypeError("a bug"), "a string", null])(
    "does not repeat what will not pass by itself: %s",
    async (thrown) => {
      let attempts = 0;
      const failing = retrying(() => {
        attempts += 1;
        return Promise.reject(thrown);
      }, options());
      expect(await failing.catch((error: unknown) => error)).toBe(thrown);
      expect(attempts).toBe(1);
    },
  );

  it("stops waiting when its caller gives up, with the caller's reason", async () => {
    const caller = new AbortController();
    const all = options({ signal: caller.signal });
    const waiting = retrying(() => Promise.reject(asking(30)), all);
    const settled = waiting.catch((error: unknown) => error);
    await new Promise((resolve) => setImmediate(resolve));
    expect(all.clock.pending).toBe(1);
    caller.abort("enough");
    expect(await settled).toBe("enough");
    expect(all.clock.pending).toBe(0);
  });

  it("does not lose what was done when its caller gives up at the same moment", async () => {
    const caller = new AbortController();
    const done = retrying(
      async () => {
        caller.abort();
        return "stored";
      },
      options({ signal: caller.signal }),
    );
    expect(await done).toBe("stored");
  });

  it("stops trying when the budget of all callers is spent, and starts again with success", async () => {
    const all = options();
    const budget = new RetryBudget(all.clock, { capacity: 2, perSuccess: 1, perSecond: 0 });
    let attempts = 0;
    const failing = (): Promise<never> => {
      attempts += 1;
      return Promise.reject(transient);
    };
    const run = <T>(work: () => Promise<T>): Promise<T> =>
      runThrough(all.clock, retrying(work, { ...all, budget }));
    await failureOf(run(failing));
    expect(attempts).toBe(3);
    await failureOf(run(failing));
    expect(attempts).toBe(4);
    await run(() => Promise.resolve("fine"));
    await failureOf(run(failing));
    expect(attempts).toBe(6);
  });
});

describe("a rate", () => {
  it("lets a second's worth through at once, and then as much as a second brings", () => {
    const clock = new ManualClock();
    const rate = new Rate(10, clock);
    expect(Array.from({ length: 12 }, () => rate.spend(1))).toEqual([
      ...Array(10).fill(0),
      100,
      200,
    ]);
    expect(rate.readyInMs).toBe(300);
    clock.advance(300);
    expect(rate.readyInMs).toBe(0);
    clock.advance(60_000);
    expect(rate.spend(10)).toBe(0);
    expect(rate.spend(5)).toBe(500);
  });

  it("of any size never lets more through than its speed and a second's worth", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 1e6, noNaN: true }),
        fc.array(fc.double({ min: 0.1, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 }),
        (perSecond, amounts) => {
          const clock = new ManualClock();
          const rate = new Rate(perSecond, clock);
          let sent = 0;
          for (const amount of amounts) {
            clock.advance(rate.spend(amount));
            sent += amount;
            const allowed = Math.max(1, perSecond) + (clock.monotonicMs() / 1000) * perSecond;
            expect(sent).toBeLessThanOrEqual(allowed * 1.000001 + 0.001);
          }
        },
      ),
    );
  });

  it.each([0, -1, Number.NaN])("cannot be %d", (perSecond) => {
    expect(() => new Rate(perSecond, new ManualClock())).toThrow(RangeError);
  });
});
