import { describe, expect, it } from "vitest";
import { ActiveCall } from "../../src/migration/call.ts";
import {
  Operation,
  type OperationDefinition,
  type Rehearsal,
  voidRehearsal,
} from "../../src/migration/operation.ts";
import { runShadow } from "../../src/shadow/shadow-run.ts";
import { countsOf, held, key, settle, setUp } from "./shadowed-facade.ts";

/** A write that rehearses by a function, and notes in `log` what happens to it. */
function rehearsed(
  run: (path: string) => unknown,
  more: Partial<Rehearsal<number, unknown>> = {},
  served: () => unknown = () => "answer",
) {
  const log: string[] = [];
  const definition: OperationDefinition<number, unknown> = {
    name: "test.write",
    kind: "write",
    legacy: () => {
      log.push("legacy for real");
      return served();
    },
    candidate: () => {
      log.push("candidate for real");
      return served();
    },
    rehearse: {
      open: (_, call) => ({
        run: () => {
          log.push(`rehearse ${call.path} as ${call.source}`);
          return run(call.path);
        },
        close: async () => void log.push("close"),
      }),
      ...more,
    },
  };
  return { log, definition };
}

const holding = (log: string[], bytes = 10) => ({
  hold: () => {
    log.push("hold");
    return { bytes, release: () => void log.push("release") };
  },
});

describe("the shadow of a write", () => {
  it("is its rehearsal and never the write, and is cleaned up", async () => {
    const { facade, results } = setUp();
    const { log, definition } = rehearsed(() => "answer");
    expect(await facade.migrate(definition)(1, key)).toBe("answer");
    await settle();
    expect(log).toEqual(["legacy for real", "rehearse candidate as shadow", "close"]);
    expect(results).toMatchObject([{ result: "same", shadow: { path: "candidate" } }]);
  });

  it("rehearses legacy when the candidate served, in the same roles", async () => {
    const { facade, results } = setUp({ candidate: true });
    const { definition } = rehearsed(() => "old");
    await facade.migrate(definition)(1, key);
    await settle();
    expect(results).toMatchObject([
      { comparison: { differences: [{ legacy: '"old"', candidate: '"answer"' }] } },
    ]);
  });

  it("is compared in the form of the rehearsal, without what is ignored", async () => {
    const { facade, results } = setUp();
    const { definition } = rehearsed(
      () => ({ name: "a", size: 2, at: "now" }),
      { expected: (output, input) => ({ name: output, size: input, at: "then" }) },
      () => "a",
    );
    const never = (): never => {
      throw new Error("asked");
    };
    const call = facade.migrate({ ...definition, ignore: ["at"], same: never, normalise: never });
    await call(2, key);
    await call(3, key);
    await settle();
    expect(results.map(({ result }) => result)).toEqual(["same", "different"]);
  });

  it("cannot be compared when `expected` throws, or when the rehearsal is void", async () => {
    const { facade, results } = setUp();
    const broken = (): never => {
      throw new Error("no");
    };
    await facade.migrate(rehearsed(() => 1, { expected: broken }).definition)(1, key);
    const isVoid = rehearsed(() => {
      throw voidRehearsal("the file is gone");
    });
    await facade.migrate({ ...isVoid.definition, name: "test.void" })(1, key);
    const cannotOpen = { open: broken };
    await facade.migrate({ ...rehearsed(() => 1, cannotOpen).definition, name: "test.open" })(
      1,
      key,
    );
    await settle();
    expect(results.map(({ result, blame }) => [result, blame])).toEqual([
      ["incomparable", null],
      ["incomparable", null],
      ["incomparable", null],
    ]);
    expect(isVoid.log).toContain("close");
  });

  it("is cleaned up after a failure of the path, which counts as the candidate's", async () => {
    const { facade, results } = setUp();
    const { log, definition } = rehearsed(() => {
      throw new Error("no");
    });
    await facade.migrate(definition)(1, key);
    await settle();
    expect(log.at(-1)).toBe("close");
    expect(results).toMatchObject([{ result: "different", blame: "blamed" }]);
  });

  it("reports a cleaning up that fails, and keeps its result", async () => {
    const { facade, results } = setUp();
    const { definition } = rehearsed(() => "answer", {
      open: () => ({ run: () => "answer", close: () => Promise.reject(new Error("no")) }),
    });
    await facade.migrate(definition)(1, key);
    await settle();
    expect(results).toMatchObject([{ result: "same" }]);
    expect(facade.internalErrors.get("shadow")).toBe(1);
  });

  it("is not run for a write that failed: why it did cannot be rehearsed", async () => {
    const { facade, shadow } = setUp();
    const log: string[] = [];
    const { definition } = rehearsed(
      () => "answer",
      holding(log),
      () => {
        throw new Error("the provider's quota is spent");
      },
    );
    await expect(facade.migrate(definition)(1, key)).rejects.toThrow("quota");
    await settle();
    expect(countsOf(shadow)).toEqual({ "not-written": 1 });
    expect(log).toEqual([]);
  });

  it("never runs either path, even when asked for a write without a rehearsal", async () => {
    const { clock } = setUp();
    const { log, definition } = rehearsed(() => 1);
    const { rehearse: _, ...bare } = definition;
    const operation = new Operation(bare, () => undefined);
    expect(operation.shadowable).toBe(false);
    const call = new ActiveCall("test.write", "candidate", "shadow", "", {});
    const outcome = await runShadow(operation, 1, call, clock, () => undefined);
    expect([outcome.kind, log]).toEqual(["aborted", []]);
  });
});

describe("what a rehearsal keeps from going away", () => {
  it("is taken before the caller has the answer, and given back after the cleaning up", async () => {
    const { facade, shadow } = setUp();
    const log: string[] = [];
    const made = rehearsed(() => "answer", holding(log));
    const done = facade
      .migrate(made.definition)(1, key)
      .then(() => log.push("answer"));
    await done;
    expect(log).toEqual(["hold", "answer"]);
    expect(shadow.heldBytes).toBe(10);
    await settle();
    expect(log).toEqual(["hold", "answer", "release"]);
    expect([made.log.at(-1), shadow.heldBytes]).toEqual(["close", 0]);
  });

  it("is limited in all, and nothing is run without it", async () => {
    const { facade, shadow } = setUp({ budget: { heldBytesMax: 25, concurrentMax: 1 } });
    const log: string[] = [];
    const { path, release } = held<string>();
    const { definition } = rehearsed(() => path(0, undefined as never), holding(log));
    const call = facade.migrate(definition);
    for (let n = 0; n < 4; n += 1) await call(n, key);
    const large = facade.migrate({
      ...rehearsed(() => 1, holding(log, 26)).definition,
      name: "test.large",
    });
    await large(1, key);
    await settle();
    expect(countsOf(shadow)).toEqual({ "held-bytes": 2, "too-large": 1 });
    expect(shadow.heldBytes).toBe(20);
    release("answer");
    await settle();
    expect(shadow.heldBytes).toBe(0);
    expect(log.filter((each) => each === "hold")).toHaveLength(5);
    expect(log.filter((each) => each === "release")).toHaveLength(5);
  });

  it("stays while abandoned work may still read it, and goes when that has ended", async () => {
    const { facade, shadow, clock, results } = setUp();
    const log: string[] = [];
    const { path, release } = held<string>();
    const made = rehearsed(() => path(0, undefined as never), holding(log));
    await facade.migrate(made.definition)(1, key);
    await settle();
    clock.advance(30_000);
    await settle();
    expect(results).toMatchObject([{ result: "abandoned" }]);
    expect([log, shadow.heldBytes, made.log.includes("close")]).toEqual([["hold"], 10, false]);
    release("late");
    await settle();
    expect([log, shadow.heldBytes, made.log.at(-1)]).toEqual([["hold", "release"], 0, "close"]);
  });

  it.each(["pressure", "latched", "waited", "closed"] as const)(
    "is given back when the shadow is skipped: %s",
    async (why) => {
      const { facade, shadow, clock } = setUp({
        budget: { concurrentMax: 1 },
        pressure: () => why === "pressure",
      });
      const log: string[] = [];
      const { path, release } = held<string>();
      const { definition } = rehearsed(() => path(0, undefined as never), holding(log));
      const call = facade.migrate(definition);
      await call(1, key);
      await call(2, key);
      await settle();
      const by = { type: "person", name: "test" } as const;
      const at = "2026-01-01T00:00:00Z";
      if (why === "latched") {
        facade.operation("test.write").latch.trip({ by, reason: "test", at });
      }
      if (why === "waited") clock.advance(5001);
      if (why === "closed") await shadow.close();
      release("answer");
      await settle();
      expect(shadow.heldBytes).toBe(0);
      expect(log.filter((each) => each === "release")).toHaveLength(2);
      expect(countsOf(shadow)[why]).toBe(why === "pressure" || why === "closed" ? 2 : 1);
    },
  );

  it("that cannot be had is reported, and the caller sees nothing of it", async () => {
    const { facade, shadow } = setUp();
    const broken = (): never => {
      throw new Error("no");
    };
    const { definition } = rehearsed(() => 1, { hold: broken });
    expect(await facade.migrate(definition)(1, key)).toBe("answer");
    await settle();
    expect(countsOf(shadow)).toEqual({ "internal-error": 1 });
  });
});
