import { type Clock, sleep } from "../../../base/clock.ts";
import { isCodedError } from "../../../base/errors.ts";
import type { Logger } from "../../../base/logger.ts";
import { type Random, systemRandom } from "../../../base/random.ts";
import { backendUnavailable } from "../../errors.ts";
import type { ObjectFacts } from "../object-storage.ts";
import type { SupabaseAccess } from "../supabase-connection.ts";
import { withTimeLimit } from "../time-limit.ts";
import { PartReader } from "./part-reader.ts";
import { type PartialKey, type PartialUpload, PartialUploads } from "./partial-uploads.ts";
import { TusDoor } from "./tus-door.ts";

/** Settings of {@link ResumableUploads}; times in milliseconds. */
export interface ResumableOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: Random;
  /**
   * Objects from this size on are sent in parts; default 24 MiB, which is four parts: below that, what a
   * broken connection costs at most is sent again in seconds, and every part costs a round trip.
   */
  readonly fromBytes?: number;
  /** Bytes of a part; default 6 MiB, which hosted Supabase insists on. */
  readonly partBytes?: number;
  /** Where unfinished uploads are remembered; default null: only as long as the call lasts. */
  readonly folder?: string | null;
  /** How long an unfinished upload is remembered at most; default 24 hours, as hosted Supabase keeps it. */
  readonly keepMs?: number;
  /** Unfinished uploads that are remembered; default 1,000. */
  readonly keptMax?: number;
  /** Waits before another try after a failure without progress; default 0, 1, 3 and 5 s, with jitter. */
  readonly waitsMs?: readonly number[];
  /** How long a server without resumable uploads is not asked again; default 10 minutes. */
  readonly absentMs?: number;
  /** Kept connections; default 16. */
  readonly connections?: number;
  /** To connect; default 5,000. */
  readonly connectMs?: number;
  /** Until an answer begins, after the last byte was sent; default 120,000. */
  readonly answerMs?: number;
  /** Without a byte taken by the receiver; default 30,000. */
  readonly idleMs?: number;
  /** That an upload given up after its last byte may still take to be answered; default 10,000. */
  readonly settleMs?: number;
  /** What storage says about a finished object. */
  readonly head: (key: string, signal: AbortSignal) => Promise<ObjectFacts | null>;
}

/** An object that is sent in parts. */
export interface ResumableObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
  /** All bytes from `start` on; asking again ends what was asked for before. */
  readonly open: (start: number) => AsyncIterable<Uint8Array>;
  /** Keep what has arrived when the caller gives up, so that a later call can continue. */
  readonly keep: boolean;
  /** Where its own story is told; default: that of all uploads. */
  readonly logger?: Logger;
}

/** How often an upload that the server has lost is begun again. */
const BEGINNINGS = 3;
/** Milliseconds that giving up an upload on the server may take. */
const TERMINATE_LIMIT_MS = 2000;

/**
 * Objects sent in parts that survive a lost connection, and the process that sends them: after a
 * failure the server is asked how far it got, and the rest is sent. What nobody continues is given up
 * on the server when its time is over.
 */
export class ResumableUploads {
  readonly #options: ResumableOptions;
  readonly #fromBytes: number;
  readonly #partBytes: number;
  readonly #keepMs: number;
  readonly #waitsMs: readonly number[];
  readonly #door: TusDoor;
  readonly #partials: PartialUploads;
  #absentUntilMs = Number.NEGATIVE_INFINITY;
  #isAbsenceTold = false;

  constructor(access: SupabaseAccess, options: ResumableOptions) {
    const { clock, keepMs = 24 * 3_600_000, idleMs = 30_000, settleMs = 10_000 } = options;
    this.#options = options;
    this.#fromBytes = options.fromBytes ?? 24 * 2 ** 20;
    this.#partBytes = options.partBytes ?? 6 * 2 ** 20;
    this.#keepMs = keepMs;
    this.#waitsMs = options.waitsMs ?? [0, 1000, 3000, 5000];
    this.#door = new TusDoor(access, {
      clock,
      connections: options.connections ?? 16,
      connectMs: options.connectMs ?? 5000,
      answerMs: options.answerMs ?? 120_000,
      limits: { idleMs, settleMs },
    });
    this.#partials = new PartialUploads({
      folder: options.folder ?? null,
      target: `${access.url.replace(/\/+$/, "")} ${access.bucket}`,
      clock,
      keepMs,
      keptMax: options.keptMax ?? 1000,
    });
  }

  /**
   * The unfinished upload of these bytes, or a new one; null when they are to be sent in one piece:
   * too few of them, or a server without this way. Whoever has it releases it, always.
   */
  async claim(key: PartialKey): Promise<PartialUpload | null> {
    if (key.sizeBytes < this.#fromBytes || !this.#mayBeThere) return null;
    try {
      const expired = await this.#partials.takeExpired();
      // Behind the caller's back: nobody has to wait for what others left.
      if (expired.length > 0) void this.#giveUp(expired);
      return await this.#partials.claim(key);
    } catch (error) {
      // Remembering is a help and no condition.
      this.#options.logger.warn({ err: error }, "Unfinished uploads cannot be remembered");
      return null;
    }
  }

  /**
   * Stores the object, continuing what is there of it already. False, with nothing stored, when the
   * server has no resumable uploads. Rejects with the body's own error, with `FILES_BACKEND_…`, or with
   * the signal's reason.
   */
  async put(
    object: ResumableObject,
    partial: PartialUpload,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      const isStored = await this.#send(object, partial, signal);
      if (isStored) await partial.forget();
      return isStored;
    } catch (error) {
      const mayGoOn = signal.aborted ? object.keep : isCodedError(error) && error.retryable;
      const { location } = partial;
      if (!mayGoOn && location !== null) {
        await partial.forget();
        await this.#giveUp([location]);
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#partials.close();
    await this.#door.close();
  }

  get #mayBeThere(): boolean {
    return this.#options.clock.monotonicMs() >= this.#absentUntilMs;
  }

  async #send(
    object: ResumableObject,
    partial: PartialUpload,
    signal: AbortSignal,
  ): Promise<boolean> {
    let beginnings = 0;
    let failures = 0;
    let furthest = 0;
    for (;;) {
      signal.throwIfAborted();
      const before = partial.location;
      let reached = 0;
      try {
        const offset = await this.#begin(object, partial, signal);
        if (offset === "no-door") return false;
        if (partial.location !== before) beginnings += 1;
        reached = offset;
        await this.#sendFrom(object, partial, offset, signal, (next) => {
          reached = next;
        });
        return true;
      } catch (error) {
        signal.throwIfAborted();
        if (reached > furthest) failures = 0;
        furthest = Math.max(furthest, reached);
        const wait = this.#waitsMs[failures];
        const mayGoOn = isCodedError(error) && error.retryable;
        if (!mayGoOn || wait === undefined || beginnings > BEGINNINGS) throw error;
        failures += 1;
        (object.logger ?? this.#options.logger).info(
          { reason: error.message, sentBytes: reached, failures },
          "A resumable upload broke off and goes on",
        );
        const { clock, random = systemRandom } = this.#options;
        await sleep(clock, wait * (0.5 + random.next() / 2), signal, true);
      }
    }
  }

  /** Finds out where to go on, or begins; answers the offset. */
  async #begin(
    object: ResumableObject,
    partial: PartialUpload,
    signal: AbortSignal,
  ): Promise<number | "no-door"> {
    if (partial.location !== null) {
      const offset = await this.#door.offset(partial.location, signal);
      if (offset !== null && offset < object.sizeBytes) return offset;
      // Whole or unknown: it may have become the object while its last answer was lost.
      const facts = await this.#options.head(object.key, signal);
      if (facts?.sizeBytes === object.sizeBytes) return object.sizeBytes;
      await partial.forget();
    }
    const created = await this.#door.create(object, signal);
    if (created === null) {
      this.#noteAbsence();
      return "no-door";
    }
    this.#isAbsenceTold = false;
    const expiresAtMs = created.expiresAtMs ?? this.#options.clock.now() + this.#keepMs;
    await partial.begun(created.location, expiresAtMs).catch((error: unknown) => {
      const { logger } = this.#options;
      logger.warn({ err: error }, "An unfinished upload cannot be remembered");
    });
    return 0;
  }

  async #sendFrom(
    object: ResumableObject,
    { location }: PartialUpload,
    start: number,
    signal: AbortSignal,
    onOffset: (offset: number) => void,
  ): Promise<void> {
    const { sizeBytes } = object;
    const reader = new PartReader(object.open(start));
    try {
      for (let offset = start; offset < sizeBytes; ) {
        signal.throwIfAborted();
        if (location === null) throw new TypeError("The upload was begun.");
        const partBytes = Math.min(this.#partBytes, sizeBytes - offset);
        const next = await this.#door.append(
          {
            location,
            offset,
            sizeBytes: partBytes,
            isLast: offset + partBytes === sizeBytes,
            chunks: reader.take(partBytes),
          },
          signal,
        );
        if (next !== offset + partBytes) throw tookTooLittle(offset + partBytes, next);
        offset = next;
        onOffset(offset);
      }
      await reader.drain();
    } finally {
      reader.close();
    }
  }

  #noteAbsence(): void {
    const { clock, logger, absentMs = 600_000 } = this.#options;
    this.#absentUntilMs = clock.monotonicMs() + absentMs;
    if (this.#isAbsenceTold) return;
    this.#isAbsenceTold = true;
    logger.warn({ absentMs }, "The backend has no resumable uploads; files are sent in one piece");
  }

  /** Best effort: the server has an expiry of its own. */
  async #giveUp(locations: readonly string[]): Promise<void> {
    const { clock, logger } = this.#options;
    for (const location of locations) {
      try {
        await withTimeLimit({ clock, limitMs: TERMINATE_LIMIT_MS }, (each) =>
          this.#door.terminate(location, each),
        );
      } catch (error) {
        logger.info({ err: error }, "An unfinished upload is left to the server's expiry");
      }
    }
  }
}

function tookTooLittle(expected: number, actual: number): Error {
  return backendUnavailable({
    during: "storing the object in parts",
    reason: `the offset is ${actual} and not ${expected}`,
  });
}
