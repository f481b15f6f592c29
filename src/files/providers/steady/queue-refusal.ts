import { CodedError } from "../../../base/errors.ts";
import type { WriteEffect } from "../../errors.ts";
import type { ErrorProvider } from "../../provider-errors.ts";

/** How busy our own queue in front of a provider is. */
export interface ProviderQueue {
  readonly provider: ErrorProvider;
  /** What waits there, such as `uploads`. */
  readonly what: string;
  readonly running: number;
  readonly waiting: number;
  /** What was passed: the length of the queue, or the longest wait in milliseconds. */
  readonly why: "queue" | "wait";
  readonly limit: number;
}

/** Too many calls wait for a provider, or one has waited too long; nothing was sent. */
export function providerBusy(queue: ProviderQueue): CodedError {
  const { provider, what, running, waiting, why, limit } = queue;
  const passed =
    why === "queue" ? `at most ${limit} may wait` : `this one has waited for ${limit} ms`;
  return new CodedError(
    "FILES_BUSY",
    `${running} ${what} to provider ${provider} are running and ${waiting} are waiting; ${passed}. Try again in 1 s.`,
    {
      status: 503,
      retryable: true,
      retryAfterSeconds: 1,
      details: { ...queue, effect: "absent" satisfies WriteEffect },
    },
  );
}
