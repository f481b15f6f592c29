import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { replaceFile, withFileLock } from "../../src/base/atomic-file.ts";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { TypedEvent } from "../../src/base/event.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { Resources } from "../../src/base/resources.ts";
import { Ring } from "../../src/base/ring.ts";

describe("a typed event", () => {
  it("calls every listener although one throws, and reports what it threw", () => {
    const reports: unknown[] = [];
    const event = new TypedEvent<number>("tested", (name, error) => reports.push([name, error]));
    const seen: number[] = [];
    event.subscribe(() => {
      throw "broken";
    });
    event.subscribe((value) => seen.push(value));
    event.emit(7);
    expect(seen).toEqual([7]);
    expect(reports).toEqual([["tested", "broken"]]);
  });

  it("survives a reporter that throws as well", () => {
    const event = new TypedEvent<number>("tested", () => {
      throw new Error("reporter broke");
    });
    event.subscribe(() => {
      throw new Error("listener broke");
    });
    expect(() => event.emit(1)).not.toThrow();
  });

  it("stops calling a listener that unsubscribed", () => {
    const event = new TypedEvent<number>("tested", () => undefined);
    const seen: number[] = [];
    const stop = event.subscribe((value) => seen.push(value));
    event.emit(1);
    stop();
    event.emit(2);
    expect(seen).toEqual([1]);
  });
});

describe("a ring", () => {
  it("holds the last entries in their order", () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.integer({ min: 1, max: 10 }), (values, capacity) => {
        const ring = new Ring<number>(capacity);
        for (const value of values) ring.push(value);
        expect(ring.toArray()).toEqual(values.slice(-capacity));
      }),
    );
  });

  it("refuses a capacity below 1", () => {
    expect(() => new Ring(0)).toThrow(RangeError);
  });
});

describe("resources", () => {
  it("close in reverse order, and neither a throw nor a hang keeps the others open", async () => {
    const clock = new ManualClock();
    const resources = new Resources(clock);
    const closed: string[] = [];
    resources.add("first", () => void closed.push("first"));
    resources.add("hangs", () => new Promise(() => undefined), 500);
    resources.add("throws", () => Promise.reject(new Error("no")));
    resources.add("last", () => void closed.push("last"));
    const results = resources.close();
    for (let turn = 0; turn < 20; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(100);
    }
    expect((await results).map(({ name, result }) => `${name} ${result}`)).toEqual([
      "last closed",
      "throws failed",
      "hangs timed-out",
      "first closed",
    ]);
    expect(closed).toEqual(["last", "first"]);
  });
});

describe("the manual clock", () => {
  it("fires timers in the order they fall due, each at its own moment", () => {
    const clock = new ManualClock(0);
    const fired: [string, number][] = [];
    clock.after(30, () => fired.push(["once", clock.now()]));
    const ticking = clock.every(20, () => fired.push(["tick", clock.now()]));
    clock.advance(50);
    ticking.cancel();
    clock.advance(100);
    expect(fired).toEqual([
      ["tick", 20],
      ["once", 30],
      ["tick", 40],
    ]);
    expect(clock.pending).toBe(0);
  });

  it("wakes a sleeper on abort with the signal's reason", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 1000, controller.signal);
    controller.abort("enough");
    await expect(sleeping).rejects.toBe("enough");
    expect(clock.pending).toBe(0);
  });
});

describe("seeded chance", () => {
  it("repeats itself and fills its range evenly", () => {
    const first = seededRandom(1);
    const second = seededRandom(1);
    const buckets = new Array<number>(10).fill(0);
    for (let index = 0; index < 10_000; index += 1) {
      const value = first.next();
      expect(second.next()).toBe(value);
      buckets[Math.floor(value * 10)] = (buckets[Math.floor(value * 10)] ?? 0) + 1;
    }
    for (const count of buckets) expect(Math.abs(count - 1000)).toBeLessThan(120);
  });
});

describe("a file that is replaced", () => {
  it("holds one of the texts whole, however many write at once, and leaves nothing beside it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "changeover-base-"));
    const path = join(folder, "state.json");
    const texts = Array.from({ length: 20 }, (_, index) => `${index}`.repeat(5000));
    await Promise.all(texts.map((text) => replaceFile(path, text)));
    expect(texts).toContain(await readFile(path, "utf8"));
    expect(await readdir(folder)).toEqual(["state.json"]);
    await rm(folder, { recursive: true });
  });

  it("is changed by one holder of its lock at a time", async () => {
    const folder = await mkdtemp(join(tmpdir(), "changeover-base-"));
    const path = join(folder, "state.json");
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 8 }, () => withFileLock(path, systemClock, work)));
    expect(most).toBe(1);
    await rm(folder, { recursive: true });
  });
});
