import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CodedError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type RollbackPorts, rearm, rollBack } from "../../src/guard/rollback.ts";
import { ActiveCall } from "../../src/migration/call.ts";
import type { FlagControl, FlagState } from "../../src/migration/flags.ts";
import { MemoryJournal } from "../../src/migration/journal.ts";
import { Operation } from "../../src/migration/operation.ts";
import { anOperation } from "./support.ts";

/** Flags in memory; `faults` says what the next calls do instead of answering. */
class Flags implements FlagControl {
  percentage = 10;
  held = false;
  readonly calls: string[] = [];
  readonly faults: (unknown | "hang" | "lie")[] = [];

  read(operation: string): Promise<FlagState> {
    return this.#do("read", operation, () => undefined);
  }
  setPercentage(operation: string, percentage: number): Promise<FlagState> {
    return this.#do("set", operation, () => {
      this.percentage = percentage;
    });
  }
  setShadow(operation: string): Promise<FlagState> {
    return this.#do("shadow", operation, () => undefined);
  }
  switchOff(operation: string): Promise<FlagState> {
    return this.#do("off", operation, () => {
      this.percentage = 0;
      this.held = true;
    });
  }
  releaseHold(operation: string): Promise<FlagState> {
    return this.#do("release", operation, () => {
      this.held = false;
    });
  }

  #do(name: string, operation: string, work: () => void): Promise<FlagState> {
    this.calls.push(name);
    const fault = this.faults.shift();
    if (fault === "hang") return new Promise(() => undefined);
    if (fault !== undefined && fault !== "lie") return Promise.reject(fault);
    if (fault !== "lie") work();
    const { percentage } = this;
    const shadowPercentage = 0;
    return Promise.resolve({
      operation,
      enabled: percentage > 0,
      percentage,
      shadowPercentage,
      origin: "test",
    });
  }
}

function world(control: Flags | null = new Flags()) {
  const clock = new ManualClock();
  const journal = new MemoryJournal();
  const ports: RollbackPorts = {
    control,
    journal,
    clock,
    logger: silentLogger,
    random: seededRandom(1),
  };
  const operation = anOperation();
  const request = {
    operation,
    by: { type: "rule", name: "error-rate" } as const,
    reason: "7 of 7 failed",
    evidence: { observed: 1 },
  };
  /** Lets time pass until the work is done. */
  const finish = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    void work.finally(() => {
      done = true;
    });
    while (!done) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(50);
    }
    return work;
  };
  return { clock, journal, ports, operation, request, flags: control, finish };
}

const brief = (steps: readonly { name: string; result: string }[]): string =>
  steps.map((step) => `${step.name} ${step.result}`).join(", ");

describe("a rollback", () => {
  it("trips the latch in the same tick, switches off, reads back, and writes all of it down", async () => {
    const w = world();
    const work = rollBack(w.request, w.ports);
    expect(w.operation.latch.tripped).toBe(true);
    const report = await work;
    expect(brief(report.steps)).toBe("latch done, flag done, read-back done, journal done");
    expect(report).toMatchObject({ result: "complete", epoch: 1, operation: "test.read" });
    expect(w.flags).toMatchObject({ percentage: 0, held: true });
    expect(await w.journal.read()).toMatchObject([
      {
        kind: "rollback",
        to: "legacy",
        why: "7 of 7 failed",
        evidence: {
          observed: 1,
          epoch: 1,
          steps: [{ name: "latch" }, { name: "flag" }, { name: "read-back" }],
        },
      },
    ]);
  });

  it("is idempotent", async () => {
    const w = world();
    await rollBack(w.request, w.ports);
    const again = await rollBack(w.request, w.ports);
    expect(brief(again.steps)).toBe("latch already, flag already, read-back done, journal done");
    expect(again.epoch).toBe(1);
  });

  it("keeps trying through errors and silence", async () => {
    const w = world();
    w.flags?.faults.push(new Error("500"), "hang", new CodedError("FLAGS_DOWN", "down"));
    const report = await w.finish(rollBack(w.request, w.ports));
    expect(brief(report.steps)).toBe("latch done, flag done, read-back done, journal done");
    expect(report.steps[1]).toMatchObject({ tries: 4 });
    expect(report.steps[1]?.ms).toBeGreaterThanOrEqual(5000);
  });

  it("says failed when the deadline passes, and keeps the latch", async () => {
    const w = world();
    w.flags?.faults.push(...Array.from({ length: 1000 }, () => new Error("secret-token-123")));
    const report = await w.finish(rollBack(w.request, { ...w.ports, deadlineMs: 10_000 }));
    expect(brief(report.steps)).toBe("latch done, flag failed, read-back skipped, journal done");
    expect(report.result).toBe("incomplete");
    expect(report.ms).toBeLessThan(16_000);
    expect(w.operation.latch.tripped).toBe(true);
    expect(JSON.stringify([report, await w.journal.read()])).not.toContain("secret");
  });

  it("does not believe a flag system that says done while the flag stays on", async () => {
    const w = world();
    w.flags?.faults.push("lie", undefined, "lie", undefined);
    const report = await w.finish(rollBack(w.request, w.ports));
    expect(brief(report.steps)).toBe("latch done, flag done, read-back done, journal done");
    expect(w.flags?.calls).toEqual(["off", "read", "off", "read", "off", "read"]);
    const liar = world();
    liar.flags?.faults.push(...Array.from({ length: 1000 }, () => "lie"));
    const failed = await liar.finish(rollBack(liar.request, liar.ports));
    expect(failed.steps[2]).toMatchObject({
      name: "read-back",
      result: "failed",
      error: expect.stringContaining("GUARD_FLAG_STILL_ON"),
    });
  });

  it("works without a flag control, without a flag, and without a journal", async () => {
    const none = world(null);
    const skipped = "latch done, flag skipped, read-back skipped, journal done";
    expect(brief((await rollBack(none.request, none.ports)).steps)).toBe(skipped);
    const unknown = world();
    unknown.flags?.faults.push(new CodedError("FLAGS_UNKNOWN", "no flag"));
    expect(brief((await rollBack(unknown.request, unknown.ports)).steps)).toBe(skipped);
    const broken = world();
    const journal = {
      read: () => Promise.resolve([]),
      append: () => Promise.reject(new Error("disk")),
    };
    const report = await broken.finish(rollBack(broken.request, { ...broken.ports, journal }));
    expect(brief(report.steps)).toBe("latch done, flag done, read-back done, journal failed");
    expect(report.result).toBe("incomplete");
  });

  it("never throws, never says done of a flag that is on, and always leaves the latch tripped", async () => {
    const fault = fc.constantFrom<unknown>(
      undefined,
      "hang",
      "lie",
      new Error("x"),
      null,
      "a string",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { maxLength: 60 }), async (faults) => {
        const w = world();
        w.flags?.faults.push(
          ...faults.map((each) => (each === null ? new TypeError("null") : each)),
        );
        const report = await w.finish(
          rollBack(w.request, { ...w.ports, deadlineMs: 3000, tryMs: 500 }),
        );
        const readBack = report.steps.find((step) => step.name === "read-back");
        if (readBack?.result === "done") expect(w.flags?.percentage).toBe(0);
        if (report.result === "complete") expect(readBack?.result).toBe("done");
        expect(w.operation.latch.tripped).toBe(true);
        expect(report.steps).toHaveLength(4);
      }),
      { numRuns: 40, seed: 7 },
    );
  });
});

describe("re-arming", () => {
  it("clears the latch and the hold, and leaves the percentage at 0", async () => {
    const w = world();
    await rollBack(w.request, w.ports);
    const report = await rearm({ operation: w.operation, by: "ada", reason: "fixed" }, w.ports);
    expect(brief(report.steps)).toBe("latch done, release-hold done, journal done");
    expect(w.operation.latch.tripped).toBe(false);
    expect(w.flags).toMatchObject({ held: false, percentage: 0 });
    expect((await w.journal.read()).at(-1)).toMatchObject({
      kind: "rearm",
      actor: { type: "person", name: "ada" },
      evidence: { epoch: 1 },
    });
  });

  it("switches a flag off first that the rollback could not", async () => {
    const w = world();
    w.flags?.faults.push(...Array.from({ length: 100 }, () => new Error("down")));
    await w.finish(rollBack(w.request, { ...w.ports, deadlineMs: 500 }));
    w.flags?.faults.splice(0);
    expect(w.flags?.percentage).toBe(10);
    const request = { operation: w.operation, by: "ada", reason: "fixed" };
    const report = await w.finish(rearm(request, w.ports));
    expect(brief(report.steps)).toBe("flag done, latch done, release-hold done, journal done");
    expect(w.flags).toMatchObject({ held: false, percentage: 0 });
  });

  it("is refused, and says so, while the flag would expose callers at once", async () => {
    const w = world();
    w.flags?.faults.push(...Array.from({ length: 100 }, () => new Error("down")));
    await w.finish(rollBack(w.request, { ...w.ports, deadlineMs: 500 }));
    const report = await rearm({ operation: w.operation, by: "ada", reason: "early" }, w.ports);
    expect(report.result).toBe("incomplete");
    expect(brief(report.steps)).toBe("flag failed, latch skipped, journal done");
    expect(w.operation.latch.tripped).toBe(true);
    expect((await w.journal.read()).at(-1)).toMatchObject({ kind: "rearm", to: "tripped" });
  });

  it("of an armed latch does nothing but say so", async () => {
    const w = world();
    const report = await rearm({ operation: w.operation, by: "ada", reason: "again" }, w.ports);
    expect(report.steps[0]).toMatchObject({ name: "latch", result: "already" });
  });
});

describe("candidate calls that run during a rollback", () => {
  it("are let to come to their end, which the report says", async () => {
    const w = world();
    const { operation } = w.request;
    const call = new ActiveCall(operation.name, "candidate", "served", "k", {});
    operation.inFlight.add(call);
    const rolling = rollBack(w.request, w.ports);
    await new Promise((resolve) => setImmediate(resolve));
    operation.inFlight.remove(call);
    const report = await rolling;
    expect(brief(report.steps)).toBe(
      "latch done, flag done, read-back done, journal done, drain done",
    );
    expect(call.signal.aborted).toBe(false);
  });

  it("are not waited for without end, and that is no failure", async () => {
    const w = world();
    const { operation } = w.request;
    operation.inFlight.add(new ActiveCall(operation.name, "candidate", "served", "k", {}));
    operation.load.candidate.abandoned = 2;
    const rolling = rollBack(w.request, w.ports);
    await new Promise((resolve) => setImmediate(resolve));
    w.clock.advance(10_000);
    const report = await rolling;
    expect(report.result).toBe("complete");
    expect(report.steps.at(-1)).toMatchObject({
      name: "drain",
      result: "skipped",
      error: expect.stringMatching(/^1 candidate calls and 2 abandoned runs/),
    });
  });
});

describe("an operation without legacy", () => {
  it("cannot be rolled back, and says so", async () => {
    const w = world();
    const complete = new Operation(
      { name: "test.read", kind: "read", candidate: () => 1 },
      () => undefined,
    );
    const report = await rollBack({ ...w.request, operation: complete }, w.ports);
    expect(report).toMatchObject({ result: "incomplete" });
    expect(report.steps[0]).toMatchObject({
      name: "latch",
      result: "failed",
      error: expect.stringContaining("GUARD_NO_LEGACY"),
    });
    expect(complete.latch.tripped).toBe(false);
  });
});
