import { hash } from "node:crypto";
import type { Clock, Timer } from "../../../base/clock.ts";
import { fingerprintOf } from "../../../guard/exceptions/exceptions.ts";
import type { Observation } from "../../../migration/observation.ts";
import type { Outcome } from "../../../migration/outcome.ts";
import type { ObservationRecord, RecordedError } from "./record.ts";

/** A piece of the ring of two files. */
export interface RecordedChunk {
  /** Which of the two files it belongs to. */
  readonly file: 0 | 1;
  /** True: what the file held is to be thrown away first. */
  readonly startAnew: boolean;
  /** Whole lines. */
  readonly text: string;
}

/** What a recorder is made of. */
export interface ObservationRecorderOptions {
  /** Writes a chunk; called one at a time. Whoever makes the recorder decides where the files are. */
  readonly append: (chunk: RecordedChunk) => Promise<void>;
  readonly clock: Clock;
  /** Where a write that fails is reported; recording goes on. */
  readonly report: (part: string, error: unknown) => void;
  /** Mixed into every key before it is hashed. Keep it secret, or throw it away. */
  readonly salt: string;
  /** Bytes of both files together, from 2,048; default 64 MiB. The older half is dropped first. */
  readonly bytesMax?: number;
  /** Bytes that may wait to be written, default 1 MiB; what comes on top is dropped and counted. */
  readonly waitingBytesMax?: number;
  /** Milliseconds between two writes; default 1,000. */
  readonly flushEveryMs?: number;
}

/** Failures a second whose error is looked at; beyond that, the last looked-at kind stands for them. */
const looksPerSecond = 100;
const asLetters = (digest: string): string =>
  digest.replace(/[0-9]/g, (digit) => String.fromCharCode(103 + Number(digit)));

/**
 * Turns observations into records for `changeover simulate --events`, and writes them to a ring of two
 * files: when one is full the other is begun anew. Costs one hash a call; never throws and never waits.
 */
export class ObservationRecorder {
  readonly #options: ObservationRecorderOptions;
  readonly #fileBytesMax: number;
  readonly #waitingBytesMax: number;
  readonly #timer: Timer;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #file: 0 | 1 = 0;
  #fileBytes = 0;
  #fresh = true;
  #dropped = 0;
  #writing: Promise<void> = Promise.resolve();
  #second = -1;
  #looks = 0;
  #lastError: RecordedError = { class: "Error", code: null, kind: "unseen", id: "unseen" };

  constructor(options: ObservationRecorderOptions) {
    this.#options = options;
    this.#fileBytesMax = Math.max(1024, Math.floor((options.bytesMax ?? 64 * 1024 ** 2) / 2));
    this.#waitingBytesMax = options.waitingBytesMax ?? 1024 ** 2;
    this.#timer = options.clock.every(options.flushEveryMs ?? 1000, () => {
      void this.flush();
    });
  }

  /** Records that were not written because too many were waiting, or because a write failed. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes one observation; what cannot be recorded is reported and left out. */
  record(observation: Observation): void {
    try {
      const line = `${JSON.stringify(this.#recordOf(observation))}\n`;
      // Escaped or not, a line is nearly all ASCII: its length is close enough for a limit.
      if (this.#waitingBytes + line.length > this.#waitingBytesMax) {
        this.#dropped += 1;
        return;
      }
      this.#waiting.push(line);
      this.#waitingBytes += line.length;
    } catch (error) {
      this.#dropped += 1;
      this.#options.report("recorder.record", error);
    }
  }

  /** Writes what is waiting. Never rejects. */
  flush(): Promise<void> {
    const lines = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (lines.length > 0) this.#writing = this.#writing.then(() => this.#write(lines));
    return this.#writing;
  }

  /** Stops the timer and writes the rest. */
  close(): Promise<void> {
    this.#timer.cancel();
    return this.flush();
  }

  async #write(lines: readonly string[]): Promise<void> {
    for (let at = 0; at < lines.length; ) {
      if (this.#fileBytes > 0 && this.#fileBytes + sizeOf(lines[at]) > this.#fileBytesMax) {
        this.#file = this.#file === 0 ? 1 : 0;
        this.#fileBytes = 0;
        this.#fresh = true;
      }
      let text = "";
      const first = at;
      do {
        text += lines[at] ?? "";
        at += 1;
      } while (
        at < lines.length &&
        this.#fileBytes + text.length + sizeOf(lines[at]) <= this.#fileBytesMax
      );
      await this.#append(text, at - first);
    }
  }

  async #append(text: string, count: number): Promise<void> {
    try {
      await this.#options.append({ file: this.#file, startAnew: this.#fresh, text });
      this.#fresh = false;
      this.#fileBytes += text.length;
    } catch (error) {
      this.#dropped += count;
      this.#options.report("recorder.append", error);
    }
  }

  #recordOf({ operation, call, first, fallback, atMs }: Observation): ObservationRecord {
    const { salt } = this.#options;
    return {
      v: 1,
      at: atMs,
      operation: operation.name,
      path: first.path,
      source: call.source,
      outcome: first.kind,
      durationMs: rounded(first.durationMs),
      firstByteMs: first.firstByteMs === null ? null : rounded(first.firstByteMs),
      key: call.key === "" ? "" : hash("sha256", `${salt}\n${call.key}`, "hex").slice(0, 16),
      error: this.#errorOf(first, atMs),
      fallback:
        fallback === null
          ? null
          : {
              outcome: fallback.kind,
              durationMs: rounded(fallback.durationMs),
              error: this.#errorOf(fallback, atMs),
            },
    };
  }

  #errorOf(outcome: Outcome, atMs: number): RecordedError | null {
    if (outcome.kind === "succeeded") return null;
    const second = Math.floor(atMs / 1000);
    if (second !== this.#second) this.#looks = 0;
    this.#second = second;
    this.#looks += 1;
    if (this.#looks > looksPerSecond) return this.#lastError;
    const { className, code, kind, id } = fingerprintOf(outcome.error);
    const print = (text: string): string => asLetters(hash("sha256", text, "hex").slice(0, 24));
    this.#lastError = { class: className, code, kind: print(kind), id: print(id) };
    return this.#lastError;
  }
}

const rounded = (ms: number): number => Math.round(ms * 100) / 100;
const sizeOf = (line: string | undefined): number => line?.length ?? 0;
