import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import {
  type Changeover,
  type ChangeoverOptions,
  createChangeover,
  FileJournal,
  FileLatchStore,
  staticFlags,
} from "../../src/changeover.ts";
import { assertNoMismatches, ManualClock, manualFlags } from "../../src/testing.ts";
import { settle } from "../support/facade.ts";

const name = "image.resize";
const person = { by: { type: "person", name: "ana" }, reason: "test" } as const;
const broken = new Error("candidate broke");

let changeover: Changeover | undefined;

const start = async (options: ChangeoverOptions): Promise<Changeover> => {
  changeover = await createChangeover(options);
  return changeover;
};

afterEach(async () => {
  await changeover?.close();
  changeover = undefined;
});

describe("a library user", () => {
  it("gets legacy for everyone when nothing is configured", async () => {
    const resize = (await start({})).migrate({
      name,
      kind: "read",
      legacy: () => "old",
      candidate: () => "new",
    });
    expect(await resize("x", { key: "ana" })).toBe("old");
  });

  it("sees every call in the metrics, and every series at 0 before the first one", async () => {
    const running = await start({ flags: staticFlags({ [name]: 100 }) });
    const { metrics } = running;
    const resize = running.migrate({ name, kind: "read", legacy: () => 1, candidate: () => 2 });
    const series = (path: string): string =>
      `changeover_calls_total{operation="${name}",path="${path}",outcome="succeeded",source="served"}`;
    expect(await metrics.text()).toContain(`${series("candidate")} 0`);
    await resize("x", { key: "ana" });
    const text = await metrics.text();
    expect(text).toContain(`${series("candidate")} 1`);
    expect(text).toContain(`${series("legacy")} 0`);
  });

  it("is rolled back by itself when the candidate breaks, in the tick in which the evidence suffices", async () => {
    const flags = staticFlags({ [name]: 50 });
    const clock = new ManualClock();
    const running = await start({ flags, clock });
    let candidateBreaks = false;
    const resize = running.migrate({
      name,
      kind: "read",
      legacy: () => "old",
      candidate: () => (candidateBreaks ? Promise.reject(broken) : "new"),
    });
    const trips: number[] = [];
    let calls = 0;
    running.breaches.subscribe(() => trips.push(calls));
    const callOnce = async (): Promise<string> => {
      calls += 1;
      clock.advance(10);
      return resize("x", { key: `user-${calls}` });
    };
    while (calls < 400) await callOnce();
    candidateBreaks = true;
    let afterTrip = "";
    while (calls < 500) {
      // The fallback answers reads: no caller is harmed on the way.
      const answer = await callOnce();
      if (trips.length > 0) afterTrip = answer;
    }
    expect(trips).toHaveLength(1);
    expect((trips[0] ?? 0) - 400).toBeLessThan(40);
    expect(afterTrip).toBe("old");
    expect(running.operations[0]?.latch.tripped).toBe(true);
    await settle();
    expect(flags.state(name)).toMatchObject({ enabled: false, percentage: 0 });
  });

  it("is not rolled back when both paths break together", async () => {
    const clock = new ManualClock();
    const running = await start({ flags: staticFlags({ [name]: 50 }), clock });
    let outage = false;
    const path = (): string => {
      if (outage) throw broken;
      return "answer";
    };
    const resize = running.migrate({ name, kind: "read", legacy: path, candidate: path });
    for (let call = 0; call < 1200; call += 1) {
      outage = call > 600;
      clock.advance(10);
      await resize("x", { key: `user-${call}` }).catch(() => undefined);
    }
    expect(running.operations[0]?.latch.tripped).toBe(false);
  });

  it("finds a rollback still in force after a restart, and it stays at 0 % when re-armed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "changeover-library-"));
    const report = (): void => undefined;
    const options = (): ChangeoverOptions => ({
      flags: staticFlags({ [name]: 100 }),
      journal: new FileJournal({ folder, clock: systemClock }),
      latchStore: new FileLatchStore({ folder, clock: systemClock, report }),
    });
    const paths = { name, kind: "read", legacy: () => 1, candidate: () => 2 } as const;
    let running = await start(options());
    let resize = running.migrate(paths);
    expect(await resize("x", { key: "a" })).toBe(2);
    await running.rollBack(name, person);
    await running.close();
    running = await start(options());
    resize = running.migrate(paths);
    expect(await resize("x", { key: "a" })).toBe(1);
    await running.rearm(name, person);
    expect(running.operations[0]?.latch.tripped).toBe(false);
    expect((await running.journal.read()).map(({ kind }) => kind)).toEqual(["rollback", "rearm"]);
    await rm(folder, { recursive: true });
  });

  it("finds a mismatch through the shadow, and a test can fail on it", async () => {
    const flags = manualFlags(name);
    const running = await start({ flags });
    const resize = running.migrate({
      name,
      kind: "read",
      legacy: (size: number) => ({ size, colour: "red" }),
      candidate: (size: number) => ({ size: size + 1, colour: "red" }),
    });
    await flags.shadow(name, true);
    expect(await resize(1, { key: "a" })).toEqual({ size: 1, colour: "red" });
    await vi.waitFor(() => expect(running.mismatches()).toHaveLength(1));
    expect(running.mismatches()[0]?.differences).toMatchObject([
      { path: "size", kind: "value", legacy: "1", candidate: "2" },
    ]);
    expect(() => assertNoMismatches(running)).toThrow(/image\.resize size value/);
  });

  it("never shadows a write that does not say how it may be rehearsed", async () => {
    const flags = manualFlags(name);
    const running = await start({ flags });
    let candidateRuns = 0;
    const write = running.migrate({
      name,
      kind: "write",
      legacy: () => "old",
      candidate: () => {
        candidateRuns += 1;
        return "new";
      },
    });
    await flags.shadow(name, true);
    await write("x", { key: "a" });
    await settle();
    await settle();
    expect(candidateRuns).toBe(0);
  });

  it("keeps its answers when the caller's own listener throws", async () => {
    const running = await start({ flags: staticFlags({ [name]: 100 }) });
    running.observations.subscribe(() => {
      throw new Error("listener broke");
    });
    const resize = running.migrate({ name, kind: "read", legacy: () => 1, candidate: () => 2 });
    expect(await resize("x", { key: "a" })).toBe(2);
    expect(await running.metrics.text()).toMatch(/changeover_internal_errors_total\{[^}]*\} 1/);
  });
});
