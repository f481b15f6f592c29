import { systemClock } from "../src/base/clock.ts";
import { CodedError, isCodedError, toError } from "../src/base/errors.ts";

/** Longest wait after the first Ctrl-C until the process ends anyway, in milliseconds. */
const STOP_LIMIT_MS = 6000;

/** Within so many milliseconds it is one Ctrl-C, told twice: by a terminal and by who started this. */
const SAME_SIGNAL_MS = 500;

/** The first Ctrl-C or SIGTERM aborts the returned signal, so that everything is tidied up; a second one ends at once. */
export function stopOnSignal(): AbortSignal {
  const controller = new AbortController();
  let firstMs = 0;
  const onSignal = (): void => {
    if (controller.signal.aborted) {
      if (systemClock.monotonicMs() - firstMs > SAME_SIGNAL_MS) process.exit(130);
      return;
    }
    firstMs = systemClock.monotonicMs();
    controller.abort(new CodedError("BENCH_STOPPED", "The benchmark was stopped."));
    systemClock.after(STOP_LIMIT_MS, () => process.exit(130));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}

/** Somebody who has read enough, as `head` has, ends no measurement. */
export function goOnUnread(stream: NodeJS.WriteStream = process.stdout): void {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

/** Prints an error as one line with its code and returns the exit code: 2 for wrong usage, else 1. */
export function reportError(thrown: unknown): number {
  const error = toError(thrown);
  const code = isCodedError(error) ? `${error.code}: ` : "";
  process.stderr.write(`${code}${error.message}\n`);
  return isCodedError(error) && error.code === "BENCH_USAGE" ? 2 : 1;
}
