import { LRUCache } from "lru-cache";
import { silentLogger } from "../../../base/logger.ts";
import { ManualClock } from "../../../base/manual-clock.ts";
import { Guard } from "../../../guard/guard.ts";
import type { Policy } from "../../../guard/policy.ts";
import { ActiveCall, type Path } from "../../../migration/call.ts";
import { type AnyOperation, Operation } from "../../../migration/operation.ts";
import { isBad, type Outcome } from "../../../migration/outcome.ts";
import { noTrip, type SimulatedPolicy } from "../simulated-policy.ts";
import type { ObservationRecord, RecordedError } from "./record.ts";

const kindsRemembered = 1000;

/** What a recorded guard is told once. */
export interface RecordedGuardOptions {
  readonly name: string;
  readonly policy: Policy;
  readonly operation: string;
  /** Wall-clock milliseconds of second 0. */
  readonly startMs: number;
  /** The operation's deadline, as far as the recording shows; null when nothing ever timed out. */
  readonly deadlineMs: number | null;
}

/**
 * The whole guard over recorded calls. A recording holds no probes, so from half of the traffic up it
 * judges as it does for an operation that cannot be probed; and it tells nothing of memory.
 */
export class RecordedGuard implements SimulatedPolicy {
  readonly name: string;
  readonly reopens = false;
  holds = 0;
  harmed = 0;
  /** The records of the second that is played next. */
  records: readonly ObservationRecord[] = [];
  readonly #clock: ManualClock;
  readonly #guard: Guard;
  readonly #operation: AnyOperation;
  readonly #errors = new LRUCache<string, Error>({ max: kindsRemembered });
  readonly #holding = new Set<string>();

  constructor({ name, policy, operation, startMs, deadlineMs }: RecordedGuardOptions) {
    this.name = name;
    this.#clock = new ManualClock(startMs);
    const answer = (): null => null;
    const deadline = deadlineMs === null ? {} : { deadlineMs };
    this.#operation = new Operation(
      // A write is never probed.
      { name: operation, kind: "write", legacy: answer, candidate: answer, ...deadline },
      rethrow,
    );
    this.#guard = new Guard({
      policy,
      clock: this.#clock,
      logger: silentLogger,
      report: rethrow,
      memory: null,
    });
    this.#guard.verdictChanged.subscribe(({ after: { rule, action } }) => {
      const before = this.#holding.size;
      if (action === "hold") this.#holding.add(rule);
      else this.#holding.delete(rule);
      if (before === 0 && this.#holding.size > 0) this.holds += 1;
    });
    this.#guard.watch(this.#operation);
  }

  play({ second }: { readonly second: number }): number {
    this.#clock.advance(second * 1000 - this.#clock.monotonicMs());
    const { latch } = this.#operation;
    if (latch.tripped) return 0;
    let candidate = 0;
    for (const record of this.records) {
      const { source, path, outcome } = record;
      if (source === "served" && path === "candidate" && outcome !== "aborted") candidate += 1;
      this.#observe(record);
      if (latch.tripped) return candidate;
    }
    return noTrip;
  }

  rearm(): void {
    const at = new Date(this.#clock.now()).toISOString();
    this.#operation.latch.rearm({ by: { type: "person", name: "simulator" }, reason: "again", at });
    this.#holding.clear();
  }

  /** Stops the guard's timers. */
  close(): void {
    this.#guard.close();
  }

  #observe(record: ObservationRecord): void {
    const { path, source, key, fallback } = record;
    const first = this.#outcome(path, record);
    const answered = fallback === null ? null : this.#outcome("legacy", fallback);
    if (source === "served" && path === "candidate" && isBad(answered ?? first)) this.harmed += 1;
    this.#guard.observe({
      operation: this.#operation,
      call: new ActiveCall(record.operation, path, source, key, { requestId: "recorded" }),
      decision: { path, shadow: false, reason: path === "legacy" ? "flag-off" : "flag-on" },
      first,
      fallback: answered,
      input: null,
      atMs: record.at,
    });
  }

  #outcome(
    path: Path,
    recorded: Pick<ObservationRecord, "outcome" | "durationMs" | "error"> & {
      readonly firstByteMs?: number | null;
    },
  ): Outcome {
    const { outcome, durationMs, firstByteMs = null, error } = recorded;
    const common = { path, durationMs, firstByteMs, bytes: 0 };
    return outcome === "succeeded"
      ? { ...common, kind: outcome, output: null, digest: null }
      : { ...common, kind: outcome, error: this.#error(error) };
  }

  /** An error that has the recorded fingerprint: the same kinds are the same, different ones differ. */
  #error(recorded: RecordedError | null): Error {
    if (recorded === null) return new Error("An error that was not recorded.");
    const { class: name, code, kind, id } = recorded;
    const known = this.#errors.get(`${name} ${code} ${kind} ${id}`);
    if (known !== undefined) return known;
    const Recorded = { [name]: class extends Error {} }[name] ?? Error;
    const error = new Recorded(code === null ? kind : id);
    // Where it was rebuilt is nobody's place.
    error.stack = "";
    if (code !== null) Object.assign(error, { code });
    this.#errors.set(`${name} ${code} ${kind} ${id}`, error);
    return error;
  }
}

function rethrow(_part: string, error: unknown): void {
  throw error;
}
