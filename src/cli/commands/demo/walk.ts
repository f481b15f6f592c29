import { type Clock, sleep } from "../../../base/clock.ts";
import type { OperatorDoor, RolloutStatus } from "../../doors/operator-door.ts";
import type { RollbackTale, StageTale } from "./story.ts";
import { ratesBetween, type TrafficCounts } from "./traffic/counts.ts";

/** What a walk is made of. */
export interface WalkOptions {
  /** The operation's full name. */
  readonly operation: string;
  /** The share at which the candidate is to be broken; one of the plan's. */
  readonly breakAt: number;
  readonly operator: OperatorDoor;
  readonly counts: () => TrafficCounts | null;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told of everything worth telling, as it happens. */
  readonly told: {
    readonly entered: (stage: RolloutStatus) => Promise<void>;
    readonly waiting: (stage: RolloutStatus) => Promise<void>;
    readonly left: (stage: StageTale) => Promise<void>;
  };
}

interface Entered {
  readonly stage: number;
  readonly atMs: number;
  readonly counts: TrafficCounts | null;
  /** The newest look. */
  readonly status: RolloutStatus;
  /** When something was told of it last. */
  readonly toldMs: number;
  /** What of the stage's samples was skipped, in words. */
  readonly skipped: string | null;
}

/** How a walk ended. */
export interface WalkEnd {
  /** Null: the candidate can be broken; else why not. */
  readonly stuck: string | null;
  /** Why it is broken at an earlier stage than it should be; null: it is not. */
  readonly early: string | null;
}

/** A share from which a rollback can be watched when there is no time for a higher one, in percent. */
const earlyMin = 10;

/** Milliseconds between two looks at the rollout. */
const lookEveryMs = 300;
/** Milliseconds after which a stage's samples are waited for no longer; every other gate is. */
const patienceMs = 35_000;
/** Milliseconds between two lines about what is waited for. */
const tellEveryMs = 10_000;
/** Milliseconds that the last stage is watched in health before the candidate is broken. */
const healthyMs = 6000;
/** Milliseconds in which the guard must have acted, and the journal and the flag must have followed. */
const rollbackLimitMs = 30_000;
/** Milliseconds after the rollback of which the last ones are looked at. */
const afterMs = 6000;
const calmMs = 2500;

const by = "demo";
const errorRate = 0.3;

/** A rollout that is watched from its start to the stage where the candidate is broken, and back. */
export class DemoWalk {
  readonly stages: StageTale[] = [];
  readonly #options: WalkOptions;
  /** The stage that was approved last. */
  #approved: number | null = null;

  constructor(options: WalkOptions) {
    this.#options = options;
  }

  /** Starts the rollout. Waits, for a minute at most, until the flags can be written. */
  async start(): Promise<void> {
    const { operator, operation, clock, signal } = this.#options;
    const reason = "Step 1 of the demo: the rollout begins, and walks by the plan's own gates.";
    const untilMs = clock.monotonicMs() + 60_000;
    for (;;) {
      try {
        await operator.commandRollout(operation, "start", { by, reason }, false);
        return;
      } catch (error) {
        if (clock.monotonicMs() >= untilMs) throw error;
        await sleep(clock, 1000, signal, true);
      }
    }
  }

  /**
   * Watches until the stage to break has been healthy for some seconds; at `untilMs` of the monotonic
   * clock at the latest, and then an earlier stage has to do, where there is one.
   */
  async untilBreak(untilMs: number): Promise<WalkEnd> {
    const { clock, signal } = this.#options;
    let at: Entered | null = null;
    for (;;) {
      const status = await this.#look();
      const late = clock.monotonicMs() >= untilMs;
      // Without a stage it was started, and not looked at yet by whoever leads.
      if (status.stage !== null || late) {
        at = await this.#follow(at, status);
        const end = this.#endOf(at) ?? (late ? stuckAt(status) : undefined);
        if (end !== undefined) {
          await this.#leave(at, false);
          return end;
        }
      }
      await sleep(clock, lookEveryMs, signal, true);
    }
  }

  /** Breaks the candidate, and watches the guard bring every caller back. Null: it did not. */
  async breakAndWatch(seen: () => Promise<void>): Promise<RollbackTale | null> {
    const { operator, operation, clock, signal, counts } = this.#options;
    const faultMs = clock.now();
    const reason = "Step 2 of the demo: the candidate breaks, and nobody does anything about it.";
    await operator.setFault("candidate", { errorRate }, { by, reason });
    const untilMs = clock.monotonicMs() + rollbackLimitMs;
    let latch = await this.#latch();
    while (latch?.tripped !== true) {
      if (clock.monotonicMs() >= untilMs) return null;
      await sleep(clock, 100, signal, true);
      latch = await this.#latch();
    }
    const steps = await this.#steps(faultMs, untilMs);
    await sleep(clock, afterMs - calmMs, signal, true);
    // With the journal's entry and the failures in the charts, and still seconds old.
    await seen();
    const from = counts();
    await sleep(clock, calmMs, signal, true);
    const to = counts();
    const { operations } = await operator.snapshot();
    const flag = operations.find(({ name }) => name === operation)?.flag ?? null;
    const lastMs = to?.candidateSeenMs ?? null;
    return {
      latchedMs: Date.parse(latch.at) - faultMs,
      lastCandidateMs: lastMs === null ? null : lastMs - faultMs,
      by: `${latch.by.type} ${latch.by.name}`,
      sentence: latch.reason,
      steps,
      percentageAfter: flag?.percentage ?? null,
      candidateCallsAfter: (to?.answeredBy.candidate ?? 0) - (from?.answeredBy.candidate ?? 0),
    };
  }

  /** Ends the fault; the latch stays, since only a person may re-arm it. */
  async mend(): Promise<void> {
    const reason = "Step 3 of the demo: the candidate is mended; only a person may re-arm it.";
    await this.#options.operator.setFault("candidate", {}, { by, reason });
  }

  async #look(): Promise<RolloutStatus> {
    const { operator, operation } = this.#options;
    const [status] = await operator.rollouts(operation);
    if (status === undefined) throw new RangeError(`There is no rollout of ${operation}.`);
    if (status.state === "waiting-approval" && status.stage !== this.#approved) {
      this.#approved = status.stage;
      const reason = "The demo approves what the plan wants a person to approve.";
      await operator.commandRollout(operation, "approve", { by, reason }, false);
    }
    return status;
  }

  /** Tells of a stage that began, and from time to time of what one waits for. */
  async #follow(at: Entered | null, status: RolloutStatus): Promise<Entered> {
    const { clock, counts, told } = this.#options;
    const nowMs = clock.monotonicMs();
    const stage = status.stage ?? 0;
    if (at === null || stage !== at.stage) {
      if (at !== null) await this.#leave(at, true);
      await told.entered(status);
      const begun = { counts: counts(), atMs: nowMs, toldMs: nowMs };
      return { ...begun, stage, status, skipped: null };
    }
    const skipped = at.skipped ?? (nowMs - at.atMs < patienceMs ? null : await this.#skip(status));
    if (nowMs - at.toldMs < tellEveryMs) return { ...at, status, skipped };
    await told.waiting(status);
    return { ...at, status, skipped, toldMs: nowMs };
  }

  /** Skips the rest of the samples where nothing else is waited for: this machine is too slow for them. */
  async #skip({ gates }: RolloutStatus): Promise<string | null> {
    const { operator, operation } = this.#options;
    const open = gates.filter(({ state }) => state !== "passed");
    const [gate] = open;
    if (gate?.name !== "samples" || open.length > 1) return null;
    const reason = `The demo waits no longer for samples, since it is to end soon: ${gate.sentence}`;
    await operator.commandRollout(operation, "advance", { by, reason }, false);
    return gate.sentence;
  }

  async #leave({ status, atMs, counts: from, skipped }: Entered, left: boolean): Promise<void> {
    const { clock, counts, told } = this.#options;
    const to = counts();
    const rates = from === null || to === null ? null : ratesBetween(from, to);
    const gates = left ? await this.#gatesPassed() : status.gates;
    const verdict = gates.find(({ name }) => name === "verdict");
    const tale: StageTale = {
      percentage: status.expectedPercentage ?? 0,
      shadowPercentage: status.stages[status.stage ?? 0]?.shadowPercentage ?? 0,
      seconds: round((clock.monotonicMs() - atMs) / 1000),
      samples: status.samples ?? 0,
      samplesNeeded: status.samplesNeeded ?? 0,
      perSecond: { legacy: round(rates?.legacy ?? 0), candidate: round(rates?.candidate ?? 0) },
      left,
      skipped,
      verdict: verdict?.sentence ?? status.why,
    };
    this.stages.push(tale);
    await told.left(tale);
  }

  /** The gates as the journal has them with the step up: newer than the last look. */
  async #gatesPassed(): Promise<RolloutStatus["gates"]> {
    const { operator, operation } = this.#options;
    const entries = await operator.journal({ operation, limit: 10 });
    const step = entries.findLast(({ evidence }) => evidence["step"] === "raise");
    return (step?.evidence["gates"] ?? []) as RolloutStatus["gates"];
  }

  #endOf({ status, atMs }: Entered): WalkEnd | undefined {
    const { clock, breakAt } = this.#options;
    const { state, why, gates, expectedPercentage } = status;
    if (state === "rolled-back" || state === "aborted" || state === "complete") {
      const stuck = `The rollout was ${state} before the candidate was broken: ${why}`;
      return { stuck, early: null };
    }
    const healthy = gates.some((gate) => gate.name === "verdict" && gate.state === "passed");
    const seen = clock.monotonicMs() - atMs >= healthyMs;
    return expectedPercentage === breakAt && healthy && seen
      ? { stuck: null, early: null }
      : undefined;
  }

  async #latch(): Promise<
    Awaited<ReturnType<OperatorDoor["snapshot"]>>["operations"][number]["latch"]
  > {
    const { operator, operation } = this.#options;
    const { operations } = await operator.snapshot();
    return operations.find(({ name }) => name === operation)?.latch ?? null;
  }

  /** The steps of the rollback, once the journal has them. */
  async #steps(sinceMs: number, untilMs: number): Promise<RollbackTale["steps"]> {
    const { operator, operation, clock, signal } = this.#options;
    for (;;) {
      const entries = await operator.journal({ operation, sinceMs, limit: 50 });
      const found = entries.find(
        ({ kind, evidence }) => kind === "rollback" && Array.isArray(evidence["steps"]),
      );
      if (found !== undefined) return found.evidence["steps"] as RollbackTale["steps"];
      if (clock.monotonicMs() >= untilMs) return [];
      await sleep(clock, 200, signal, true);
    }
  }
}

/** The time is over: there may still be a stage that a rollback can be watched at. */
function stuckAt({ expectedPercentage, gates, state, why }: RolloutStatus): WalkEnd {
  const open = gates.filter((gate) => gate.state !== "passed");
  const waits = open.length === 0 ? why : open.map(({ sentence }) => sentence).join(" ");
  const share = expectedPercentage ?? 0;
  const what = `The walk's time was over at ${share} % (${state}): ${waits}`;
  const calm = state === "running" && open.every((gate) => gate.state === "waiting");
  return share >= earlyMin && calm ? { stuck: null, early: what } : { stuck: what, early: null };
}

const round = (value: number): number => Math.round(value * 10) / 10;
