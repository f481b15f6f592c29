import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { Operation } from "../../src/migration/operation.ts";
import { RehearsalSweep } from "../../src/shadow/rehearsal-sweep.ts";
import { settle } from "./shadowed-facade.ts";

const never = (): undefined => undefined;
const open = () => ({ run: never, close: () => Promise.resolve() });
const writing = (sweep?: (signal: AbortSignal) => Promise<number>) =>
  new Operation(
    {
      ...{ name: "test.write", kind: "write", legacy: never, candidate: never },
      rehearse: { open, ...(sweep && { sweep }) },
    },
    never,
  );

function setUp() {
  const clock = new ManualClock();
  const reported: unknown[] = [];
  const sweep = new RehearsalSweep({ clock, report: (_, error) => reported.push(error) });
  const advance = async (ms: number) => {
    clock.advance(ms);
    await settle();
  };
  return { clock, sweep, reported, advance };
}

describe("sweeping up after rehearsals", () => {
  it("is done soon after the start and every three minutes", async () => {
    const { sweep, advance } = setUp();
    let sweeps = 0;
    sweep.add(writing(async () => (sweeps += 1)));
    expect(sweeps).toBe(0);
    await advance(1000);
    expect(sweeps).toBe(1);
    await advance(178_999);
    expect(sweeps).toBe(1);
    await advance(1);
    expect(sweeps).toBe(2);
    await advance(180_000);
    expect(sweeps).toBe(3);
    await sweep.close();
  });

  it("never runs twice at a time, goes on after a failure, and says so", async () => {
    const { sweep, advance, reported } = setUp();
    const ends: ((error?: Error) => void)[] = [];
    sweep.add(
      writing(
        () =>
          new Promise((resolve, reject) => {
            ends.push((error) => (error === undefined ? resolve(0) : reject(error)));
          }),
      ),
    );
    await advance(1000);
    await advance(180_000);
    expect(ends).toHaveLength(1);
    ends[0]?.(new Error("no backend"));
    await settle();
    expect(reported).toMatchObject([{ message: "no backend" }]);
    await advance(180_000);
    expect(ends).toHaveLength(2);
    ends[1]?.();
    await sweep.close();
  });

  it("ends with the process: what runs is told, and no timer is left", async () => {
    const { clock, sweep, advance, reported } = setUp();
    let told: AbortSignal | undefined;
    sweep.add(
      writing((signal) => {
        told = signal;
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
        });
      }),
    );
    await advance(1000);
    await sweep.close();
    expect([told?.aborted, clock.pending, reported]).toEqual([true, 0, []]);
    sweep.add(writing(async () => 0));
    expect(clock.pending).toBe(0);
  });

  it("asks nothing of operations that have nothing to sweep", () => {
    const { clock, sweep } = setUp();
    sweep.add(writing());
    sweep.add(new Operation({ name: "a.b", kind: "read", legacy: never, candidate: never }, never));
    expect(clock.pending).toBe(0);
  });
});
