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
  status: RolloutStatus;
}

/** Milliseconds between two looks at the rollout. */
const lookEveryMs = 300;
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
   * Watches until the stage to break has been healthy for some seconds. Null: it has; else a sentence that
   * says why it never came so far.
   */
  async untilBreak(limitMs: number): Promise<string | null> {
    const { clock, signal, breakAt, told } = this.#options;
    const untilMs = clock.monotonicMs() + limitMs;
    let at: Entered | null = null;
    let toldMs = clock.monotonicMs();
    for (;;) {
      const status = await this.#look();
      const nowMs = clock.monotonicMs();
      if (at === null || status.stage !== at.stage) {
        if (at !== null) await this.#leave(at, true);
        at = this.#enter(status);
        toldMs = nowMs;
        await told.entered(status);
      } else if (nowMs - toldMs >= tellEveryMs) {
        toldMs = nowMs;
        await told.waiting(status);
      }
      at.status = status;
      const end = this.#endOf(status);
      const healthy = status.gates.some(({ name, state }) => name === "verdict" && state === "passed");
      const ready =
        status.expectedPercentage === breakAt && healthy && nowMs - at.atMs >= healthyMs;
      if (ready || end !== null || nowMs >= untilMs) {
        await this.#leave(at, false);
        return ready ? null : (end ?? stuckAt(status));
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
    await seen();
    const steps = await this.#steps(faultMs, untilMs);
    await sleep(clock, afterMs - calmMs, signal, true);
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
    if (status.state === "waiting-approval") {
      const reason = "The demo approves what the plan wants a person to approve.";
      await operator.commandRollout(operation, "approve", { by, reason }, false);
    }
    return status;
  }

  #enter(status: RolloutStatus): Entered {
    const { clock, counts } = this.#options;
    return { stage: status.stage ?? 0, atMs: clock.monotonicMs(), counts: counts(), status };
  }

  async #leave({ status, atMs, counts: from }: Entered, left: boolean): Promise<void> {
    const { clock, counts, told } = this.#options;
    const to = counts();
    const rates = from === null || to === null ? null : ratesBetween(from, to);
    const verdict = status.gates.find(({ name }) => name === "verdict");
    const tale: StageTale = {
      percentage: status.expectedPercentage ?? 0,
      shadowPercentage: status.stages[status.stage ?? 0]?.shadowPercentage ?? 0,
      seconds: round((clock.monotonicMs() - atMs) / 1000),
      samples: status.samples ?? 0,
      samplesNeeded: status.samplesNeeded ?? 0,
      perSecond: { legacy: round(rates?.legacy ?? 0), candidate: round(rates?.candidate ?? 0) },
      left,
      verdict: verdict?.sentence ?? status.why,
    };
    this.stages.push(tale);
    await told.left(tale);
  }

  #endOf({ state, why }: RolloutStatus): string | null {
    const early = state === "rolled-back" || state === "aborted" || state === "complete";
    return early ? `The rollout was ${state} before the candidate was broken: ${why}` : null;
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

function stuckAt({ expectedPercentage, gates, state, why }: RolloutStatus): string {
  const open = gates.filter((gate) => gate.state !== "passed").map(({ sentence }) => sentence);
  const waits = open.length === 0 ? why : open.join(" ");
  return `The walk's time was over at ${expectedPercentage ?? 0} % (${state}): ${waits}`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
