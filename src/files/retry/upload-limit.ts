import type { Clock, Timer } from "../../base/clock.ts";
import type { Progress } from "../file-manager.ts";
import type { ErrorProvider } from "../provider-errors.ts";
import { providerUnavailable } from "../provider-errors.ts";

/** How long an upload may take. */
export interface UploadLimit {
  readonly provider: ErrorProvider;
  readonly clock: Clock;
  /** As predicted, in milliseconds. */
  readonly totalMs: number;
  /** How recently a byte must have moved for more time to be given, in milliseconds. */
  readonly idleMs: number;
}

/**
 * Ends an upload that takes longer than was predicted, unless bytes still move: a slow link is no dead
 * one. It then fails like one whose answer was lost (`FILES_PROVIDER_UNAVAILABLE`), because the file may
 * be there.
 */
export async function withinPrediction<T>(
  { provider, clock, totalMs, idleMs }: UploadLimit,
  signal: AbortSignal,
  work: (signal: AbortSignal, moved: Progress) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  let movedMs = Number.NEGATIVE_INFINITY;
  let timer: Timer;
  const check = (): void => {
    const quietMs = clock.monotonicMs() - movedMs;
    if (quietMs < idleMs) {
      timer = clock.after(Math.max(1, Math.ceil(idleMs - quietMs)), check);
      return;
    }
    const reason = `it took longer than the ${Math.round(totalMs)} ms that were expected at most, and no byte moved for ${idleMs} ms`;
    late.abort(
      providerUnavailable({ provider, during: "uploading a file", reason, effect: "possible" }),
    );
  };
  timer = clock.after(totalMs, check);
  try {
    return await work(AbortSignal.any([signal, late.signal]), () => {
      movedMs = clock.monotonicMs();
    });
  } finally {
    timer.cancel();
  }
}
