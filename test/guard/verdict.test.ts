import { describe, expect, it } from "vitest";
import { type RuleName, type Verdict, type VerdictKind, worst } from "../../src/guard/verdict.ts";

const says = (rule: RuleName, kind: VerdictKind, more: Partial<Verdict> = {}): Verdict => ({
  operation: "a.b",
  rule,
  kind,
  action: kind === "breached" ? "rollback" : "none",
  page: false,
  applies: true,
  observed: null,
  limit: null,
  samples: 0,
  sinceMs: null,
  sentence: `${rule} says ${kind}.`,
  ...more,
});

const rules: readonly RuleName[] = [
  "fatal",
  "memory",
  "exposure-budget",
  "new-exception",
  "latency",
  "error-rate",
  "timeout-rate",
  "mismatch",
  "shadow-error-rate",
];

/** Which rule speaks for all of them, in whichever order they are asked. */
function spokesman(verdicts: readonly Verdict[]): string {
  const { rule } = worst("a.b", verdicts);
  expect(worst("a.b", verdicts.toReversed()).rule).toBe(rule);
  return rule;
}

describe("the worst of several verdicts", () => {
  it("is the one of the worst kind, whichever rule it is of", () => {
    const kinds: readonly VerdictKind[] = [
      "healthy",
      "inconclusive",
      "blind",
      "suspect",
      "breached",
    ];
    for (const [index, kind] of kinds.entries()) {
      if (index === 0) continue;
      const before = kinds[index - 1] ?? "healthy";
      expect(spokesman([says("shadow-error-rate", kind), says("fatal", before)])).toBe(
        "shadow-error-rate",
      );
    }
  });

  it.each<[VerdictKind, RuleName]>([
    ["healthy", "error-rate"],
    ["inconclusive", "error-rate"],
    ["blind", "error-rate"],
    ["suspect", "fatal"],
    ["breached", "fatal"],
  ])("where all are %s is that of the rule %s", (kind, rule) => {
    expect(spokesman(rules.map((each) => says(each, kind)))).toBe(rule);
  });

  it("follows the same order when some rules are switched off or have nothing to judge", () => {
    const of = (kind: VerdictKind, ...without: readonly RuleName[]): Verdict[] =>
      rules.map((each) => says(each, kind, { applies: !without.includes(each) }));
    expect(spokesman(of("healthy", "error-rate"))).toBe("timeout-rate");
    expect(spokesman(of("healthy", "error-rate", "timeout-rate"))).toBe("latency");
    expect(spokesman(of("breached", "fatal"))).toBe("memory");
    expect(spokesman(of("breached", "fatal", "memory"))).toBe("error-rate");
  });

  it("counts a breach that only holds among the suspicions", () => {
    const holding = says("mismatch", "breached", { action: "hold" });
    expect(spokesman([holding, says("error-rate", "suspect")])).toBe("error-rate");
    expect(worst("a.b", [holding, says("error-rate", "healthy")])).toMatchObject({
      rule: "mismatch",
      kind: "suspect",
      action: "hold",
    });
  });

  it("is inconclusive where no rule can judge", () => {
    const none = { rule: "overall", kind: "inconclusive", applies: true };
    expect(worst("a.b", [])).toMatchObject(none);
    expect(worst("a.b", [says("fatal", "breached", { applies: false })])).toMatchObject(none);
  });
});
