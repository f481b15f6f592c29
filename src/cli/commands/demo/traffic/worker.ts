import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../../../../base/clock.ts";
import { toError } from "../../../../base/errors.ts";
import type { TrafficCounts } from "./counts.ts";
import { Load, type LoadSettings } from "./load.ts";

/** What the worker is told. */
export type ToTraffic = { readonly kind: "begin" } | { readonly kind: "stop" };

/** What the worker tells. */
export type FromTraffic =
  | { readonly kind: "seeded" }
  | { readonly kind: "counts"; readonly counts: TrafficCounts; readonly last: boolean }
  | { readonly kind: "failed"; readonly message: string };

/** Milliseconds between two counts. */
const tellEveryMs = 500;

/*
 * The program of the thread that the demo's callers live in, so that neither drawing nor looking at the
 * product takes their time.
 */
const port = parentPort;
if (port !== null) {
  const load = new Load(workerData as LoadSettings, systemClock);
  const tell = (message: FromTraffic): void => port.postMessage(message);
  const counted = (last: boolean): void => tell({ kind: "counts", counts: load.counts(), last });
  port.on("message", ({ kind }: ToTraffic) => {
    if (kind === "begin") {
      load.start();
      systemClock.every(tellEveryMs, () => counted(false));
      return;
    }
    void load.stop().then(() => {
      counted(true);
      port.close();
    });
  });
  load.seed().then(
    () => tell({ kind: "seeded" }),
    (error) => tell({ kind: "failed", message: toError(error).message }),
  );
}
