import { describe, expect, it } from "vitest";
import { type Policy, parsePolicy } from "../../src/guard/policy.ts";
import type { RuleName } from "../../src/guard/verdict.ts";
import { anOperation, calm, healthyFor, type Watching, watching, withRule } from "./support.ts";

/* What a breach does is the policy's to say, for each rule of its own. */

const fail = (w: Watching, count: number, error?: Error): void => {
  for (let n = 0; n < count; n += 1) {
    w.see({ path: "candidate", kind: "failed", ...(error ? { error } : {}) });
  }
};
const coded = (code: string): Error => Object.assign(new Error("x"), { code });

/** How each rule is breached, after two minutes of health. */
const breaches: readonly [keyof Policy, RuleName, (w: Watching) => void][] = [
  ["errorRate", "error-rate", (w) => fail(w, 20)],
  [
    "timeoutRate",
    "timeout-rate",
    (w) => {
      for (let n = 0; n < 20; n += 1) w.see({ path: "candidate", kind: "timed-out" });
    },
  ],
  [
    "latency",
    "latency",
    (w) => {
      w.clock.advance(200_000);
      healthyFor(w, 10);
      for (let n = 0; n < 60; n += 1) w.see({ path: "candidate", ms: 900 });
    },
  ],
  ["newException", "new-exception", (w) => fail(w, 4, coded("ENEW"))],
  ["memory", "memory", fillMemory],
  ["fatal", "fatal", (w) => fail(w, 1, coded("ERR_WORKER_OUT_OF_MEMORY"))],
];

function fillMemory(w: Watching): void {
  w.see({ path: "candidate" });
  w.memory = { ...calm, ratio: 0.95, usedBytes: 0.95 * calm.limitBytes };
  w.clock.advance(3000);
}

describe("a breach", () => {
  it.each(
    breaches.flatMap(([rule, name, breach]) =>
      (["rollback", "hold", "alert", "stop-shadow"] as const).map(
        (action) => [name, action, rule, breach] as const,
      ),
    ),
  )("of %s does what the policy says: %s", (name, action, rule, breach) => {
    const cost = (): { legacy: number; candidate: number } => ({ legacy: 1, candidate: 40 });
    const operation = anOperation({ deadlineMs: 1000, cost });
    const w = watching(withRule(rule, { action }), { operation });
    healthyFor(w, 120);
    breach(w);
    if (name !== "memory") w.clock.advance(1000);
    expect(w.verdict(name)).toMatchObject({ kind: "breached", action });
    expect(operation.latch.tripped).toBe(action === "rollback");
    if (action === "rollback") expect(operation.latch.record?.by.name).toBe(name);
    // Memory that is short sheds shadows whatever is done about the candidate.
    const shadows = action !== "stop-shadow" && name !== "memory";
    expect(w.guard.mayShadow(operation.name)).toBe(shadows);
  });

  it.each([
    ["shadowErrorRate", "rollback"],
    ["exposureBudget", "rollback"],
    ["exposureBudget", "stop-shadow"],
    ["errorRate", "none"],
  ])("of %s cannot do what makes no sense for it: %s", (rule, action) => {
    expect(() => parsePolicy({ [rule]: { action } })).toThrow(`${rule}.action`);
  });
});
