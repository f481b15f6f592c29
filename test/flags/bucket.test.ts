import { createRequire } from "node:module";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketOf, inCohort, murmur3 } from "../../src/flags/bucket.ts";

// The hash that the Unleash SDK itself uses, as an oracle.
const requireFromSdk = createRequire(createRequire(import.meta.url).resolve("unleash-client"));
const oracle = requireFromSdk("murmurhash3js") as {
  x86: { hash32(text: string, seed?: number): number };
};

describe("the bucket of a key", () => {
  it("is the one that Unleash computes, for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), fc.nat(), (text, seed) => {
        expect(murmur3(text, seed)).toBe(oracle.x86.hash32(text, seed));
      }),
      { numRuns: 2000 },
    );
  });

  it("nests cohorts: whoever is in at 10 % is in at 50 %", () => {
    const keys = Array.from({ length: 20_000 }, (_, index) => `user-${index}`);
    const stages = [0, 1, 10, 50, 95, 100];
    let inside = new Set<string>();
    for (const percentage of stages) {
      const now = new Set(keys.filter((key) => inCohort("files", key, percentage)));
      expect([...inside].every((key) => now.has(key))).toBe(true);
      expect(Math.abs(now.size / keys.length - percentage / 100)).toBeLessThan(0.012);
      inside = now;
    }
    expect(inside.size).toBe(keys.length);
  });

  it("lies between 1 and 100", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (group, key) => {
        const bucket = bucketOf(group, key);
        expect(bucket >= 1 && bucket <= 100).toBe(true);
      }),
    );
  });
});
