import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CodedError } from "../../src/base/errors.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import {
  defaultHealthLimits,
  type HealthSign,
  type HealthState,
  nextHealth,
  unknownHealth,
} from "../../src/files/providers/health/health.ts";
import { HealthWatch } from "../../src/files/providers/health/health-watch.ts";
import { nextThroughput, noThroughput } from "../../src/files/providers/health/throughput.ts";
import { signal } from "./fixtures/provider-server.ts";

const quick: HealthSign = { kind: "answered", ms: 10 };
const slow: HealthSign = { kind: "answered", ms: 2001 };
const uploaded: HealthSign = { kind: "answered", ms: null };
const failed: HealthSign = { kind: "failed", reason: "no answer" };
const throttled: HealthSign = { kind: "throttled", reason: "HTTP 429" };
const unauthorised: HealthSign = { kind: "unauthorised", reason: "HTTP 401" };

const stateAfter = (...signs: HealthSign[]): HealthState =>
  signs.reduce((health, sign) => nextHealth(health, sign, 1), unknownHealth(0)).state;

describe("the health of a provider", () => {
  it.each<[string, HealthSign[], HealthState]>([
    ["unknown before anything", [], "unknown"],
    ["up after an answer", [quick], "up"],
    ["slow after an answer that took too long", [quick, slow], "slow"],
    ["up again after a quick one", [slow, quick], "up"],
    ["still slow after an upload, whose time says nothing", [slow, uploaded], "slow"],
    ["up after an upload that went through", [throttled, uploaded], "up"],
    ["throttled after a 429", [quick, throttled], "throttled"],
    ["unauthorised as soon as the key is refused", [quick, unauthorised], "unauthorised"],
    ["up after one failure of one that worked", [quick, failed], "up"],
    ["down after two in a row", [quick, failed, failed], "down"],
    ["not down when they were not in a row", [quick, failed, quick, failed], "up"],
    ["down at once when it was never seen to work", [failed], "down"],
    ["down when it first refused the key and then was gone", [unauthorised, failed], "down"],
  ])("is %s", (_what, signs, state) => {
    expect(stateAfter(...signs)).toBe(state);
  });

  it("says since when and why", () => {
    const up = nextHealth(unknownHealth(0), quick, 1000);
    expect(up).toMatchObject({ state: "up", sinceMs: 1000, reason: "", answerMs: 10 });
    expect(nextHealth(up, quick, 2000)).toMatchObject({ sinceMs: 1000, checkedMs: 2000 });
    expect(nextHealth(up, slow, 3000)).toMatchObject({
      state: "slow",
      sinceMs: 3000,
      reason: "it answered after 2001 ms; the limit is 2000 ms",
    });
  });

  it("always has a reason unless it is up, whatever happened", () => {
    const sign = fc.constantFrom(quick, slow, uploaded, failed, throttled, unauthorised);
    fc.assert(
      fc.property(fc.array(sign, { minLength: 1, maxLength: 30 }), (signs) => {
        const health = signs.reduce((each, next) => nextHealth(each, next, 1), unknownHealth(0));
        const isFine = health.state === "up" && health.failures === 0;
        expect(health.reason === "").toBe(isFine);
      }),
    );
  });
});

describe("watching a provider", () => {
  const error = (code: string, providerStatus?: number): CodedError =>
    new CodedError(code, "", { retryable: true, details: { providerStatus } });

  it("asks once for all who want to know, and not again before it may have changed", async () => {
    const clock = new ManualClock();
    let probes = 0;
    const watch = new HealthWatch({
      probe: async () => {
        probes += 1;
      },
      clock,
      limits: defaultHealthLimits,
      ttlMs: 30_000,
    });
    const states = await Promise.all([1, 2, 3].map(() => watch.check(signal)));
    expect(states.map(({ state }) => state)).toEqual(["up", "up", "up"]);
    expect(probes).toBe(1);
    clock.advance(29_999);
    await watch.check(signal);
    expect(probes).toBe(1);
    clock.advance(1);
    await watch.check(signal);
    expect(probes).toBe(2);
  });

  it.each<[string, number | undefined, HealthState]>([
    ["FILES_PROVIDER_UNAVAILABLE", 503, "down"],
    ["FILES_PROVIDER_UNAUTHORISED", 401, "unauthorised"],
    ["FILES_PROVIDER_THROTTLED", 429, "throttled"],
    ["FILES_PROVIDER_QUOTA", 429, "throttled"],
    ["FILES_PROVIDER_QUOTA", 400, "up"],
    ["FILES_PROVIDER_REJECTED", 400, "up"],
    ["FILES_SOURCE_CHANGED", undefined, "unknown"],
  ])("takes %s with HTTP %s for %s", (code, status, state) => {
    const watch = new HealthWatch({
      probe: () => Promise.resolve(),
      clock: new ManualClock(),
      limits: defaultHealthLimits,
      ttlMs: 1,
    });
    watch.failed(error(code, status));
    expect(watch.current.state).toBe(state);
  });

  it("lets a caller give up, and tells the others all the same", async () => {
    const answering = Promise.withResolvers<void>();
    const watch = new HealthWatch({
      probe: () => answering.promise,
      clock: new ManualClock(),
      limits: defaultHealthLimits,
      ttlMs: 1,
    });
    const caller = new AbortController();
    const leaving = watch.check(caller.signal).catch((reason: unknown) => reason);
    const staying = watch.check(signal);
    caller.abort("gone");
    expect(await leaving).toBe("gone");
    answering.resolve();
    expect((await staying).state).toBe("up");
  });
});

describe("the throughput of a provider", () => {
  it("follows what uploads showed, and small ones show nothing", () => {
    const first = nextThroughput(noThroughput, { bytes: 1_000_000, ms: 1000 });
    expect(first).toEqual({ bytesPerSecond: 1_000_000, samples: 1 });
    expect(nextThroughput(first, { bytes: 2_000_000, ms: 1000 }).bytesPerSecond).toBe(1_300_000);
    expect(nextThroughput(first, { bytes: 100, ms: 1000 })).toEqual(first);
    expect(nextThroughput(first, { bytes: 1_000_000, ms: 0 })).toEqual(first);
  });
});
