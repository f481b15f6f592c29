import { setImmediate } from "node:timers/promises";
import { CodedError } from "../../../base/errors.ts";
import { defaultPolicy } from "../../../guard/policy.ts";
import type { SimulationOptions } from "../parameters.ts";
import { percentilesOf, type SimulationResult } from "../result.ts";
import { makeRivals } from "../rivals/rivals.ts";
import { noTrip, type SimulatedPolicy } from "../simulated-policy.ts";
import { answers, TrafficSecond } from "../traffic.ts";
import { type ObservationRecord, parseRecord } from "./record.ts";
import { RecordedGuard } from "./recorded-guard.ts";

const secondsPerDay = 86_400;
const secondsPerTurn = 500;
/** Records that may be replayed at once. */
const recordsLimit = 5_000_000;

/** What a replay wants to know. */
export interface ReplayOptions
  extends Pick<SimulationOptions, "policy" | "others" | "rivals" | "progress" | "signal"> {
  /**
   * When the candidate began to be worse, in milliseconds since the Unix epoch: a trip before it is
   * false, the first one after it is timed. Left out: the whole recording counts as calm.
   */
  readonly onsetMs?: number;
}

/**
 * Reads lines of NDJSON, in any order, into records of one operation, oldest first. Blank lines are
 * skipped. Throws `REHEARSAL_INVALID_EVENTS` with the number of the line, or when there are no records,
 * more than 5 million of them, or several operations and none is named.
 */
export async function readRecords(
  lines: AsyncIterable<string> | Iterable<string>,
  operation?: string,
): Promise<readonly ObservationRecord[]> {
  const records: ObservationRecord[] = [];
  const found = new Set<string>();
  let lineNumber = 0;
  for await (const line of lines) {
    lineNumber += 1;
    if (line.trim() === "") continue;
    const record = parseRecord(line, lineNumber);
    found.add(record.operation);
    if (operation !== undefined && record.operation !== operation) continue;
    if (records.length >= recordsLimit) {
      throw unusable(`line ${lineNumber} is beyond the limit of ${recordsLimit} records`);
    }
    records.push(record);
  }
  const names = [...found].slice(0, 20).join(", ");
  if (records.length === 0) {
    throw unusable(
      `there is no record of ${operation ?? "any operation"}; found: ${names || "none"}`,
    );
  }
  if (operation === undefined && found.size > 1) {
    throw unusable(`they are of several operations (${names}); name one of them`);
  }
  return records.toSorted((a, b) => a.at - b.at);
}

function outside(onsetMs: number, fromMs: number, untilMs: number): CodedError {
  const [onset, from, until] = [onsetMs, fromMs, untilMs].map((ms) => new Date(ms).toISOString());
  return new CodedError(
    "REHEARSAL_INVALID_SIMULATION",
    `The onset ${onset} is not within the recording, which is from ${from} to ${until}.`,
    { status: 400 },
  );
}

function unusable(problem: string): CodedError {
  return new CodedError(
    "REHEARSAL_INVALID_EVENTS",
    `The recorded events cannot be used: ${problem}.`,
    {
      status: 400,
    },
  );
}

interface Replayed {
  readonly policy: SimulatedPolicy;
  trips: number;
  found: { calls: number; seconds: number } | null;
  calmHolds: number;
  calmHarmed: number;
}

/**
 * Plays recorded calls of one operation, oldest first, to our policy and the rivals. Results are of the
 * scenario `recorded`, with share, traffic and days as measured in the recording. Throws
 * `REHEARSAL_INVALID_SIMULATION` for an onset outside of it.
 */
export async function replayRecords(
  records: readonly ObservationRecord[],
  options: ReplayOptions = {},
): Promise<readonly SimulationResult[]> {
  const startMs = Math.floor((records[0]?.at ?? 0) / 1000) * 1000;
  const seconds = Math.floor(((records.at(-1)?.at ?? 0) - startMs) / 1000) + 1;
  const { onsetMs } = options;
  const onset = onsetMs === undefined ? seconds : Math.floor((onsetMs - startMs) / 1000);
  if (onsetMs !== undefined && (onset < 0 || onset >= seconds)) {
    throw outside(onsetMs, startMs, startMs + seconds * 1000);
  }
  const replay = new Replay(records, startMs, options);
  const now = new TrafficSecond();
  let next = 0;
  for (now.second = 0; now.second < seconds; now.second += 1) {
    const until = startMs + (now.second + 1) * 1000;
    const first = next;
    while ((records[next]?.at ?? until) < until) next += 1;
    const own = records.slice(first, next);
    fill(now, own);
    replay.play(now, own, now.second - onset);
    if (now.second % secondsPerTurn !== 0) continue;
    options.signal?.throwIfAborted();
    options.progress?.({ part: "recorded", done: now.second / seconds });
    await setImmediate();
  }
  return replay.results(seconds, Math.min(onset, seconds));
}

class Replay {
  readonly #records: readonly ObservationRecord[];
  readonly #guards: readonly RecordedGuard[];
  readonly #players: readonly Replayed[];
  #callsSinceOnset = 0;

  constructor(records: readonly ObservationRecord[], startMs: number, options: ReplayOptions) {
    const { policy = defaultPolicy, others = {}, rivals = true } = options;
    const timedOut = records.filter(({ outcome }) => outcome === "timed-out");
    const deadlineMs = timedOut.reduce<number | null>(
      (least, { durationMs }) => Math.min(least ?? durationMs, durationMs),
      null,
    );
    const operation = records[0]?.operation ?? "";
    const ours = { changeover: policy, ...others };
    this.#records = records;
    this.#guards = Object.entries(ours).map(
      ([name, own]) => new RecordedGuard({ name, policy: own, operation, startMs, deadlineMs }),
    );
    const all: readonly SimulatedPolicy[] = [...this.#guards, ...(rivals ? makeRivals() : [])];
    this.#players = all.map((each) => ({
      policy: each,
      trips: 0,
      found: null,
      calmHolds: 0,
      calmHarmed: 0,
    }));
  }

  play(now: TrafficSecond, records: readonly ObservationRecord[], sinceOnset: number): void {
    for (const guard of this.#guards) guard.records = records;
    for (const player of this.#players) {
      if (sinceOnset < 0) this.#playCalm(player, now);
      else this.#playHarm(player, now, sinceOnset);
    }
    if (sinceOnset >= 0) this.#callsSinceOnset += now.candidateCalls;
  }

  #playCalm(player: Replayed, now: TrafficSecond): void {
    const { policy } = player;
    if (policy.play(now) !== noTrip) {
      player.trips += 1;
      policy.rearm();
    }
    player.calmHolds = policy.holds;
    player.calmHarmed = policy.harmed;
  }

  #playHarm(player: Replayed, now: TrafficSecond, sinceOnset: number): void {
    if (player.found !== null && !player.policy.reopens) return;
    const trip = player.policy.play(now);
    if (trip === noTrip || player.found !== null) return;
    const within = trip === 0 ? 0 : (trip - 0.5) / now.candidateCalls;
    player.found = { calls: this.#callsSinceOnset + trip, seconds: sinceOnset + within };
  }

  results(seconds: number, calmSeconds: number): readonly SimulationResult[] {
    for (const guard of this.#guards) guard.close();
    const served = this.#records.filter(({ source }) => source === "served");
    const candidate = served.filter(({ path }) => path === "candidate").length;
    const days = Math.max(calmSeconds, 0) / secondsPerDay;
    const perDay = (count: number): number => (days > 0 ? count / days : 0);
    const onset = calmSeconds < seconds;
    return this.#players.map(({ policy, trips, found, calmHolds, calmHarmed }) => ({
      policy: policy.name,
      scenario: "recorded",
      share: served.length === 0 ? 0 : (100 * candidate) / served.length,
      callsPerSecond: served.length / seconds,
      days,
      runs: onset ? 1 : 0,
      seed: 0,
      falseTripsPerDay: perDay(trips),
      falseHoldsPerDay: perDay(calmHolds),
      callsToTrip: percentilesOf(onset ? [found?.calls ?? null] : []),
      secondsToTrip: percentilesOf(onset ? [found?.seconds ?? null] : []),
      harmedCalls: percentilesOf(onset ? [policy.harmed - calmHarmed] : []),
      missed: onset && found === null ? 1 : 0,
    }));
  }
}

/** What the rivals see of a second: counts, and which candidate calls were bad. */
function fill(now: TrafficSecond, records: readonly ObservationRecord[]): void {
  now.reserve(records.length, true);
  now.candidateCalls = 0;
  now.legacyCalls = 0;
  now.candidateBads = 0;
  now.legacyBads = 0;
  for (const { source, path, outcome, durationMs, fallback } of records) {
    if (source !== "served" || outcome === "aborted") continue;
    const bad = outcome === "failed" || outcome === "timed-out";
    if (path === "legacy") {
      if (bad) {
        now.legacyBad[now.legacyBads] = now.legacyCalls;
        now.legacyBads += 1;
      }
      now.legacyCalls += 1;
      continue;
    }
    if (bad) {
      const failedToo = fallback?.outcome === "failed" || fallback?.outcome === "timed-out";
      const answer = failedToo ? answers.failedToo : answers.answered;
      now.candidateBad[now.candidateBads] = now.candidateCalls;
      now.answer[now.candidateBads] = fallback === null ? answers.notAsked : answer;
      now.candidateBads += 1;
    }
    now.candidateMs[now.candidateCalls] = durationMs;
    now.candidateCalls += 1;
  }
}
