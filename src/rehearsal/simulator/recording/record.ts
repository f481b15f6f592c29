import { CodedError } from "../../../base/errors.ts";
import { type Path, paths } from "../../../migration/call.ts";
import { type Outcome, outcomeKinds } from "../../../migration/outcome.ts";

/** What kind of error it was: enough to tell kinds apart, nothing of what it said. */
export interface RecordedError {
  /** Class name, at most 80 characters. */
  readonly class: string;
  /** Its code, or the innermost cause's; null without one. */
  readonly code: string | null;
  /** The fingerprint that is the same for one kind of error on both paths; letters only. */
  readonly kind: string;
  /** The fingerprint of one defect: kind, message shape and place; letters only. */
  readonly id: string;
}

/** What legacy did with a call that the candidate had failed. */
export interface RecordedFallback {
  readonly outcome: Outcome["kind"];
  readonly durationMs: number;
  /** Null when it succeeded. */
  readonly error: RecordedError | null;
}

/**
 * One observation as a line of NDJSON. No input, no output, no message, and the routing key only as a
 * salted hash, so that a file can leave the machine that it was made on.
 */
export interface ObservationRecord {
  /** Version of this format. */
  readonly v: 1;
  /** Wall-clock milliseconds since the Unix epoch, at the end of the call. */
  readonly at: number;
  readonly operation: string;
  readonly path: Path;
  readonly source: "served" | "shadow";
  readonly outcome: Outcome["kind"];
  readonly durationMs: number;
  /** Milliseconds to the first byte of a stream; null for values. */
  readonly firstByteMs: number | null;
  /** 16 hex digits, or empty for a call without a key. */
  readonly key: string;
  /** Null for a call that succeeded. */
  readonly error: RecordedError | null;
  /** How legacy ended after the candidate had failed; null when it was not asked. */
  readonly fallback: RecordedFallback | null;
}

/** Characters that a line may have. */
const lineMax = 4096;
const letters = /^[a-z]{1,64}$/;

/** Reads one line. Throws `REHEARSAL_INVALID_EVENTS` with the number of the line and what is wrong. */
export function parseRecord(line: string, lineNumber: number): ObservationRecord {
  if (line.length > lineMax) {
    throw invalid(lineNumber, `it has ${line.length} characters, and ${lineMax} are allowed`);
  }
  let value: Record<string, unknown>;
  try {
    value = Object(JSON.parse(line)) as Record<string, unknown>;
  } catch (error) {
    throw invalid(lineNumber, "it is not JSON", error);
  }
  const problem = problemOf(value);
  if (problem !== null) throw invalid(lineNumber, problem);
  return value as unknown as ObservationRecord;
}

/** What is wrong with a parsed line, or null. */
function problemOf(value: Record<string, unknown>): string | null {
  const { v, at, operation, path, source, outcome, durationMs, firstByteMs, key } = value;
  const checks: readonly (readonly [boolean, string])[] = [
    [v === 1, '"v" is not 1'],
    [isMs(at), '"at" is not a time in milliseconds'],
    [typeof operation === "string" && operation.length <= 200, '"operation" is not a name'],
    [paths.some((each) => each === path), '"path" is neither legacy nor candidate'],
    [source === "served" || source === "shadow", '"source" is neither served nor shadow'],
    [isOutcome(outcome), `"outcome" is none of ${outcomeKinds.join(", ")}`],
    [isMs(durationMs), '"durationMs" is not a duration'],
    [firstByteMs === null || isMs(firstByteMs), '"firstByteMs" is neither null nor a duration'],
    [typeof key === "string" && /^([0-9a-f]{16})?$/.test(key), '"key" is not 16 hex digits'],
    [isFallback(value["fallback"]), '"fallback" is neither null nor {outcome, durationMs, error}'],
    [isError(value["error"]), '"error" is neither null nor {class, code, kind, id}'],
  ];
  return checks.find(([fits]) => !fits)?.[1] ?? null;
}

const isOutcome = (value: unknown): boolean => outcomeKinds.some((each) => each === value);
const isMs = (value: unknown): boolean => Number.isFinite(value) && Number(value) >= 0;

function isFallback(value: unknown): boolean {
  if (value === null) return true;
  const { outcome, durationMs, error } = Object(value) as Record<string, unknown>;
  return isOutcome(outcome) && isMs(durationMs) && isError(error);
}

function isError(value: unknown): boolean {
  if (value === null) return true;
  const error = Object(value) as Record<string, unknown>;
  const { class: name, code, kind, id } = error;
  const short = (text: unknown): boolean => typeof text === "string" && text.length <= 80;
  const print = (text: unknown): boolean => typeof text === "string" && letters.test(text);
  return short(name) && (code === null || short(code)) && print(kind) && print(id);
}

function invalid(line: number, problem: string, cause?: unknown): CodedError {
  return new CodedError(
    "REHEARSAL_INVALID_EVENTS",
    `Line ${line} of the recorded events cannot be used: ${problem}. Record again, or remove the line.`,
    { status: 400, details: { line }, cause },
  );
}
