import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type DecisionInput,
  decide,
  decideByFacts,
  decisionTable,
  type FactName,
  fact,
  factsOf,
} from "../../src/migration/decision.ts";

const calm: DecisionInput = {
  noLegacy: false,
  latched: false,
  override: null,
  hasKey: true,
  scoped: null,
  flagsStale: false,
  complete: false,
  flagOn: false,
  shadowOn: false,
  probe: false,
  noRoom: false,
  budgetSpent: false,
};

const anyInput: fc.Arbitrary<DecisionInput> = fc.record({
  noLegacy: fc.boolean(),
  latched: fc.boolean(),
  override: fc.constantFrom(null, "legacy" as const, "candidate" as const),
  hasKey: fc.boolean(),
  scoped: fc.constantFrom(null, "legacy" as const, "candidate" as const),
  flagsStale: fc.boolean(),
  complete: fc.boolean(),
  flagOn: fc.boolean(),
  shadowOn: fc.boolean(),
  probe: fc.boolean(),
  noRoom: fc.boolean(),
  budgetSpent: fc.boolean(),
});

describe("the decision", () => {
  it.each<[string, Partial<DecisionInput>, string, string, boolean]>([
    ["legacy was removed", { noLegacy: true, latched: true }, "candidate", "complete", false],
    ["flags are off", {}, "legacy", "flag-off", false],
    ["the flag is on", { flagOn: true }, "candidate", "flag-on", false],
    ["the flag is on and shadowed", { flagOn: true, shadowOn: true }, "candidate", "flag-on", true],
    ["the flag is off and shadowed", { shadowOn: true }, "legacy", "flag-off", true],
    ["the latch is tripped", { latched: true, flagOn: true }, "legacy", "latched", false],
    [
      "the latch is tripped and an operator asks for the candidate",
      { latched: true, override: "candidate" },
      "legacy",
      "latched",
      false,
    ],
    [
      "an operator asks for the candidate",
      { override: "candidate" },
      "candidate",
      "override",
      false,
    ],
    [
      "an operator asks for legacy",
      { override: "legacy", flagOn: true },
      "legacy",
      "override",
      false,
    ],
    ["the call has no key", { hasKey: false, flagOn: true }, "legacy", "no-key", false],
    ["the scope has decided", { scoped: "candidate" }, "candidate", "scope", false],
    ["flags are stale", { flagsStale: true, flagOn: true }, "legacy", "flags-stale", false],
    [
      "flags are stale but the rollout is complete",
      { flagsStale: true, flagOn: true, complete: true },
      "candidate",
      "flag-on",
      false,
    ],
    ["the candidate is full", { flagOn: true, noRoom: true }, "legacy", "shed", false],
    [
      "the exposure budget is spent",
      { flagOn: true, budgetSpent: true },
      "legacy",
      "budget-spent",
      false,
    ],
  ])("when %s", (_when, input, path, reason, shadow) => {
    expect(decide({ ...calm, ...input })).toEqual({ path, reason, shadow });
  });

  it("never sends a call to the candidate while the latch is tripped", () => {
    fc.assert(
      fc.property(
        anyInput,
        (input) => decide({ ...input, noLegacy: false, latched: true }).path === "legacy",
      ),
    );
  });

  it("reaches the candidate only through an override, a scope or an enabled flag", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const { path, reason } = decide({ ...input, noLegacy: false });
        if (path === "candidate") expect(["override", "scope", "flag-on"]).toContain(reason);
      }),
    );
  });

  it("shadows what the guard wants to see, and only on the candidate by its flag", () => {
    expect(decide({ ...calm, probe: true, flagOn: true })).toEqual({
      path: "candidate",
      reason: "flag-on",
      shadow: true,
      probe: true,
    });
    fc.assert(
      fc.property(anyInput, (input) => {
        const { probe, path, reason } = decide(input);
        if (probe === true) expect([path, reason]).toEqual(["candidate", "flag-on"]);
      }),
    );
  });

  it("shadows nothing unless the flags alone decided", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const { shadow, reason } = decide(input);
        if (shadow) expect(["flag-on", "flag-off"]).toContain(reason);
      }),
    );
  });

  it("gives the reason of the first row that holds", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const first = decisionTable.find((row) => row.when(input));
        expect(decide(input).reason).toBe(first?.reason);
      }),
    );
  });
});

describe("facts as bits of one number", () => {
  const bitsOf = (facts: DecisionInput): number => {
    const names: readonly (FactName | false)[] = [
      facts.latched && "latched",
      facts.override === "legacy" && "toLegacy",
      facts.override === "candidate" && "toCandidate",
      facts.hasKey && "hasKey",
      facts.scoped === "legacy" && "scopedLegacy",
      facts.scoped === "candidate" && "scopedCandidate",
      facts.flagsStale && "flagsStale",
      facts.complete && "complete",
      facts.flagOn && "flagOn",
      facts.shadowOn && "shadowOn",
      facts.noRoom && "noRoom",
      facts.budgetSpent && "budgetSpent",
      facts.noLegacy && "noLegacy",
      facts.probe && "probe",
    ];
    return names.reduce((bits, each) => (each === false ? bits : bits | fact[each]), 0);
  };

  it("lead to the table's decision, the same object each time, whatever the facts are", () => {
    fc.assert(
      fc.property(anyInput, (facts) => {
        const bits = bitsOf(facts);
        expect(factsOf(bits)).toEqual(facts);
        expect(decideByFacts(bits)).toBe(decide(facts));
        expect(decideByFacts(bits)).toBe(decideByFacts(bits));
      }),
    );
  });
});
