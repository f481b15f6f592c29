import { describe, expect, it } from "vitest";
import type { InstanceReport } from "../../src/migration/fleet.ts";
import type { TotalsSource } from "../../src/rollout/ports.ts";
import { type MemoryFleet, MemoryFleetHub } from "../support/memory-fleet.ts";
import { ann, operation, RolloutWorld } from "./rollout-world.ts";

/** A controller and three instances, whose reports a test writes. */
class FleetRollout extends RolloutWorld {
  readonly hub: MemoryFleetHub = new MemoryFleetHub(this.clock);
  readonly members: readonly MemoryFleet[] = ["a", "b", "c"].map((name) => this.hub.member(name));
  /** What every instance reports, unless a test says otherwise. */
  calls = 0;
  latched: readonly string[] = [];
  silent: readonly string[] = [];
  behind: readonly string[] = [];

  async report(): Promise<void> {
    this.calls += 20;
    const path = { calls: this.calls, failed: 0, timedOut: 0 };
    for (const member of this.members) {
      const { instance } = member;
      if (this.silent.includes(instance)) continue;
      const report: InstanceReport = {
        version: "1",
        startedAt: "2026-01-01T00:00:00.000Z",
        flags: { kind: "static", state: "fresh", revision: "1" },
        operations: [
          {
            operation,
            legacy: path,
            candidate: path,
            latched: this.latched.includes(instance),
            verdict: this.verdict,
            percentage: this.behind.includes(instance) ? 0 : this.exposure,
          },
        ],
      };
      await member.report(report);
    }
  }

  async walk(seconds: number, leader: ReturnType<RolloutWorld["controller"]>): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      await this.report();
      await this.second(leader);
    }
  }

  leader(totals?: TotalsSource): ReturnType<RolloutWorld["controller"]> {
    const [fleet] = this.members;
    if (fleet === undefined) throw new Error("no member");
    const product = {
      ...this.product(),
      rollBack: async (): Promise<void> => {
        await fleet.trip(operation, { by: { type: "rule", name: "quorum" }, reason: "quorum" });
        await this.rollBack();
      },
    };
    const change = totals === undefined ? { fleet, product } : { fleet, product, totals };
    return this.controller("a", change);
  }

  static async begun(totals?: TotalsSource) {
    const world = new FleetRollout();
    const leader = world.leader(totals);
    await world.report();
    await leader.command("start", operation, ann);
    return { world, leader };
  }
}

describe("a controller of a fleet", () => {
  it("walks by pooled counts, once every instance goes by the stage", async () => {
    const { world, leader } = await FleetRollout.begun();
    world.behind = ["c"];
    // At 0 % everybody agrees; at 1 % one of them lags.
    await world.walk(200, leader);
    expect(world.exposure).toBe(1);
    expect(leader.status(operation).gates.find(({ name }) => name === "instances")).toMatchObject({
      state: "waiting",
      sentence: expect.stringContaining("c (0 %)"),
    });
    world.behind = [];
    await world.walk(300, leader);
    expect(world.exposure).toBe(100);
    expect(leader.instances).toHaveLength(3);
  });

  it("holds while one instance is latched, and rolls back all when a quorum is", async () => {
    const { world, leader } = await FleetRollout.begun();
    await world.walk(200, leader);
    const before = world.exposure;
    expect(before).toBeGreaterThan(0);
    const trip = (instance: number): Promise<unknown> =>
      world.members[instance]?.publish({
        operation,
        tripped: true,
        epoch: 1,
        at: "2026-01-01T00:00:00.000Z",
        by: { type: "rule", name: "error-rate" },
        reason: "errors",
        evidence: {},
      }) ?? Promise.resolve();
    world.latched = ["b"];
    await trip(1);
    await world.walk(20, leader);
    expect([world.exposure, leader.status(operation).state]).toEqual([before, "held"]);
    world.latched = ["b", "c"];
    await trip(2);
    await world.walk(3, leader);
    expect([world.exposure, leader.status(operation).state]).toEqual([0, "rolled-back"]);
  });

  it("holds while the fleet or the source of counts cannot be reached", async () => {
    let blind = false;
    const own: TotalsSource = {
      read: async () => {
        if (blind) return { blind: "Prometheus is down." };
        const path = { calls: world.calls, failed: 0, timedOut: 0, durationMs: null };
        const each = { operation, legacy: path, candidate: path, compared: 0 };
        return { totals: ["a", "b", "c"].map((instance) => ({ instance, ...each })) };
      },
    };
    const { world, leader } = await FleetRollout.begun(own);
    await world.walk(80, leader);
    const before = world.exposure;
    expect(before).toBeGreaterThan(0);
    blind = true;
    await world.walk(200, leader);
    expect(world.exposure).toBe(before);
    expect(leader.status(operation)).toMatchObject({ state: "held", samples: expect.any(Number) });
    expect(leader.status(operation).why).toContain("Prometheus is down.");
    blind = false;
    for (const member of world.members) member.cutOff = true;
    await world.seconds(100, leader);
    expect([world.exposure, leader.status(operation).state]).toEqual([before, "held"]);
  });

  it("holds when no instance reports any more", async () => {
    const { world, leader } = await FleetRollout.begun();
    await world.walk(80, leader);
    const before = world.exposure;
    world.silent = ["a", "b", "c"];
    await world.walk(100, leader);
    expect([world.exposure, leader.status(operation).state]).toEqual([before, "held"]);
  });
});
