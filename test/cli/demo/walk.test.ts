import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../src/base/manual-clock.ts";
import type { StageTale } from "../../../src/cli/commands/demo/story.ts";
import { DemoWalk, type WalkEnd } from "../../../src/cli/commands/demo/walk.ts";
import type { OperatorDoor, RolloutStatus } from "../../../src/cli/doors/operator-door.ts";

const at = (percentage: number, change: Partial<RolloutStatus> = {}): RolloutStatus => ({
  operation: "files.info",
  state: "running",
  plan: "strict",
  stages: [0, 10, 100].map((each) => ({
    percentage: each,
    shadowPercentage: 10,
    holdSeconds: 4,
    samples: 500,
    approval: false,
  })),
  stage: [0, 10, 100].indexOf(percentage),
  expectedPercentage: percentage,
  actualPercentage: percentage,
  since: null,
  stageSince: null,
  holdLeftMs: 0,
  samples: 60,
  samplesNeeded: 500,
  gates: [
    { name: "verdict", state: "passed", sentence: "All is well." },
    { name: "samples", state: "waiting", sentence: "60 of 500 candidate calls." },
  ],
  leader: null,
  evaluatedAt: null,
  why: "60 of 500 candidate calls.",
  ...change,
});

/** A walk over what `statusAt` says, by the seconds since the start. */
function walkOver(statusAt: (second: number) => RolloutStatus) {
  const clock = new ManualClock();
  const startedMs = clock.monotonicMs();
  const commands: string[] = [];
  const left: StageTale[] = [];
  const second = (): number => (clock.monotonicMs() - startedMs) / 1000;
  const operator = {
    rollouts: () => Promise.resolve([statusAt(second())]),
    commandRollout: (_operation: string, command: string) => {
      commands.push(`${command} at ${Math.floor(second())} s`);
      return Promise.resolve({});
    },
    journal: () => Promise.resolve([]),
  } as unknown as OperatorDoor;
  const walk = new DemoWalk({
    ...{ operation: "files.info", breakAt: 100, operator, clock },
    counts: () => null,
    signal: new AbortController().signal,
    told: {
      entered: async () => undefined,
      waiting: async () => undefined,
      left: async (tale) => {
        left.push(tale);
      },
    },
  });
  /** Lets time pass until the walk has ended. */
  const untilEnd = async (limitSeconds: number): Promise<WalkEnd | null> => {
    const ends: WalkEnd[] = [];
    const ended = walk.untilBreak(startedMs + limitSeconds * 1000).then((end) => {
      ends.push(end);
    });
    for (let round = 0; ends.length === 0 && round < 5000; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(300);
    }
    await ended;
    return ends[0] ?? null;
  };
  return { untilEnd, commands, left };
}

describe("the walk of a demo", () => {
  it("ends once the stage to break has been healthy for six seconds", async () => {
    const walk = walkOver((second) => (second < 5 ? at(0) : second < 10 ? at(10) : at(100)));
    expect(await walk.untilEnd(100)).toEqual({ stuck: null, early: null });
    const stages = walk.left.map(({ percentage, left, skipped }) => [percentage, left, skipped]);
    expect(stages).toEqual([
      [0, true, null],
      [10, true, null],
      [100, false, null],
    ]);
    expect(walk.left[2]?.seconds).toBeGreaterThanOrEqual(6);
    expect(walk.commands).toEqual([]);
  });

  it("skips samples, once and openly, where a slow machine cannot have them in time", async () => {
    const walk = walkOver((second) => (second < 60 ? at(10) : at(100)));
    expect(await walk.untilEnd(100)).toEqual({ stuck: null, early: null });
    expect(walk.commands).toEqual([expect.stringMatching(/^advance at 3[56] s$/)]);
    expect(walk.left[0]?.skipped).toBe("60 of 500 candidate calls.");
    expect(walk.left[1]?.skipped).toBeNull();
  });

  it("never skips anything but samples", async () => {
    const gates: RolloutStatus["gates"] = [
      { name: "verdict", state: "waiting", sentence: "Cannot tell yet." },
      { name: "samples", state: "waiting", sentence: "60 of 500 candidate calls." },
    ];
    const walk = walkOver(() => at(0, { gates }));
    const end = await walk.untilEnd(100);
    expect(end?.stuck).toMatch(/time was over at 0 % \(running\): Cannot tell yet/);
    expect(walk.commands).toEqual([]);
  });

  it("breaks an earlier stage, and says why, when the time is over there and nothing holds", async () => {
    const gate = { name: "verdict", sentence: "Cannot tell yet." } as const;
    const waiting = walkOver(() => at(10, { gates: [{ ...gate, state: "waiting" }] }));
    expect(await waiting.untilEnd(100)).toEqual({
      stuck: null,
      early: "The walk's time was over at 10 % (running): Cannot tell yet.",
    });
    const holding = walkOver(() => at(10, { gates: [{ ...gate, state: "holding" }] }));
    expect((await holding.untilEnd(100))?.stuck).toMatch(/Cannot tell yet/);
  });

  it("says so when the rollout ended before anything was broken", async () => {
    const walk = walkOver(() => at(10, { state: "rolled-back", why: "A rule." }));
    expect((await walk.untilEnd(100))?.stuck).toMatch(
      /was rolled-back before the candidate.*A rule/,
    );
  });

  it("approves where the plan wants a person to", async () => {
    const walk = walkOver((second) =>
      second < 1 ? at(10, { state: "waiting-approval" }) : at(100),
    );
    await walk.untilEnd(100);
    expect(walk.commands).toEqual(["approve at 0 s"]);
  });
});
