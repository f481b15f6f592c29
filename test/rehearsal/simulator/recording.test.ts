import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../src/base/manual-clock.ts";
import { ActiveCall, type Path } from "../../../src/migration/call.ts";
import type { Observation } from "../../../src/migration/observation.ts";
import { type AnyOperation, Operation } from "../../../src/migration/operation.ts";
import type { Outcome } from "../../../src/migration/outcome.ts";
import { parseRecord } from "../../../src/rehearsal/simulator/recording/record.ts";
import {
  ObservationRecorder,
  type ObservationRecorderOptions,
  type RecordedChunk,
} from "../../../src/rehearsal/simulator/recording/recorder.ts";
import { readRecords, replayRecords } from "../../../src/rehearsal/simulator/recording/replay.ts";

class DiskFull extends Error {
  readonly code = "ENOSPC";
}

const operation: AnyOperation = new Operation(
  { name: "test.read", kind: "read", legacy: () => null, candidate: () => null },
  (part, error) => {
    throw new Error(part, { cause: error });
  },
);

interface Happening {
  readonly path: Path;
  readonly key?: string;
  readonly error?: unknown;
  readonly kind?: "failed" | "timed-out" | "aborted";
  readonly fallback?: Outcome;
}

function outcome(path: Path, error: unknown, kind: "failed" | "timed-out" | "aborted"): Outcome {
  const common = { path, durationMs: 12.3456, firstByteMs: null, bytes: 0 };
  return error === undefined
    ? { ...common, kind: "succeeded", output: "secret output", digest: null }
    : { ...common, kind, error };
}

/** A recorder on a clock that stands still, and the two files that it writes. */
function recording(options: Partial<ObservationRecorderOptions> = {}) {
  const clock = new ManualClock();
  const files: [string, string] = ["", ""];
  const chunks: RecordedChunk[] = [];
  const reported: unknown[] = [];
  const recorder = new ObservationRecorder({
    clock,
    salt: "salt",
    report: (_part, error) => reported.push(error),
    append: (chunk) => {
      chunks.push(chunk);
      files[chunk.file] = (chunk.startAnew ? "" : files[chunk.file]) + chunk.text;
      return Promise.resolve();
    },
    ...options,
  });
  const see = ({ path, key = "user-1", error, kind = "failed", fallback }: Happening): void => {
    recorder.record({
      operation,
      call: new ActiveCall("test.read", path, "served", key, { requestId: "r" }),
      decision: { path, shadow: false, reason: "flag-on" },
      first: outcome(path, error, kind),
      fallback: fallback ?? null,
      input: { secret: "secret input" },
      atMs: clock.now(),
    } satisfies Observation);
  };
  const lines = (): string[] => files.flatMap((file) => file.split("\n"));
  return { clock, recorder, see, files, chunks, reported, lines };
}

const down = (message = "Disk /var/secret-file is full"): Error => new DiskFull(message);

describe("an observation recorder", () => {
  it("writes what the guard needs, and no key, message, input or output", async () => {
    const { see, recorder, lines } = recording();
    see({ path: "legacy", key: "ada@example.org" });
    const fallback = outcome("legacy", undefined, "failed");
    see({ path: "candidate", key: "ada@example.org", error: down(), fallback });
    await recorder.close();
    const text = lines().join("\n");
    expect(text).not.toMatch(/secret|ada@example|Disk \//);
    const [first, second] = await readRecords(lines());
    expect(first).toMatchObject({
      path: "legacy",
      outcome: "succeeded",
      durationMs: 12.35,
      error: null,
    });
    expect(second).toMatchObject({
      path: "candidate",
      outcome: "failed",
      error: { class: "DiskFull", code: "ENOSPC" },
      fallback: { outcome: "succeeded" },
    });
    expect(second?.key).toMatch(/^[0-9a-f]{16}$/);
    expect(second?.key).toBe(first?.key);
  });

  it("hashes keys with its own salt, so that two recordings cannot be joined", async () => {
    const keys = [];
    for (const salt of ["one", "two"]) {
      const { see, recorder, lines } = recording({ salt });
      see({ path: "legacy" });
      await recorder.close();
      keys.push((await readRecords(lines()))[0]?.key);
    }
    expect(keys[0]).not.toBe(keys[1]);
  });

  it("keeps to its size: the older half makes room for the newer calls", async () => {
    const { see, recorder, clock, files, lines } = recording({ bytesMax: 4000 });
    for (let call = 0; call < 500; call += 1) {
      see({ path: "legacy" });
      clock.advance(300);
      if (call % 10 === 0) await recorder.flush();
    }
    await recorder.close();
    expect(files.every((file) => file.length <= 2000 && file.endsWith("\n"))).toBe(true);
    const records = await readRecords(lines());
    expect(records.length).toBeGreaterThan(8);
    expect(records.at(-1)?.at).toBe(clock.now() - 300);
    expect(new Set(records.map(({ at }) => at)).size).toBe(records.length);
  });

  it("drops and counts what cannot wait, and never makes a call wait", async () => {
    const stuck = Promise.withResolvers<void>();
    const { see, recorder } = recording({ append: () => stuck.promise, waitingBytesMax: 1000 });
    for (let call = 0; call < 100; call += 1) see({ path: "legacy" });
    expect(recorder.dropped).toBeGreaterThan(90);
    stuck.resolve();
    await recorder.close();
  });

  it("goes on after a write that failed", async () => {
    let fails = true;
    const written: string[] = [];
    const { see, recorder, reported } = recording({
      append: ({ text }) => {
        if (fails) return Promise.reject(new Error("read-only"));
        written.push(text);
        return Promise.resolve();
      },
    });
    see({ path: "legacy" });
    await recorder.flush();
    fails = false;
    see({ path: "legacy" });
    await recorder.close();
    expect(reported).toHaveLength(1);
    expect(recorder.dropped).toBe(1);
    expect(written).toHaveLength(1);
  });
});

describe("recorded events", () => {
  const line = {
    v: 1,
    at: 1,
    operation: "a.b",
    path: "legacy",
    source: "served",
    outcome: "succeeded",
    durationMs: 1,
    firstByteMs: null,
    key: "",
    error: null,
    fallback: null,
  };

  it.each([
    ["{", "not JSON"],
    ["7", '"v" is not 1'],
    [JSON.stringify({ ...line, path: "new" }), '"path"'],
    [JSON.stringify({ ...line, key: "ada" }), '"key"'],
    [
      JSON.stringify({ ...line, error: { class: "E", code: null, kind: "a b", id: "x" } }),
      '"error"',
    ],
    [JSON.stringify({ ...line, fallback: "succeeded" }), '"fallback"'],
    ["x".repeat(5000), "5000 characters"],
  ])("that are broken are refused with their line: %s", async (broken, problem) => {
    const lines = [JSON.stringify(line), "", broken];
    await expect(readRecords(lines)).rejects.toMatchObject({
      code: "REHEARSAL_INVALID_EVENTS",
      details: { line: 3 },
      message: expect.stringContaining(problem),
    });
  });

  it("of several operations need a name, and that name has to be there", async () => {
    const lines = [JSON.stringify(line), JSON.stringify({ ...line, operation: "c.d" })];
    await expect(readRecords(lines)).rejects.toThrow("a.b, c.d");
    expect(await readRecords(lines, "c.d")).toHaveLength(1);
    await expect(readRecords(lines, "e.f")).rejects.toThrow("e.f");
    await expect(readRecords([])).rejects.toMatchObject({ code: "REHEARSAL_INVALID_EVENTS" });
    expect(() => parseRecord(JSON.stringify(line), 1)).not.toThrow();
  });
});

describe("a replay", () => {
  /** Ten minutes of health at 21 calls a second, then whatever the candidate does. */
  async function recorded(
    candidate: (second: number) => Partial<Happening>,
    legacyError: Error = down(),
  ) {
    const { see, recorder, clock, lines } = recording({ waitingBytesMax: 2 ** 30 });
    const startMs = clock.now();
    for (let second = 0; second < 700; second += 1) {
      for (let call = 0; call < 20; call += 1) {
        const bad = second % 10 === 0 && call === 0;
        see({ path: "legacy", key: `l${call}`, error: bad ? legacyError : undefined });
      }
      see({ path: "candidate", key: `c${second % 50}`, ...candidate(second) });
      clock.advance(1000);
    }
    await recorder.close();
    return { records: await readRecords(lines()), onsetMs: startMs + 600_000 };
  }

  it("rolls back after as many calls as the real thing would have", async () => {
    const failing = (second: number) => (second < 600 ? {} : { error: down("other words") });
    const { records, onsetMs } = await recorded(failing);
    const [ours, naive] = await replayRecords(records, { onsetMs });
    expect(ours).toMatchObject({
      policy: "changeover",
      scenario: "recorded",
      callsPerSecond: 21,
      runs: 1,
      falseTripsPerDay: 0,
      missed: 0,
      callsToTrip: { p50: 5, p95: 5 },
      harmedCalls: { p50: 5, p95: 5 },
    });
    expect(ours?.share).toBeCloseTo(100 / 21, 6);
    expect(naive?.callsToTrip.p50).toBeGreaterThan(10);
  });

  it("knows a kind of error that legacy never threw, by its fingerprint alone", async () => {
    const throwing = (error: Error) => (second: number) =>
      second >= 600 && second % 10 === 5 ? { error } : {};
    const gone = new Error("the disk 7 is gone");
    const unseen = await recorded(throwing(new Error("the index 7 is out of range")), gone);
    const seen = await recorded(throwing(new Error("the disk 8 is gone")), gone);
    const options = { rivals: false };
    const [first] = await replayRecords(unseen.records, { ...options, onsetMs: unseen.onsetMs });
    const [second] = await replayRecords(seen.records, { ...options, onsetMs: seen.onsetMs });
    expect(first?.callsToTrip.p50).toBe(26);
    expect(second?.callsToTrip.p50 ?? Number.POSITIVE_INFINITY).toBeGreaterThan(26);
  });

  it("refuses an onset that is not within the recording, naming its time", async () => {
    const { records, onsetMs } = await recorded(() => ({}));
    for (const wrongMs of [onsetMs - 86_400_000, onsetMs + 86_400_000]) {
      const replay = replayRecords(records, { rivals: false, onsetMs: wrongMs });
      await expect(replay).rejects.toMatchObject({
        code: "REHEARSAL_INVALID_SIMULATION",
        message: expect.stringContaining(new Date(wrongMs).toISOString()),
      });
    }
  });

  it("counts every rollback as false when nothing is said of an onset", async () => {
    const { records } = await recorded((second) => (second < 600 ? {} : { error: down() }));
    const [ours] = await replayRecords(records, { rivals: false });
    expect(ours?.falseTripsPerDay).toBeGreaterThan(100);
    expect(ours).toMatchObject({ runs: 0, missed: 0, callsToTrip: { p50: null, p95: null } });
  });
});
