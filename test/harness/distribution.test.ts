import { describe, expect, it } from "vitest";
import { codeOf } from "../../src/base/errors.ts";
import { measureDistribution } from "../../src/harness/distribution.ts";

describe("the distribution of single calls", () => {
  it("names each subject, counts its calls and has quantiles in order", async () => {
    let calls = 0;
    const found = await measureDistribution(
      [
        {
          name: "first",
          call: async () => {
            calls += 1;
          },
        },
        { name: "second", call: async () => undefined },
      ],
      { timeMs: 20, warmupMs: 5 },
    );
    expect(found.map(({ name }) => name)).toEqual(["first", "second"]);
    for (const { p50Ns, p95Ns, p99Ns, p999Ns, maxNs } of found) {
      const quantiles = [p50Ns, p95Ns, p99Ns, p999Ns, maxNs];
      expect(quantiles).toEqual(quantiles.toSorted((a, b) => a - b));
      expect(maxNs).toBeGreaterThan(0);
    }
    expect(found[0]?.calls).toBeGreaterThan(0);
    expect(calls).toBeGreaterThanOrEqual(found[0]?.calls ?? 0);
  });

  it("fails with the subject's name and error, and not with numbers, when a call throws", async () => {
    const cause = new Error("broken");
    const subject = { name: "bad", call: () => Promise.reject(cause) };
    const error = await measureDistribution([subject], { timeMs: 20, warmupMs: 5 }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(codeOf(error)).toBe("HARNESS_SUBJECT_FAILED");
    expect(String(error)).toContain('"bad"');
    expect((error as Error).cause).toBe(cause);
  });

  it("ends with the signal's reason", async () => {
    const reason = new Error("enough");
    const subject = { name: "any", call: async () => undefined };
    const running = measureDistribution([subject], { signal: AbortSignal.abort(reason) });
    await expect(running).rejects.toBe(reason);
  });
});
