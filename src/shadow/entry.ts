import type { Clock } from "../base/clock.ts";
import type { LogFields, Logger } from "../base/logger.ts";
import type { Path } from "../migration/call.ts";
import { answerOf, type Blame, type Observation } from "../migration/observation.ts";
import type { AnyOperation, Held } from "../migration/operation.ts";
import { isBad, type Outcome } from "../migration/outcome.ts";
import { type Comparison, compare } from "./comparison.ts";

/** One call on its way through the shadow. */
export interface Entry {
  readonly observation: Observation;
  /** What the other run is compared with: what the caller saw, or for noise what legacy did. */
  readonly served: Outcome;
  /** The path to run. */
  readonly other: Path;
  /** Legacy against legacy, to learn what differs by itself. */
  readonly isNoise: boolean;
  /** `served` is a rehearsal itself, and in the form in which rehearsals are compared. */
  readonly isRehearsed: boolean;
  /** Declared memory of the run. */
  readonly bytes: number;
  /** When it was taken, on the monotonic clock. */
  readonly atMs: number;
  /** What is kept readable for it; whoever takes it over sets it to null here. */
  held: Held | null;
}

/** The entry of a call that was picked for shadowing. Throws what the operation's `cost` throws. */
export function entryOf(observation: Observation, held: Held | null, clock: Clock): Entry {
  const { operation, input, first } = observation;
  const other: Path = first.path === "legacy" ? "candidate" : "legacy";
  return {
    observation,
    served: answerOf(observation),
    other,
    isNoise: false,
    isRehearsed: false,
    bytes: costOf(operation, input, other),
    atMs: clock.monotonicMs(),
    held,
  };
}

/**
 * The entry that runs legacy once more after `entry`, which takes over what is held; null when legacy
 * did not answer, so that there is nothing to compare with. Throws what the operation's `cost` throws.
 */
export function noiseEntryOf(entry: Entry, shadow: Outcome, clock: Clock): Entry | null {
  const { observation, served, other } = entry;
  const legacy = other === "legacy" ? shadow : served;
  if (legacy.kind !== "succeeded") return null;
  const { operation, input } = observation;
  const bytes = costOf(operation, input, "legacy");
  const { held } = entry;
  entry.held = null;
  return {
    observation,
    served: legacy,
    other: "legacy",
    isNoise: true,
    isRehearsed: operation.definition.kind === "write" && other === "legacy",
    bytes,
    atMs: clock.monotonicMs(),
    held,
  };
}

/** Compares what an entry's call was answered with what its other run did. Never throws. */
export function compareEntry(entry: Entry, shadow: Outcome): Comparison {
  const { definition } = entry.observation.operation;
  const [served, other] = [expectedOf(entry), shadow];
  if (served === null) {
    return { kind: "incomparable", why: "comparator-threw", detail: "`expected` threw" };
  }
  const rules =
    definition.kind === "read"
      ? definition
      : { result: "value" as const, ...(definition.ignore && { ignore: definition.ignore }) };
  return entry.other === "legacy" && !entry.isNoise
    ? compare(rules, other, served)
    : compare(rules, served, other);
}

/** The served outcome as it is compared; null when the operation's `expected` threw. */
function expectedOf({ observation, served, isRehearsed }: Entry): Outcome | null {
  const { rehearse, kind } = observation.operation.definition;
  if (kind === "read" || isRehearsed || served.kind !== "succeeded") return served;
  if (rehearse?.expected === undefined) return served;
  try {
    return { ...served, output: rehearse.expected(served.output, observation.input) };
  } catch {
    return null;
  }
}

/** Whose fault was a bad candidate outcome, in either role? Null stands for a run that was abandoned. */
export function shadowBlame(entry: Entry, shadow: Outcome | null): Blame | null {
  const isLegacy = entry.other === "legacy";
  const [legacy, candidate] = isLegacy ? [shadow, entry.served] : [entry.served, shadow];
  if (candidate === null) return "unknown";
  if (!isBad(candidate)) return null;
  if (legacy === null || legacy.kind === "aborted") return "unknown";
  return isBad(legacy) ? "shared" : "blamed";
}

function costOf(operation: AnyOperation, input: unknown, path: Path): number {
  const declared = operation.definition.cost?.(input)[path] ?? 0;
  // One NaN would make the sum NaN for ever, and the budget with it.
  return Number.isNaN(declared) ? 0 : Math.max(declared, 0);
}

/** One line for what a shadow came to, where it is worth one; names fields and never values. */
export function logComparison(
  logger: Logger,
  fields: LogFields,
  comparison: Comparison | null,
): void {
  if (comparison === null) logger.debug(fields, "A shadow was abandoned at its deadline");
  else if (comparison.kind === "different") {
    const paths = comparison.differences.map((each) => `${each.path} (${each.kind})`);
    logger.debug({ ...fields, paths }, "A shadow gave another result");
  } else if (comparison.kind === "incomparable") {
    const { why, detail } = comparison;
    logger.debug({ ...fields, why, detail }, "A shadow could not be compared");
  }
}

/** How many shadows of each operation were admitted in its present minute. */
export class MinuteCounts {
  readonly #clock: Clock;
  readonly #minutes = new WeakMap<AnyOperation, { startMs: number; count: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(operation: AnyOperation): number {
    return this.#minuteOf(operation).count;
  }

  add(operation: AnyOperation): void {
    this.#minuteOf(operation).count += 1;
  }

  #minuteOf(operation: AnyOperation): { startMs: number; count: number } {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#minutes.get(operation);
    if (known !== undefined && nowMs - known.startMs < 60_000) return known;
    const made = { startMs: nowMs, count: 0 };
    this.#minutes.set(operation, made);
    return made;
  }
}
