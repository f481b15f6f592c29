import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type Changeover, createChangeover } from "../../src/changeover.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import {
  type CallEnd,
  type DrillFault,
  drillPassed,
  exercisesFor,
  judgeExercise,
  type Sighting,
} from "../../src/rehearsal/drill/drill.ts";
import { type DrillWorld, runDrill } from "../../src/rehearsal/drill/run-drill.ts";
import { FaultSwitch } from "../../src/rehearsal/faults.ts";

const subject = {
  latencyMeasured: true,
  deadlineMs: null,
  heapLimitBytes: 256 * 1024 ** 2,
  shadowable: true,
};

describe("the exercises of a drill", () => {
  const skipped = (more: object, force = false) =>
    exercisesFor({ ...subject, ...more }, force)
      .filter((exercise) => exercise.skipped !== null)
      .map(({ fault }) => fault);

  it.each<[string, object, readonly DrillFault[]]>([
    ["leave out timeouts where there is no deadline", {}, ["timeouts"]],
    ["have them where there is one", { deadlineMs: 500 }, []],
    [
      "leave out latency where legacy's is not known",
      { latencyMeasured: false },
      ["timeouts", "latency"],
    ],
    [
      "leave out differences where nothing is shadowed",
      { shadowable: false },
      ["timeouts", "mismatch"],
    ],
    ["fill no memory of unknown size", { heapLimitBytes: null }, ["timeouts", "memory"]],
    ["fill no more than a GiB", { heapLimitBytes: 2 * 1024 ** 3 }, ["timeouts", "memory"]],
  ])("%s", (_what, more, expected) => {
    expect(skipped(more)).toEqual(expected);
  });

  it("fill more than a GiB when forced to", () => {
    expect(skipped({ heapLimitBytes: 2 * 1024 ** 3 }, true)).toEqual(["timeouts"]);
  });
});

describe("the judgement of an exercise", () => {
  const [errors] = exercisesFor(subject);
  if (errors === undefined) throw new Error("There is no exercise.");
  const good: Sighting = {
    ...{ calls: 20, localMs: 80, fleetMs: 200, harmed: 0, lost: 0, cutMidStream: 0 },
    ...{ rule: "error-rate", journalled: true, noticed: null },
  };

  it.each<[string, Partial<Sighting>, boolean]>([
    ["passes a rollback that everybody followed", {}, true],
    [
      "passes harmed callers and cut streams, which it reports",
      { harmed: 2, cutMidStream: 1 },
      true,
    ],
    ["fails without a rollback", { localMs: null }, false],
    ["fails when an instance stayed on the candidate", { fleetMs: null }, false],
    ["fails when the journal is incomplete", { journalled: false }, false],
    ["fails when the notice did not arrive", { noticed: false }, false],
    ["fails when a call was lost", { lost: 1 }, false],
  ])("%s", (_what, more, passed) => {
    const result = judgeExercise(errors, { ...good, ...more });
    expect([result.passed, result.problems.length === 0]).toEqual([passed, passed]);
  });

  it("passes nothing where everything was left out", () => {
    expect(drillPassed([judgeExercise(errors, null)])).toBe(false);
    expect(drillPassed([judgeExercise(errors, null), judgeExercise(errors, good)])).toBe(true);
  });
});

/** A product of one read in this process. */
class SmallProduct implements DrillWorld {
  readonly faults = new FaultSwitch(seededRandom(7));
  readonly changeover: Changeover;
  readonly #call: (key: string) => Promise<unknown>;
  #keys = 0;

  constructor(changeover: Changeover) {
    this.changeover = changeover;
    const read = (input: { key: string }) => Promise.resolve({ key: input.key, bytes: 3 });
    const definition = { name: "small.read", kind: "read", legacy: read, candidate: read } as const;
    const run = changeover.migrate<{ key: string }, { key: string; bytes: number }>(
      this.faults.wrap(definition),
    );
    this.#call = (key) => run({ key }, { key });
  }

  subject() {
    return Promise.resolve(subject);
  }

  async prepare(percentage: number, shadow: number): Promise<void> {
    const { control } = this.changeover.flags;
    const change = { by: "test", reason: "drill" };
    await this.changeover.rearm("small.read", {
      by: { type: "person", name: "test" },
      reason: "drill",
    });
    this.faults.set("candidate", {});
    await control?.setPercentage("small.read", percentage, change);
    await control?.setShadow("small.read", shadow, change);
  }

  setFault(fault: object): Promise<void> {
    this.faults.set("candidate", fault);
    return Promise.resolve();
  }

  async call(): Promise<CallEnd> {
    this.#keys += 1;
    // Shadows run between calls, as they do where calls come over a network.
    await new Promise((resolve) => setImmediate(resolve));
    try {
      await this.#call(`key-${this.#keys}`);
      return "answered";
    } catch {
      return "failed";
    }
  }

  view() {
    const [operation] = this.changeover.operations;
    const record = operation?.latch.record ?? null;
    const latched = operation?.latch.tripped === true;
    const holding = this.changeover
      .verdicts("small.read")
      .filter(({ action }) => action === "hold")
      .map(({ rule }) => rule);
    const latchedBy = latched ? (record?.by.name ?? null) : null;
    return Promise.resolve({ latched, latchedBy, holding, allOnLegacy: latched, notices: null });
  }

  async journalled(sinceMs: number): Promise<boolean> {
    const entries = await this.changeover.journal.read({ sinceMs });
    return entries.some(({ kind, evidence }) => kind === "rollback" && "steps" in evidence);
  }
}

describe("a drill", () => {
  const hold = async (faults: readonly DrillFault[], guard: object = {}) => {
    const flags = staticFlags({ "small.read": 0 });
    const changeover = await createChangeover({ flags, guard, shadow: { perMinuteMax: 1e6 } });
    const world = new SmallProduct(changeover);
    const signal = new AbortController().signal;
    const results = await runDrill(world, { clock: systemClock, signal, faults });
    const fault = world.faults.current.candidate;
    const share = changeover.flags.state("small.read")?.percentage;
    await changeover.close();
    return { results, fault, share };
  };

  it("proves that errors, unknown exceptions and differences are acted on, and cleans up", async () => {
    const { results, fault, share } = await hold(["errors", "unknown-exception", "mismatch"]);
    expect(results.map(({ fault: name, passed, problems }) => [name, passed, problems])).toEqual([
      ["errors", true, []],
      ["unknown-exception", true, []],
      ["mismatch", true, []],
    ]);
    expect(results.map(({ harmed }) => harmed)).toEqual([0, 0, 0]);
    const [errors, ...others] = results.map(({ rule }) => rule);
    // At a share of 50 % the third failure is both a new kind of error and too many of them.
    expect(["error-rate", "new-exception"]).toContain(errors);
    expect(others).toEqual(["new-exception", "mismatch"]);
    expect([Object.values(fault).every((value) => value === 0), share]).toEqual([true, 0]);
  });

  it("fails where the rules that should act are switched off", async () => {
    const off = { enabled: false };
    const guard = { errorRate: off, newException: off, exposureBudget: off };
    const { results } = await hold(["errors"], guard);
    expect(results.map(({ passed, problems }) => [passed, problems])).toEqual([
      [false, ["no rollback within 600 calls"]],
    ]);
  });
});
