import { afterEach, describe, expect, it, vi } from "vitest";
import { type Changeover, createChangeover, type ShadowBudget } from "../../src/changeover.ts";
import { manualFlags } from "../../src/testing.ts";

const name = "image.resize";
const key = { key: "a" };
let changeover: Changeover | undefined;
afterEach(() => changeover?.close());

const skips = async (of: Changeover): Promise<Record<string, number>> => {
  const pattern = /^changeover_shadow_skipped_total\{operation="[^"]+",reason="([^"]+)"\} (\d+)$/gm;
  const found = [...(await of.metrics.text()).matchAll(pattern)];
  const counts = found.map((match) => [match[1] ?? "", Number(match[2])] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
};
const sum = (counts: Record<string, number>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

describe("shadowing at 100 %", () => {
  it("sheds instead of queueing without end when the other path cannot keep up", async () => {
    const budget: Partial<ShadowBudget> = { concurrentMax: 4, queueMax: 20, perMinuteMax: 1e6 };
    const flags = manualFlags(name);
    const running = await createChangeover({ flags, shadow: budget, noise: { readShare: 0 } });
    changeover = running;
    await flags.shadow(name, true);
    const waiting: (() => void)[] = [];
    let shadows = 0;
    let most = 0;
    const resize = running.migrate({
      ...{ name, kind: "read" },
      legacy: (n: number) => n,
      candidate: (n: number) => {
        shadows += 1;
        return new Promise<number>((resolve) => waiting.push(() => resolve(n)));
      },
      cost: () => ({ legacy: 1000, candidate: 1000 }),
    });
    const calls = 5000;
    for (let n = 0; n < calls; n += 1) {
      // Answered at once, though not a single shadow has come to an end.
      expect(await resize(n, key)).toBe(n);
      most = Math.max(most, running.shadowsInFlight);
      if (n % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
    }
    await vi.waitFor(() => expect(running.shadowsInFlight).toBe(4));
    expect([shadows, most]).toEqual([4, 4]);
    // Whatever was not run, and does not wait for its turn, was shed with its reason.
    // On a slow machine this loop leaves the event loop no time to spare, which is a reason, too.
    const { "busy-loop": busy = 0, ...others } = await skips(running);
    expect(others).toEqual({ "queue-full": calls - 4 - 20 - busy });

    // Room again: what waited is run, and nothing else is owed.
    while (running.shadowsInFlight > 0) {
      for (const release of waiting.splice(0)) release();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(shadows).toBe(24);
    expect(running.operations[0]?.load.candidate).toEqual({ calls: 0, bytes: 0, abandoned: 0 });
  });

  it("runs no more a minute than it may, and counts every other call with its reason", async () => {
    const flags = manualFlags(name);
    const running = await createChangeover({ flags, noise: { readShare: 0 } });
    changeover = running;
    await flags.shadow(name, true);
    let shadows = 0;
    const resize = running.migrate({
      ...{ name, kind: "read" },
      legacy: (n: number) => n,
      candidate: (n: number) => {
        shadows += 1;
        return n;
      },
    });
    for (let n = 0; n < 2000; n += 1) {
      await resize(n, key);
      if (n % 20 === 19) await new Promise((resolve) => setImmediate(resolve));
    }
    await vi.waitFor(async () => expect(sum(await skips(running)) + shadows).toBe(2000));
    expect(shadows).toBe(600);
    expect(await skips(running)).toMatchObject({ rate: expect.any(Number) });
  });
});
