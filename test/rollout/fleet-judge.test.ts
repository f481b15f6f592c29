import { describe, expect, it } from "vitest";
import { defaultPolicy } from "../../src/guard/policy.ts";
import type { EvidenceTotals } from "../../src/rollout/evidence.ts";
import { FleetJudge } from "../../src/rollout/fleet/fleet-judge.ts";
import { PooledTotals } from "../../src/rollout/fleet/pooled-totals.ts";
import { judgeTogether } from "../../src/rollout/judgement.ts";
import type { InstanceTotals } from "../../src/rollout/ports.ts";

const operation = "shop.resize";

/** Instances that count, and a judge that looks once a second. */
class PooledWorld {
  readonly judge: FleetJudge = new FleetJudge(operation, defaultPolicy, false);
  readonly pool: PooledTotals = new PooledTotals();
  readonly #totals = new Map<string, EvidenceTotals>();
  second = 0;

  /** Each instance's calls in one second: on the candidate, of which bad, and on legacy. */
  look(calls: Readonly<Record<string, readonly [number, number, number]>>): string {
    this.second += 1;
    for (const [instance, [candidate, bad, legacy]] of Object.entries(calls)) {
      const before = this.#totals.get(instance);
      const path = (now: EvidenceTotals["legacy"] | undefined, more: number, failed: number) => ({
        calls: (now?.calls ?? 0) + more,
        failed: (now?.failed ?? 0) + failed,
        timedOut: 0,
        durationMs: null,
      });
      this.#totals.set(instance, {
        candidate: path(before?.candidate, candidate, bad),
        legacy: path(before?.legacy, legacy, 0),
        compared: 0,
      });
    }
    const totals = [...this.#totals].map(
      ([instance, each]): InstanceTotals => ({ instance, operation, ...each }),
    );
    this.judge.add(this.pool.add(totals), this.second);
    return this.judge.verdict(this.second * 1000).kind;
  }
}

const three = <T>(value: T): Record<string, T> => ({ a: value, b: value, c: value });

describe("the fleet's judge", () => {
  it("finds in the sum what is too rare for each instance, and calls it breached", () => {
    const world = new PooledWorld();
    for (let second = 0; second < 120; second += 1) world.look(three([1, 0, 50]));
    let kind = "";
    let seconds = 0;
    while (kind !== "breached" && seconds < 120) {
      kind = world.look(three([1, seconds % 2, 50]));
      seconds += 1;
    }
    expect(kind).toBe("breached");
    expect(world.judge.verdict(0)).toMatchObject({ action: "rollback", rule: "error-rate" });
  });

  it("does not take one sick instance for the fleet", () => {
    const world = new PooledWorld();
    for (let second = 0; second < 120; second += 1) world.look(three([5, 0, 50]));
    const kinds = new Set<string>();
    for (let second = 0; second < 120; second += 1) {
      kinds.add(world.look({ ...three([5, 0, 50] as const), a: [5, 5, 50] }));
    }
    expect(kinds).not.toContain("breached");
    expect(kinds).toContain("suspect");
  });

  it("is healthy with positive evidence only, and blind without counts", () => {
    const world = new PooledWorld();
    expect(world.judge.verdict(0).kind).toBe("blind");
    expect(world.look(three([1, 0, 20]))).not.toBe("healthy");
    for (let second = 0; second < 120; second += 1) world.look(three([1, 0, 20]));
    expect(world.look(three([1, 0, 20]))).toBe("healthy");
    world.judge.beginPeriod();
    expect(world.look(three([1, 0, 20]))).toBe("inconclusive");
    world.judge.lose("Prometheus is down.", 5000);
    expect(world.judge.verdict(6000)).toMatchObject({
      kind: "blind",
      sentence: "Prometheus is down.",
    });
  });

  it("takes a counter that went down for one that began anew, and a new one for unknown", () => {
    const pool = new PooledTotals();
    const at = (instance: string, calls: number): InstanceTotals => {
      const path = { calls, failed: 0, timedOut: 0, durationMs: null };
      return { instance, operation, legacy: path, candidate: path, compared: 0 };
    };
    expect(pool.add([at("a", 1000)]).sum.candidate.calls).toBe(0);
    expect(pool.add([at("a", 1010), at("b", 500)]).sum.candidate.calls).toBe(10);
    expect(pool.add([at("a", 7), at("b", 501)]).sum.candidate.calls).toBe(8);
  });
});

describe("the verdict of a fleet", () => {
  const healthy = { kind: "healthy", sentence: "Fine." } as const;
  const said = (...kinds: ("healthy" | "suspect" | "breached" | "inconclusive" | "blind")[]) =>
    kinds.map((kind, index) => ({ instance: `i${index}`, kind }));

  it("needs the sum, nobody alarmed, and one instance healthy by all of its rules", () => {
    expect(judgeTogether(healthy, said("healthy", "inconclusive", "blind")).kind).toBe("healthy");
    expect(judgeTogether(healthy, said("inconclusive", "blind")).kind).toBe("inconclusive");
    expect(judgeTogether(healthy, said("healthy", "suspect")).kind).toBe("suspect");
    expect(judgeTogether(healthy, said("healthy", "breached")).kind).toBe("suspect");
    expect(judgeTogether(healthy, []).kind).toBe("blind");
    const blind = { kind: "blind", sentence: "No data." } as const;
    expect(judgeTogether(blind, said("healthy")).kind).toBe("blind");
  });
});
