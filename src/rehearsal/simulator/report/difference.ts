import type { SimulationResult } from "../result.ts";
import { shortNumber } from "./table.ts";

/** Below this much, two delays are called the same: medians of some hundred runs differ by chance. */
const sameFactor = 1.1;

/**
 * Says what changes when `other` takes the place of `ours`: one sentence for each scenario that both
 * hold, and first of all one about the whole: how much slower or faster, and how much noisier.
 */
export function describeDifference(
  ours: readonly SimulationResult[],
  other: readonly SimulationResult[],
): readonly string[] {
  const pairs = ours.flatMap((before) => {
    const after = other.find(({ scenario }) => scenario === before.scenario);
    return after === undefined ? [] : [{ before, after }];
  });
  if (pairs.length === 0) return ["There is nothing that both were tried in."];
  return [
    headline(pairs),
    ...pairs.map(
      ({ before, after }) =>
        `${before.scenario}: ${[speed(before, after), noise(before, after)].filter((part) => part !== "").join("; ")}.`,
    ),
  ];
}

interface Pair {
  readonly before: SimulationResult;
  readonly after: SimulationResult;
}

function headline(pairs: readonly Pair[]): string {
  const share = shortNumber(pairs[0]?.before.share ?? 0);
  const factors = pairs.flatMap(({ before, after }) => {
    const factor = factorOf(before, after);
    return factor === null ? [] : [{ factor, scenario: before.scenario }];
  });
  const furthest = factors.toSorted(
    (a, b) => Math.abs(Math.log(b.factor)) - Math.abs(Math.log(a.factor)),
  )[0];
  const missed = sum(pairs.map(({ before, after }) => after.missed - before.missed));
  const trips = sum(
    pairs.map(({ before, after }) => after.falseTripsPerDay - before.falseTripsPerDay),
  );
  const said = [
    furthest === undefined || same(furthest.factor)
      ? `leaves the guard as fast as it was at ${share} %`
      : `makes the guard ${howMuch(furthest.factor)} at ${share} % (${furthest.scenario})`,
    missed === 0
      ? ""
      : `lets it miss ${Math.abs(missed)} ${missed > 0 ? "more" : "fewer"} rollbacks of all that were right`,
    trips === 0
      ? "and rolls back for no reason as often as before"
      : `and rolls back for no reason ${shortNumber(Math.abs(trips))} times a day ${trips > 0 ? "more" : "less"}`,
  ];
  return `This change ${said.filter((part) => part !== "").join(", ")}.`;
}

function speed(before: SimulationResult, after: SimulationResult): string {
  const missed =
    after.missed === before.missed ? "" : `, missed ${before.missed} → ${after.missed}`;
  const from = before.callsToTrip.p50;
  const to = after.callsToTrip.p50;
  if (from === null && to === null) return missed === "" ? "" : `nothing found${missed}`;
  const calls = `${from === null ? "–" : shortNumber(from)} → ${to === null ? "–" : shortNumber(to)} candidate calls at the median`;
  const factor = factorOf(before, after);
  const how = factor === null || same(factor) ? "as fast" : howMuch(factor);
  return `${factor === null ? "not comparable" : how} (${calls}${missed})`;
}

function noise(before: SimulationResult, after: SimulationResult): string {
  const part = (what: string, from: number, to: number): string =>
    from === to
      ? `${shortNumber(to)} false ${what} a day as before`
      : `${to > from ? "noisier" : "quieter"}: ${shortNumber(from)} → ${shortNumber(to)} false ${what} a day`;
  const trips = part("trips", before.falseTripsPerDay, after.falseTripsPerDay);
  const holds =
    before.falseHoldsPerDay === after.falseHoldsPerDay
      ? ""
      : `, ${part("holds", before.falseHoldsPerDay, after.falseHoldsPerDay)}`;
  return `${trips}${holds}`;
}

/** How many times slower, by candidate calls to trip at the median; null when there is nothing to compare. */
function factorOf(before: SimulationResult, after: SimulationResult): number | null {
  const from = before.callsToTrip.p50;
  const to = after.callsToTrip.p50;
  return from === null || to === null || from === 0 || to === 0 ? null : to / from;
}

const same = (factor: number): boolean => factor < sameFactor && factor > 1 / sameFactor;

function howMuch(factor: number): string {
  const times = factor >= 1 ? factor : 1 / factor;
  return `${shortNumber(Math.round(times * 10) / 10)} times ${factor >= 1 ? "slower" : "faster"}`;
}

const sum = (numbers: readonly number[]): number =>
  numbers.reduce((total, each) => total + each, 0);
