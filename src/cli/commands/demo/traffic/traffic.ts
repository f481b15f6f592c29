import { Worker } from "node:worker_threads";
import { CodedError } from "../../../../base/errors.ts";
import type { TrafficCounts } from "./counts.ts";
import type { LoadSettings } from "./load.ts";
import type { FromTraffic, ToTraffic } from "./worker.ts";

/** The demo's callers, in a thread of their own. */
export class Traffic {
  readonly #worker: Worker;
  readonly #seeded: Promise<void>;
  #newest: TrafficCounts | null = null;
  #last: (() => void) | null = null;

  constructor(settings: LoadSettings) {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    this.#worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), {
      name: "changeover-demo-traffic",
      workerData: settings,
    });
    this.#seeded = new Promise((resolve, reject) => {
      const fail = (message: string): void =>
        reject(
          new CodedError(
            "CLI_DEMO_TRAFFIC",
            `The demo's callers could not begin: ${message}. Look whether the machine has room and memory left, and run it again.`,
            { status: 502 },
          ),
        );
      this.#worker.on("error", ({ message }) => fail(message));
      this.#worker.on("exit", () => {
        fail("their thread ended");
        this.#last?.();
      });
      this.#worker.on("message", (message: FromTraffic) => {
        if (message.kind === "seeded") resolve();
        else if (message.kind === "failed") fail(message.message);
        else {
          this.#newest = message.counts;
          if (message.last) this.#last?.();
        }
      });
    });
    // Whoever waits for it hears of it; nobody else has to.
    this.#seeded.catch(() => undefined);
  }

  /** Every tenant has a file. Rejects with `CLI_DEMO_TRAFFIC`. */
  seeded(): Promise<void> {
    return this.#seeded;
  }

  /** Begins to call. */
  begin(): void {
    this.#tell({ kind: "begin" });
  }

  /** The newest counts, twice a second; null before the first ones. */
  get counts(): TrafficCounts | null {
    return this.#newest;
  }

  /** Lets the calls under way end, for some seconds at most, and answers with the last counts. */
  async stop(): Promise<TrafficCounts | null> {
    const last = new Promise<void>((resolve) => {
      this.#last = resolve;
    });
    this.#tell({ kind: "stop" });
    await last;
    return this.#newest;
  }

  /** Ends the thread at once, whatever it does. */
  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #tell(message: ToTraffic): void {
    this.#worker.postMessage(message);
  }
}
