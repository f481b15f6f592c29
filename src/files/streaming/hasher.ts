import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import type { Clock, Timer } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { FileSource } from "../file-manager.ts";
import { sourceChunks } from "../source.ts";
import { Admission } from "./admission.ts";
import { type HashJob, HashThread } from "./hash-thread.ts";

/** Limits of a {@link Hasher}; all have defaults. */
export interface HasherOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Worker threads beside the thread that asks; default {@link hashWorkersFor} this machine. */
  readonly workers?: number | undefined;
  /** Files that may wait for a thread; default 1,000. Beyond it they fail with `FILES_BUSY`. */
  readonly waitingMax?: number;
  /** Files below this many bytes are not worth a message to a worker; default 1 MiB. */
  readonly sharedFromBytes?: number;
  /** Milliseconds after which a worker without work is ended; default 10,000. */
  readonly idleMs?: number;
  /** Ends of workers after which no more are started; default 3. */
  readonly endedMax?: number;
}

/** What a {@link Hasher} has done, and what it has. */
export interface HasherUse {
  /** Files hashed by workers. */
  readonly shared: number;
  /** Workers that ended by themselves. */
  readonly ended: number;
  /** Workers there are right now. */
  readonly workers: number;
}

/**
 * How many hash workers a machine of so many cores gets: all but two, of which one hashes too and one is
 * left to others, and at most 4; none where there are only two, for workers would take their time.
 */
export function hashWorkersFor(cores: number): number {
  return Math.max(0, Math.min(4, cores - 2));
}

/**
 * SHA-256 of sources, on as many cores as are idle: of several large local files that are hashed at once
 * one is hashed here, as all others are, and the rest by worker threads that read the files themselves.
 * They are started when there is work for them, and ended when there is none.
 */
export class Hasher {
  readonly #options: Required<HasherOptions> & { readonly workers: number };
  readonly #lanes: Admission;
  readonly #threads = new Set<HashThread>();
  readonly #idle: { readonly thread: HashThread; readonly patience: Timer }[] = [];
  #isBusyHere = false;
  #isClosed = false;
  #shared = 0;
  #ended = 0;

  constructor(options: HasherOptions) {
    const { workers = hashWorkersFor(availableParallelism()), waitingMax = 1000 } = options;
    const { sharedFromBytes = 2 ** 20, idleMs = 10_000, endedMax = 3 } = options;
    this.#options = { ...options, workers, waitingMax, sharedFromBytes, idleMs, endedMax };
    this.#lanes = new Admission({ running: 1 + workers, waitingMax });
  }

  get use(): HasherUse {
    return { shared: this.#shared, ended: this.#ended, workers: this.#threads.size };
  }

  /** SHA-256 in hex, lower case. Rejects with `FILES_SOURCE_CHANGED`, and with what `signal` says. */
  hash(source: FileSource, signal: AbortSignal): Promise<string> {
    const { path, identity, sizeBytes } = source;
    const isShared = this.#hasWorkers && sizeBytes >= this.#options.sharedFromBytes;
    if (!isShared || path === null || identity === null) return hashHere(source, signal);
    const job = { path, identity, sizeBytes };
    return this.#lanes.run(signal, async () => {
      if (this.#isBusyHere) return (await this.#share(job, signal)) ?? hashHere(source, signal);
      this.#isBusyHere = true;
      return hashHere(source, signal).finally(() => {
        this.#isBusyHere = false;
      });
    });
  }

  /** Ends the workers. What they were hashing is hashed here. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { patience } of this.#idle.splice(0)) patience.cancel();
    await Promise.all([...this.#threads].map((thread) => thread.end()));
    this.#threads.clear();
  }

  get #hasWorkers(): boolean {
    const { workers, endedMax } = this.#options;
    return workers > 0 && this.#ended < endedMax && !this.#isClosed;
  }

  /** Null when no worker could do it. */
  async #share(job: HashJob, signal: AbortSignal): Promise<string | null> {
    // Since it began to wait there may be none any more.
    if (!this.#hasWorkers) return null;
    let thread: HashThread | null = null;
    let sha256: string | null;
    try {
      thread = this.#takeThread();
      sha256 = await thread.hash(job, signal);
    } catch (cause) {
      if (thread !== null) this.#threads.delete(thread);
      this.#note(cause);
      return null;
    }
    this.#keep(thread);
    signal.throwIfAborted();
    if (sha256 !== null) this.#shared += 1;
    return sha256;
  }

  /** The one that had work last, so that those too many come to rest. */
  #takeThread(): HashThread {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      idle.patience.cancel();
      return idle.thread;
    }
    const thread = new HashThread();
    this.#threads.add(thread);
    return thread;
  }

  #keep(thread: HashThread): void {
    if (this.#isClosed) return;
    const { clock, idleMs } = this.#options;
    const patience = clock.after(idleMs, () => {
      const at = this.#idle.findIndex((each) => each.thread === thread);
      this.#idle.splice(at, 1);
      this.#threads.delete(thread);
      void thread.end();
    });
    this.#idle.push({ thread, patience });
  }

  #note(cause: unknown): void {
    if (this.#isClosed) return;
    this.#ended += 1;
    const { logger, endedMax } = this.#options;
    const facts = { reason: toError(cause).message.slice(0, 200), ended: this.#ended, endedMax };
    logger.warn(facts, "A hash worker ended; its file is hashed without it.");
  }
}

/** SHA-256 of a source in hex, read and computed by this thread. Rejects as {@link Hasher.hash} does. */
export async function hashHere(source: FileSource, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of sourceChunks(source)) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest("hex");
}
