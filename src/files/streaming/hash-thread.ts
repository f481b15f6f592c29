import { Worker } from "node:worker_threads";

/** The program is beside this file, as TypeScript in a clone and as JavaScript in the package. */
const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";

/** A file to hash. */
export interface HashJob {
  readonly path: string;
  /** The state in which it was announced, as `FileSource` has it. */
  readonly identity: string;
  readonly sizeBytes: number;
}

/** A worker thread that reads and hashes one file after the other. It starts with its first file. */
export class HashThread {
  readonly #halt = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;
  #ended: Error | null = null;
  #onEnd: ((error: Error) => void) | null = null;

  constructor() {
    this.#worker = new Worker(new URL(`./hash-worker${extension}`, import.meta.url), {
      name: "changeover-hash",
      workerData: this.#halt,
      // It needs neither the settings nor the secrets of the process, and little memory.
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("exit", (code) => this.#end(new Error(`It exited with code ${code}.`)));
    this.#worker.unref();
  }

  /**
   * SHA-256 of the file in hex; null when it could not be read to its end as announced, or `signal` said
   * to stop. Rejects when the thread has ended. One file at a time.
   */
  async hash(job: HashJob, signal: AbortSignal): Promise<string | null> {
    if (this.#ended !== null) throw this.#ended;
    const worker = this.#worker;
    const stop = (): void => void Atomics.store(this.#halt, 0, 1);
    Atomics.store(this.#halt, 0, signal.aborted ? 1 : 0);
    signal.addEventListener("abort", stop, { once: true });
    // Idle it lets the process end; with work it does not.
    worker.ref();
    const answer = Promise.withResolvers<string | null>();
    this.#onEnd = answer.reject;
    worker.once("message", answer.resolve);
    try {
      worker.postMessage(job);
      return await answer.promise;
    } finally {
      this.#onEnd = null;
      worker.off("message", answer.resolve);
      worker.unref();
      signal.removeEventListener("abort", stop);
    }
  }

  /** Ends the thread, at the latest after the piece it is reading. */
  async end(): Promise<void> {
    Atomics.store(this.#halt, 0, 1);
    await this.#worker.terminate();
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#onEnd?.(this.#ended);
  }
}
