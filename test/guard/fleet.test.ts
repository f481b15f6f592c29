import { afterEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { type Changeover, createChangeover, staticFlags } from "../../src/changeover.ts";
import type { FlagSource } from "../../src/migration/flags.ts";
import { MemoryJournal } from "../../src/migration/journal.ts";
import { MemoryLatchStore } from "../../src/migration/latch.ts";
import { settle } from "../support/facade.ts";
import { type MemoryFleet, MemoryFleetHub } from "../support/memory-fleet.ts";

const name = "shop.resize";
const ann = { by: { type: "person", name: "ann" }, reason: "a test" } as const;

/** One process of a fleet. */
class Instance {
  readonly changeover: Changeover;
  readonly fleet: MemoryFleet;
  failing = false;
  readonly #call: (input: number, options: { key: string }) => Promise<string>;
  #calls = 0;

  constructor(changeover: Changeover, fleet: MemoryFleet) {
    this.changeover = changeover;
    this.fleet = fleet;
    this.#call = changeover.migrate<number, string>({
      name,
      kind: "read",
      legacy: async () => "legacy",
      candidate: async () => {
        if (this.failing) throw new Error("broken");
        return "candidate";
      },
    });
  }

  get tripped(): boolean {
    return this.changeover.operations[0]?.latch.tripped === true;
  }

  get path(): string {
    return this.changeover.explain(name, "some-key").decision.path;
  }

  async call(count: number): Promise<void> {
    for (let call = 0; call < count; call += 1) {
      this.#calls += 1;
      await this.#call(call, { key: `key-${this.#calls}` }).catch(() => undefined);
    }
  }
}

/** Instances that share flags, journal, a fleet and a clock. */
class FleetWorld {
  readonly clock: ManualClock = new ManualClock();
  readonly hub: MemoryFleetHub = new MemoryFleetHub(this.clock);
  readonly flags: FlagSource = staticFlags({ [name]: 50 });
  readonly journal: MemoryJournal = new MemoryJournal();
  readonly instances: Instance[] = [];

  async add(
    instance: string,
    options: { readonly cutOff?: boolean; readonly latchStore?: MemoryLatchStore } = {},
  ): Promise<Instance> {
    const fleet = this.hub.member(instance);
    fleet.cutOff = options.cutOff ?? false;
    const { clock, flags, journal } = this;
    const changeover = await createChangeover({
      ...{ clock, flags, journal, fleet },
      latchStore: options.latchStore ?? new MemoryLatchStore(),
      guard: { memory: { enabled: false } },
    });
    const added = new Instance(changeover, fleet);
    this.instances.push(added);
    return added;
  }

  async seconds(count: number, calls = 0): Promise<void> {
    for (let second = 0; second < count; second += 1) {
      this.clock.advance(1000);
      await settle();
      await Promise.all(this.instances.map((each) => each.call(calls)));
      await settle();
    }
  }

  get exposure(): number {
    const state = this.flags.state(name);
    return state?.enabled === true ? state.percentage : 0;
  }
}

let world: FleetWorld;

async function fleetOf(count: number): Promise<FleetWorld> {
  world = new FleetWorld();
  for (let index = 0; index < count; index += 1) await world.add(`i${index}`);
  await world.seconds(3);
  return world;
}

afterEach(async () => {
  await Promise.all(world.instances.map(({ changeover }) => changeover.close()));
});

describe("a fleet of three", () => {
  it("of which one is sick: only that one latches, the flag stays, and the report says why", async () => {
    const { instances } = await fleetOf(3);
    const [sick] = instances;
    if (sick === undefined) throw new Error("no instance");
    await world.seconds(10, 20);
    sick.failing = true;
    await world.seconds(10, 20);
    expect(instances.map((each) => each.tripped)).toEqual([true, false, false]);
    expect(world.exposure).toBe(50);
    const [entry] = (await world.journal.read()).filter(({ kind }) => kind === "rollback");
    const steps = entry?.evidence["steps"] as { name: string; result: string; error: string }[];
    for (const step of ["broadcast", "flag", "read-back"]) {
      expect(steps.find((each) => each.name === step)).toMatchObject({
        result: "skipped",
        error: "1 of 3 live instances latched; 2 are needed",
      });
    }
    expect(await sick.fleet.instances()).toMatchObject([
      { instance: "i0", operations: [{ operation: name, latched: true }] },
      { operations: [{ latched: false }] },
      { operations: [{ latched: false }] },
    ]);
  });

  it("of which all are sick: the fleet flips, flag and latches", async () => {
    const { instances } = await fleetOf(3);
    await world.seconds(10, 20);
    for (const each of instances) each.failing = true;
    await world.seconds(10, 20);
    expect(instances.map((each) => each.tripped)).toEqual([true, true, true]);
    expect(world.exposure).toBe(0);
    expect(world.hub.latches()).toMatchObject([{ operation: name, tripped: true, epoch: 1 }]);
  });

  it("flips by the second trip even when the second one dies with it", async () => {
    const { instances } = await fleetOf(3);
    const [first, second] = instances;
    if (first === undefined || second === undefined) throw new Error("no instances");
    await world.seconds(10, 20);
    first.failing = true;
    await world.seconds(8, 20);
    expect(world.exposure).toBe(50);
    // It says that it is latched, and is never heard of again.
    const at = new Date(world.clock.now()).toISOString();
    const by = { type: "rule", name: "error-rate" } as const;
    const trip = { operation: name, tripped: true, epoch: 1, at, by, reason: "x", evidence: {} };
    await second.fleet.publish(trip);
    second.fleet.cutOff = true;
    await world.seconds(2);
    expect(world.exposure).toBe(0);
    expect(instances[2]?.tripped).toBe(true);
  });

  it("is rolled back by a person in one step, and re-armed in one", async () => {
    const { instances } = await fleetOf(3);
    const report = await instances[1]?.changeover.rollBack(name, ann);
    expect(report).toMatchObject({ result: "complete" });
    expect(instances.map((each) => each.path)).toEqual(["legacy", "legacy", "legacy"]);
    await instances[2]?.changeover.rearm(name, ann);
    expect(instances.map((each) => each.tripped)).toEqual([false, false, false]);
    expect(world.exposure).toBe(0);
  });

  it("is rolled back through the flag when the fleet cannot be reached, and reached later", async () => {
    const { instances } = await fleetOf(3);
    const [alone, other] = instances;
    if (alone === undefined || other === undefined) throw new Error("no instances");
    alone.fleet.cutOff = true;
    const rollingBack = alone.changeover.rollBack(name, ann);
    for (let second = 0; second < 40; second += 1) await world.seconds(1);
    const report = await rollingBack;
    const result = (step: string): string | undefined =>
      report.steps.find((each) => each.name === step)?.result;
    expect([report.result, result("flag"), result("broadcast")]).toEqual([
      "incomplete",
      "done",
      "failed",
    ]);
    expect([alone.tripped, other.tripped, world.exposure]).toEqual([true, false, 0]);
  });

  it("tells the one that was cut off when it comes back", async () => {
    const { instances } = await fleetOf(3);
    const [away, here] = instances;
    if (away === undefined || here === undefined) throw new Error("no instances");
    away.fleet.cutOff = true;
    await here.changeover.rollBack(name, ann);
    expect(away.tripped).toBe(false);
    away.fleet.reconnect();
    expect(away.tripped).toBe(true);
  });
});

describe("an instance that starts", () => {
  it("into a fleet that is rolled back starts latched", async () => {
    const { instances } = await fleetOf(1);
    await instances[0]?.changeover.rollBack(name, ann);
    const late = await world.add("late");
    expect([late.tripped, late.path]).toEqual([true, "legacy"]);
  });

  it("and missed the re-arming is re-armed, if the fleet had tripped it", async () => {
    const { instances } = await fleetOf(1);
    const latchStore = new MemoryLatchStore();
    const before = await world.add("late", { latchStore });
    await instances[0]?.changeover.rollBack(name, ann);
    expect(before.tripped).toBe(true);
    before.fleet.cutOff = true;
    await before.changeover.close();
    await instances[0]?.changeover.rearm(name, ann);
    const again = await world.add("late", { latchStore });
    expect(again.tripped).toBe(false);
  });

  it("and was latched by its own evidence stays latched, whatever the fleet says", async () => {
    await fleetOf(2);
    const latchStore = new MemoryLatchStore();
    const at = new Date(world.clock.now()).toISOString();
    const by = { type: "rule", name: "error-rate" } as const;
    const reason = "errors";
    await latchStore.save({
      operation: name,
      tripped: true,
      epoch: 1,
      at,
      by,
      reason,
      evidence: {},
    });
    const again = await world.add("late", { latchStore });
    await world.seconds(5);
    expect([again.tripped, world.exposure]).toEqual([true, 50]);
  });

  it("without a way to the fleet serves on legacy for five seconds, then goes by its flags", async () => {
    await fleetOf(1);
    const alone = await world.add("alone", { cutOff: true });
    expect([alone.path, alone.tripped]).toEqual(["legacy", false]);
    await world.seconds(6);
    expect(alone.changeover.explain(name, "some-key").decision.reason).toMatch(/^flag-/);
  });
});

describe("a process that is the only one of its fleet", () => {
  it("speaks for all", async () => {
    const { instances } = await fleetOf(1);
    const [only] = instances;
    if (only === undefined) throw new Error("no instance");
    await world.seconds(10, 20);
    only.failing = true;
    await world.seconds(10, 20);
    expect([only.tripped, world.exposure]).toEqual([true, 0]);
  });
});
