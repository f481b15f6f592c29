import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Operator } from "../../src/app/operator.ts";
import { systemClock } from "../../src/base/clock.ts";
import { type Changeover, createChangeover } from "../../src/changeover.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import { FaultSwitch } from "../../src/rehearsal/faults.ts";

describe("a fault that an operator sets", () => {
  const change = { by: "ann", reason: "to see it" };
  let changeover: Changeover;
  let operator: Operator;

  beforeEach(async () => {
    changeover = await createChangeover({ flags: staticFlags({ "a.one": 10, "a.two": 0 }) });
    for (const name of ["a.one", "a.two"]) {
      const path = (): number => 1;
      changeover.migrate<number, number>({ name, kind: "read", legacy: path, candidate: path });
    }
    operator = new Operator({ changeover, faults: new FaultSwitch(), clock: systemClock });
  });
  afterEach(() => changeover.close());

  const told = async (): Promise<unknown[]> =>
    (await operator.journal({})).map(({ operation, kind, actor, why }) => [
      operation,
      kind,
      actor.name,
      why,
    ]);

  it("is in the history of the operations that run the candidate, and so is its end", async () => {
    await operator.setFault("candidate", { errorRate: 0.5 }, change);
    await operator.setFault("candidate", {}, change);
    expect(await told()).toEqual([
      ["a.one", "fault", "ann", "to see it (fault in candidate: 50 % of its calls fail)"],
      ["a.one", "fault", "ann", "to see it (no fault in candidate any more)"],
    ]);
  });

  it("is in everyone's history where it hits everyone", async () => {
    await operator.setFault("legacy", { latencyMs: 5 });
    expect(await told()).toEqual([
      expect.arrayContaining(["a.one", "fault", "operator"]),
      expect.arrayContaining(["a.two", "fault", "operator"]),
    ]);
  });

  it("is not told again when nothing changes", async () => {
    await operator.setFault("candidate", {}, change);
    expect(await told()).toEqual([]);
  });
});
