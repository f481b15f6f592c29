import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { codeOf } from "../../src/base/errors.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { FlagControl } from "../../src/migration/flags.ts";
import type { RolloutStore } from "../../src/rollout/ports.ts";
import { ann, operation, RolloutWorld } from "./rollout-world.ts";

const isRising = (values: readonly number[]): boolean =>
  values.every((value, index) => index === 0 || value >= (values[index - 1] ?? 0));

describe("a rollout controller", () => {
  it("walks the whole plan, one stage in each step, and tells the journal", async () => {
    const world = new RolloutWorld();
    const leader = world.controller("a");
    await world.second(leader);
    expect(leader.status(operation)).toMatchObject({ state: "idle", leader: { self: true } });
    await leader.command("start", operation, ann);
    await world.seconds(40, leader);
    expect([...new Set(world.exposures)]).toEqual([0, 1, 10, 50, 100]);
    expect(isRising(world.exposures)).toBe(true);
    expect(leader.status(operation)).toMatchObject({
      state: "complete",
      expectedPercentage: 100,
      actualPercentage: 100,
      leader: { self: true },
    });
    const told = (await world.journal.read()).map(
      ({ kind, from, to }) => `${kind} ${from} > ${to}`,
    );
    expect(told).toEqual([
      "rollout idle > running, 0 %",
      "rollout 0 % > 1 %",
      "rollout 1 % > 10 %",
      "rollout 10 % > 50 %",
      "rollout 50 % > 100 %",
      "rollout running, 100 % > complete, 100 %",
    ]);
  });

  it("never advances while the guard is blind or cannot tell, however long that is", async () => {
    for (const verdict of ["blind", "inconclusive", "suspect"] as const) {
      const world = new RolloutWorld();
      const leader = world.controller("a");
      await leader.command("start", operation, ann);
      await world.until(1, leader);
      world.verdict = verdict;
      await world.seconds(300, leader);
      expect(world.exposure).toBe(1);
      expect(leader.status(operation).state).toBe(verdict === "inconclusive" ? "running" : "held");
    }
  });

  it("obeys pause, resume, advance and abort", async () => {
    const world = new RolloutWorld();
    const leader = world.controller("a");
    await leader.command("start", operation, ann);
    await world.until(1, leader);
    await leader.command("pause", operation, ann);
    await world.seconds(30, leader);
    expect([world.exposure, leader.status(operation).state]).toEqual([1, "paused"]);
    await leader.command("resume", operation, ann);
    world.callsPerSecond = 0;
    await world.seconds(30, leader);
    expect([world.exposure, leader.status(operation).state]).toEqual([1, "running"]);
    await leader.command("advance", operation, ann);
    await world.second(leader);
    expect(world.exposure).toBe(10);
    await leader.command("abort", operation, ann);
    expect(world.exposure).toBe(0);
    await world.seconds(30, leader);
    expect([world.exposure, leader.status(operation).state]).toEqual([0, "aborted"]);
  });

  it("with a dry run says what it would do, and does nothing", async () => {
    const world = new RolloutWorld();
    const leader = world.controller("a");
    const report = await leader.command("start", operation, ann, true);
    expect(report).toMatchObject({ done: false, flag: { percentage: 0 } });
    expect([await world.store.load(), await world.journal.read()]).toEqual([[], []]);
  });

  it("refuses what makes no sense, and says why", async () => {
    const world = new RolloutWorld();
    const leader = world.controller("a");
    const code = async (work: Promise<unknown>): Promise<string | undefined> =>
      work.then(() => undefined, codeOf);
    expect(await code(leader.command("pause", operation, ann))).toBe("ROLLOUT_WRONG_STATE");
    await world.control.setPercentage(operation, 5, ann);
    expect(await code(leader.command("start", operation, ann))).toBe("ROLLOUT_NOT_AT_ZERO");
    await world.control.setPercentage(operation, 0, ann);
    world.trip();
    expect(await code(leader.command("start", operation, ann))).toBe("ROLLOUT_LATCHED");
    const at = "2026-01-01T00:00:00.000Z";
    world.latch.rearm({ by: { type: "person", name: "ann" }, reason: "mended", at });
    await leader.command("start", operation, ann);
    expect(await code(leader.command("start", operation, ann))).toBe("ROLLOUT_WRONG_STATE");
    expect(await code(leader.command("approve", operation, ann))).toBe("ROLLOUT_NO_APPROVAL");
    const blind = world.controller("b", { control: null });
    expect(await code(blind.command("resume", operation, ann))).toBe("ROLLOUT_WRONG_STATE");
    const second = new RolloutWorld().controller("c", { control: null });
    expect(await code(second.command("start", operation, ann))).toBe("ROLLOUT_FLAG_UNREADABLE");
  });

  it("holds when a person changes the flag, says so, and goes on from there when told", async () => {
    const world = new RolloutWorld();
    const leader = world.controller("a");
    await leader.command("start", operation, ann);
    await world.until(10, leader);
    await world.control.setPercentage(operation, 20, { by: "bob", reason: "impatient" });
    await world.seconds(20, leader);
    expect(world.exposure).toBe(20);
    expect(leader.status(operation)).toMatchObject({ state: "held", actualPercentage: 20 });
    expect(leader.status(operation).why).toContain("set by bob");
    await leader.command("resume", operation, ann);
    await world.until(50, leader);
  });

  it("after a rollback never raises the flag again until a person starts anew", async () => {
    const world = new RolloutWorld();
    const leader = world.controller("a");
    await leader.command("start", operation, ann);
    await world.until(10, leader);
    await world.rollBack();
    await world.seconds(30, leader);
    expect([world.exposure, leader.status(operation).state]).toEqual([0, "rolled-back"]);
    world.latch.rearm({ by: { type: "person", name: "ann" }, reason: "mended", at: "2026-01-02" });
    await world.control.releaseHold(operation, ann);
    await world.seconds(30, leader);
    expect([world.exposure, leader.status(operation).state]).toEqual([0, "rolled-back"]);
    await leader.command("start", operation, ann);
    await world.until(1, leader);
  });

  it("switches the flag off again when a person turns it on during a rollback", async () => {
    const world = new RolloutWorld();
    const leader = world.controller("a");
    await leader.command("start", operation, ann);
    await world.until(10, leader);
    world.trip();
    await world.second(leader);
    await world.seconds(2, leader);
    expect(world.exposure).toBe(0);
  });
});

describe("a controller that dies", () => {
  interface Death {
    died: boolean;
    readonly store?: RolloutStore;
    readonly control?: FlagControl;
  }

  function end(death: Death): Promise<never> {
    death.died = true;
    return new Promise(() => undefined);
  }

  /** Dies at its n-th save, before or after that has been written. */
  function atSave({ store }: RolloutWorld, saves: number, written: boolean): Death {
    let count = 0;
    const death: Death = {
      died: false,
      store: {
        load: () => store.load(),
        read: (name) => store.read(name),
        close: () => store.close(),
        save: async (record, hold) => {
          if (record.pending !== null || record.percentage === 10) count += 1;
          if (count < saves) return store.save(record, hold);
          if (written) await store.save(record, hold);
          return end(death);
        },
      },
    };
    return death;
  }

  /** Dies when it sets the flag, before or after that has been done. */
  function atFlag({ control }: RolloutWorld, written: boolean): Death {
    const death: Death = {
      died: false,
      control: {
        ...control,
        setPercentage: async (...write) => {
          if (written) await control.setPercentage(...write);
          return end(death);
        },
      },
    };
    return death;
  }

  const deaths: [string, (world: RolloutWorld) => Death, number][] = [
    ["before a step is announced", (world) => atSave(world, 1, false), 1],
    ["after it was announced", (world) => atSave(world, 1, true), 1],
    ["before the flag is set", (world) => atFlag(world, false), 1],
    ["after the flag was set", (world) => atFlag(world, true), 1],
    ["before the step is written down", (world) => atSave(world, 2, false), 1],
    ["after the step was written down", (world) => atSave(world, 2, true), 10],
  ];

  it.each(deaths)(
    "%s leaves what the next one brings to the lower state",
    async (_at, die, left) => {
      const world = new RolloutWorld();
      const first = world.controller("first");
      await first.command("start", operation, ann);
      await world.until(1, first);
      await first.close();
      const death = die(world);
      const { store = world.store, control = world.control } = death;
      // Its timers die with it.
      const clock: Clock = {
        now: () => world.clock.now(),
        monotonicMs: () => world.clock.monotonicMs(),
        after: (ms, fn) => world.clock.after(ms, () => (death.died ? undefined : fn())),
        every: (ms, fn) => world.clock.every(ms, () => (death.died ? undefined : fn())),
      };
      const second = world.controller("second", { store, control, clock });
      for (let seconds = 0; seconds < 20 && !death.died; seconds += 1) {
        world.pass();
        void second.tick();
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(death.died).toBe(true);
      world.verdict = "inconclusive";
      const third = world.controller("third");
      await world.seconds(8, third);
      expect(world.exposure).toBe(left);
      expect(third.status(operation)).toMatchObject({ state: "running", expectedPercentage: left });
      world.verdict = "healthy";
      await world.until(50, third);
      expect(Math.max(...world.exposures)).toBe(50);
    },
  );
});

describe("two controllers", () => {
  it("one of them frozen for a minute in the middle of a step, and woken, end in the lower state", async () => {
    const world = new RolloutWorld();
    const frozen = Promise.withResolvers<void>();
    let freeze = false;
    let blocked = false;
    const control: FlagControl = {
      ...world.control,
      setPercentage: async (...write) => {
        blocked = freeze;
        if (freeze) await frozen.promise;
        return world.control.setPercentage(...write);
      },
    };
    const sleepy = world.controller("sleepy", { control, timeoutMs: 3_600_000 });
    await sleepy.command("start", operation, ann);
    await world.until(1, sleepy);
    freeze = true;
    const other = world.controller("other");
    for (let seconds = 0; seconds < 4; seconds += 1) {
      world.pass();
      void sleepy.tick();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(blocked).toBe(true);
    world.verdict = "inconclusive";
    await world.seconds(60, other);
    expect([world.exposure, other.status(operation).leader]).toMatchObject([1, { self: true }]);
    freeze = false;
    frozen.resolve();
    await sleepy.tick();
    await world.second(other, sleepy);
    expect(world.exposure).toBe(1);
    await world.seconds(10, other, sleepy);
    expect(world.exposure).toBe(1);
    expect(sleepy.status(operation).leader).toMatchObject({ self: false });
  });

  it("never move the flag by more than one stage in a second, and one of them leads", async () => {
    const world = new RolloutWorld();
    const a = world.controller("a");
    const b = world.controller("b");
    await a.command("start", operation, ann);
    await world.seconds(40, a, b);
    expect([...new Set(world.exposures)]).toEqual([0, 1, 10, 50, 100]);
    const leaders = [a, b].filter((each) => each.status(operation).leader?.self === true);
    expect(leaders).toHaveLength(1);
    await leaders[0]?.close();
    const left = leaders[0] === a ? b : a;
    await world.second(left);
    expect(left.status(operation).leader).toMatchObject({ self: true });
  });
});

describe("a stage change that races a rollback", () => {
  it("ends low, whatever comes first, a hundred times", async () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const random = seededRandom(seed);
      const world = new RolloutWorld();
      const yields = async (): Promise<void> => {
        const turns = Math.floor(random.next() * 6);
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      };
      const control: FlagControl = {
        ...world.control,
        read: async (name) => {
          await yields();
          return world.control.read(name);
        },
        setPercentage: async (...write) => {
          await yields();
          // As a flag system without our hold: a late write finds the flag off and is let through.
          await world.control.releaseHold(operation, ann);
          const state = await world.control.setPercentage(write[0], write[1], write[2]);
          await yields();
          return state;
        },
      };
      const leader = world.controller("a", { control });
      await leader.command("start", operation, ann);
      await world.until(1, leader);
      await world.second(leader);
      world.pass();
      const ticking = leader.tick();
      const turns = Math.floor(random.next() * 40);
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      await Promise.all([ticking, world.rollBack()]);
      await world.second(leader);
      expect([seed, world.exposure]).toEqual([seed, 0]);
      await world.seconds(10, leader);
      expect([seed, world.exposure]).toEqual([seed, 0]);
    }
  });
});
