import { loadavg } from "node:os";
import { describe, expect, it } from "vitest";
import type { TestUnleash } from "../../support/unleash.ts";
import { type FleetWorld, inWorld, pause, until, viewsOf } from "./fleet-world.ts";
import type { Instance } from "./instance.ts";

/** How often a rollback of the whole fleet is measured; 20 for figures that are told to others. */
const runs = Number(process.env["CHANGEOVER_FLEET_RUNS"] ?? 4);
const person = { by: "ana", reason: "a test" };

/** One rollback of the fleet, in milliseconds. */
interface Measured {
  /** From the failure that was one too many to the latch of the same process: the slowest of all. */
  readonly localMs: number;
  /** From the latch that made the quorum until the last instance had every key on legacy. */
  readonly fleetMs: number;
  /** From the fault until then. */
  readonly totalMs: number;
  readonly harmed: number;
}

/** The candidate breaks in one instance, and in all: who rolls back, and how fast. */
export function rollbackTimes(unleash: () => TestUnleash): void {
  describe("a candidate that breaks at 50 %", () => {
    it("in 1 of 3 instances: only that one latches, and somebody is told", () =>
      inWorld(unleash(), async (world) => {
        const [a, b, c] = await exposed(world);
        await a.ask("break", true);
        await until("the sick instance latches", async () => (await a.view()).latch.tripped);
        await until("it is journalled", async () => (await a.view()).rollbacks.length > 0);
        // Longer than the others ask for the quorum.
        await pause(2500);
        const [sick, ...well] = await viewsOf([a, b, c]);
        expect(sick?.exposed).toBe(0);
        expect(sick?.rollbacks).toEqual([
          "latch already, broadcast skipped, flag skipped, read-back skipped",
        ]);
        expect(sick?.notices).toContain(`${world.operation} was rolled back to legacy`);
        for (const { latch, exposed: keys } of well) {
          expect(latch.tripped).toBe(false);
          expect(keys).toBeGreaterThan(0);
        }
        expect(await world.flagged()).toBe(50);
        const told = (await b.ask("journal")).filter(({ kind }) => kind === "rollback");
        expect(told).toHaveLength(1);
        expect(told[0]?.actor.type).toBe("rule");
      }));

    it.each([
      { name: "by broadcast and flag", broadcast: true },
      { name: "by the flag alone", broadcast: false },
    ])("in all: every instance is on legacy $name", ({ name, broadcast }) =>
      inWorld(unleash(), async (world) => {
        const instances = await exposed(world, broadcast);
        const measured: Measured[] = [];
        const loads: number[] = [];
        for (let run = 0; run < runs; run += 1) {
          if (run > 0) await again(world);
          measured.push(await breakAll(world, instances));
          loads.push(loadavg()[0] ?? 0);
        }
        expect(measured).toHaveLength(runs);
        const load = `load ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
        console.log(`${name}, ${runs} runs, ${load}:\n${tableOf(measured)}`);
      }),
    );
  });
}

/** Three instances at 50 %; the last one has too few calls to find out anything by itself. */
async function exposed(
  world: FleetWorld,
  broadcast = true,
): Promise<[Instance, Instance, Instance]> {
  const policy = { memory: { enabled: false } };
  const [a, b, c] = await world.startAll(3, { broadcast, policy, mayLead: false });
  if (a === undefined || b === undefined || c === undefined) throw new Error("no instances");
  await Promise.all([a.ask("load", 100), b.ask("load", 100), c.ask("load", 2)]);
  await world.expose(50);
  // So that legacy has a rate of its own to be compared with.
  await until("legacy is known", async () => {
    const views = await viewsOf([a, b]);
    return views.every(({ calls }) => calls.legacy > 150);
  });
  return [a, b, c];
}

async function breakAll(
  world: FleetWorld,
  instances: readonly [Instance, Instance, Instance],
): Promise<Measured> {
  const before = await viewsOf(instances);
  const harmedBefore = before.reduce((sum, { harmed }) => sum + harmed, 0);
  const brokenAtMs = Date.now();
  await Promise.all(instances.map((each) => each.ask("break", true)));
  await until("every instance is on legacy and the flag is off", async () => {
    const views = await viewsOf(instances);
    return views.every(({ exposed: keys }) => keys === 0) && (await world.flagged()) === 0;
  });
  const views = await viewsOf(instances);
  const [a, b] = views;
  const own = [a, b].filter((each) => each?.latch.by?.startsWith("rule"));
  const latchedAt = own.map((each) => each?.latch.trippedAtMs ?? 0);
  const quorumAtMs = latchedAt.length === 2 ? Math.max(...latchedAt) : Number.NaN;
  const legacyAt = views.map(({ exposures }) => exposures.at(-1)?.atMs ?? 0);
  const harmed = views.reduce((sum, each) => sum + each.harmed, 0) - harmedBefore;
  return {
    localMs: Math.max(...own.map((each) => each?.latch.afterFailureMs ?? Number.NaN)),
    fleetMs: Math.max(...legacyAt) - quorumAtMs,
    totalMs: Math.max(...legacyAt) - brokenAtMs,
    harmed,
  };
}

/** Mended, re-armed by a person, and at 50 % once more. */
async function again(world: FleetWorld): Promise<void> {
  const { instances } = world;
  await Promise.all(instances.map((each) => each.ask("break", false)));
  await until("the rollbacks have ended", async () => {
    const views = await viewsOf(instances);
    return views.some(({ rollbacks }) => rollbacks.at(-1)?.includes("read-back done"));
  });
  // Both may have begun one, the later of them a second after the other, and it would win over a re-arming.
  await pause(1500);
  for (const each of instances) await each.ask("rearm", "mended");
  await until("every instance is armed", async () => {
    const views = await viewsOf(instances);
    return views.every(({ latch }) => !latch.tripped);
  });
  await world.control.setPercentage(world.operation, 50, person);
  await world.expose(50);
  await pause(700);
}

function tableOf(measured: readonly Measured[]): string {
  const fields = ["localMs", "fleetMs", "totalMs", "harmed"] as const;
  return fields
    .map((field) => {
      const sorted = measured.map((each) => each[field]).sort((one, other) => one - other);
      const at = (share: number): string =>
        (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
      return `  ${field}: p50 ${at(0.5)}, p90 ${at(0.9)}, max ${at(1)}`;
    })
    .join("\n");
}
