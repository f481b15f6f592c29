import type { ControlStep } from "../../../app/control.ts";
import type { CallKind } from "./traffic/counts.ts";

/** One stage of the rollout as it went. */
export interface StageTale {
  readonly percentage: number;
  readonly shadowPercentage: number;
  /** Seconds that the stage lasted. */
  readonly seconds: number;
  /** Candidate calls; comparisons at 0 %. */
  readonly samples: number;
  readonly samplesNeeded: number;
  /** Calls of the operation in a second, by the path that answered. */
  readonly perSecond: { readonly legacy: number; readonly candidate: number };
  /** Every gate was passed and the next stage came; false for the stage that was broken. */
  readonly left: boolean;
  /** Samples that the demo waited for no longer, in words; null: it waited for all of them. */
  readonly skipped: string | null;
  /** What the guard said last. */
  readonly verdict: string;
}

/** The rollback as it went. */
export interface RollbackTale {
  /** Milliseconds by the wall clock from the order to fail until the latch tripped. */
  readonly latchedMs: number;
  /** Milliseconds until the candidate answered its last call; null: it never answered one. */
  readonly lastCandidateMs: number | null;
  /** What tripped it, and its sentence. */
  readonly by: string;
  readonly sentence: string;
  /** What was done, as the journal has it; empty: the journal lacks it. */
  readonly steps: readonly Pick<ControlStep, "name" | "result">[];
  /** The flag after it, in percent; null: there is none. */
  readonly percentageAfter: number | null;
  /** Calls that the candidate answered in the last seconds of the demo. */
  readonly candidateCallsAfter: number;
}

/** What the demo's callers saw in all. */
export interface TrafficTale {
  readonly seconds: number;
  readonly calls: Readonly<Record<CallKind, number>>;
  /** Look-ups in a second: what was aimed at, and what was reached. */
  readonly infoPerSecondAimed: number;
  readonly infoPerSecond: number;
  /** Fewer than so many in a second are told of as too few. */
  readonly infoPerSecondMin: number;
  /** The machine's load of the last minute at the end, as the operating system counts it, and its cores. */
  readonly machine: { readonly load: number; readonly cores: number };
  /** Calls that were due and not made, because as many as allowed were under way. */
  readonly notMade: number;
  readonly fileBytes: number;
  /** Calls that legacy answered after the candidate had failed. */
  readonly fellBack: number;
  readonly harmed: number;
  readonly examples: readonly string[];
}

/** Everything a demo has to tell. */
export interface DemoStory {
  readonly operation: string;
  readonly flagsFrom: string;
  readonly stages: readonly StageTale[];
  /** The share at which the candidate was to be broken. */
  readonly breakAt: number;
  /** Why it was broken at an earlier stage, for want of time; null: it was not. */
  readonly early: string | null;
  /** What the walk waited for when its time was over, or how else it ended early; null: it got there. */
  readonly stuck: string | null;
  /** Null: nothing was rolled back. */
  readonly rollback: RollbackTale | null;
  /** Null: there was no traffic. */
  readonly traffic: TrafficTale | null;
}

/** What did not happen as it should have, one sentence each; none: the story happened. Pure. */
export function problemsOf(story: DemoStory): readonly string[] {
  const { rollback, traffic, stuck } = story;
  const problems: (string | false)[] = [stuck ?? false];
  if (stuck === null && rollback === null) {
    problems.push("The candidate was broken, and nothing was rolled back.");
  }
  if (rollback !== null) {
    const { steps, percentageAfter, candidateCallsAfter } = rollback;
    const failed = steps.filter(({ result }) => result === "failed").map(({ name }) => name);
    problems.push(
      steps.length === 0 && "The journal has no rollback.",
      failed.length > 0 && `Steps of the rollback failed: ${failed.join(", ")}.`,
      percentageAfter !== 0 && `The flag says ${percentageAfter ?? "no"} % after the rollback.`,
      candidateCallsAfter > 0 &&
        `The candidate answered ${candidateCallsAfter} calls after the rollback.`,
    );
  }
  if (traffic === null) problems.push("There was no traffic.");
  else if (traffic.harmed > 0) {
    const told = traffic.examples.join("; ");
    problems.push(`${traffic.harmed} calls did not get what they should: ${told}`);
  }
  return problems.filter((problem) => problem !== false);
}
