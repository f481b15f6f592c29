import type { Clock } from "../../base/clock.ts";
import { sleep } from "../../base/clock.ts";
import type { Fault } from "../faults.ts";
import {
  type CallEnd,
  type DrillFault,
  type DrillResult,
  type DrillSubject,
  type Exercise,
  exercisesFor,
  judgeExercise,
  type Sighting,
} from "./drill.ts";

/** What a drill looks at while it goes on. */
export interface DrillView {
  /** The latch of the process that is called. */
  readonly latched: boolean;
  /** What tripped it, by name; null: nothing did. */
  readonly latchedBy: string | null;
  /** The rules that hold at the moment. */
  readonly holding: readonly string[];
  /** Every instance that is known, this one too, is on legacy. */
  readonly allOnLegacy: boolean;
  /** Notices delivered so far; null: no receiver is set up. */
  readonly notices: number | null;
}

/** Port: the product a drill is held on. */
export interface DrillWorld {
  subject(): Promise<DrillSubject>;
  /** Re-arms, ends every fault, and sets the shares. */
  prepare(percentage: number, shadow: number): Promise<void>;
  setFault(fault: Partial<Fault>): Promise<void>;
  /** One call as a caller makes it. Never rejects. */
  call(): Promise<CallEnd>;
  view(): Promise<DrillView>;
  /** The newest rollback in the journal is from after `sinceMs` and has its steps. */
  journalled(sinceMs: number): Promise<boolean>;
}

/** How a drill is held. */
export interface DrillOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Default: all of them. */
  readonly faults?: readonly DrillFault[];
  /** Also fills more than 1 GiB of memory. */
  readonly force?: boolean;
  readonly onProgress?: (progress: { readonly exercise: Exercise; readonly calls: number }) => void;
}

/** Calls that are under way at once. */
const atOnce = 4;
/** Milliseconds in which the other instances and the journal must have followed. */
const followMs = 15_000;
const lookEveryMs = 50;

/**
 * Holds the exercises one after the other: prepare, call, break, call until the guard acts, look whether
 * everybody followed. Whatever happens, the fault is ended and the share is 0 % afterwards. Rejects with
 * what `prepare` and `view` reject with, and with the signal's reason.
 */
export async function runDrill(
  world: DrillWorld,
  options: DrillOptions,
): Promise<readonly DrillResult[]> {
  const { force = false, faults } = options;
  const exercises = exercisesFor(await world.subject(), force).filter(
    ({ fault }) => faults === undefined || faults.includes(fault),
  );
  const results: DrillResult[] = [];
  try {
    for (const exercise of exercises) {
      options.signal.throwIfAborted();
      const seen = exercise.skipped === null ? await hold(world, exercise, options) : null;
      results.push(judgeExercise(exercise, seen));
    }
  } finally {
    await world.setFault({});
    await world.prepare(0, 0);
  }
  return results;
}

async function hold(
  world: DrillWorld,
  exercise: Exercise,
  { clock, signal, onProgress }: DrillOptions,
): Promise<Sighting> {
  const { percentage, shadow, callsBefore, callsMax, injected, expected } = exercise;
  await world.prepare(percentage, shadow);
  const progress = (calls: number): void => onProgress?.({ exercise, calls });
  await makeCalls(world, {
    max: callsBefore,
    signal,
    progress,
    done: () => Promise.resolve(false),
  });
  const before = await world.view();
  const sinceMs = clock.now();
  await world.setFault(injected);
  const startedMs = clock.monotonicMs();
  const after = (): number => Math.round(clock.monotonicMs() - startedMs);
  let localMs: number | null = null;
  let rule: string | null = null;
  const done = async (): Promise<boolean> => {
    const view = await world.view();
    if (expected === "hold") rule = view.holding.find((name) => name === exercise.fault) ?? null;
    else if (view.latched) {
      localMs ??= after();
      rule ??= view.latchedBy;
    }
    return expected === "hold" ? rule !== null : localMs !== null;
  };
  const made = await makeCalls(world, { max: callsMax, signal, progress, done });
  const until = clock.monotonicMs() + followMs;
  const wait = async (met: () => Promise<boolean>): Promise<boolean> => {
    while (!(await met())) {
      if (clock.monotonicMs() >= until) return false;
      signal.throwIfAborted();
      await sleep(clock, lookEveryMs, signal, true);
    }
    return true;
  };
  const followed = localMs !== null && (await wait(async () => (await world.view()).allOnLegacy));
  const fleetMs = followed ? after() : null;
  const journalled =
    expected === "hold" || (localMs !== null && (await wait(() => world.journalled(sinceMs))));
  const told = before.notices;
  const noticed =
    told === null || localMs === null
      ? null
      : await wait(async () => ((await world.view()).notices ?? 0) > told);
  const { calls, ends } = made;
  return {
    calls,
    localMs,
    fleetMs,
    harmed: ends.failed + ends.lost + ends.cut,
    lost: ends.lost,
    cutMidStream: ends.cut,
    rule,
    journalled,
    noticed,
  };
}

interface Calls {
  readonly max: number;
  readonly signal: AbortSignal;
  readonly progress: (calls: number) => void;
  /** Asked after every few calls, and once more a while after the last. */
  readonly done: () => Promise<boolean>;
}

interface Made {
  readonly calls: number;
  readonly ends: Readonly<Record<CallEnd, number>>;
}

/** Makes calls, a few at once, until enough is seen. */
async function makeCalls(world: DrillWorld, { max, signal, progress, done }: Calls): Promise<Made> {
  const ends: Record<CallEnd, number> = { answered: 0, failed: 0, lost: 0, cut: 0 };
  let calls = 0;
  while (calls < max) {
    signal.throwIfAborted();
    const few = Math.min(atOnce, max - calls);
    const made = await Promise.all(Array.from({ length: few }, () => world.call()));
    for (const end of made) ends[end] += 1;
    calls += few;
    progress(calls);
    if (await done()) break;
  }
  return { calls, ends };
}
