import { randomBytes } from "node:crypto";
import { appendFile, writeFile } from "node:fs/promises";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Changeover } from "../../changeover.ts";
import { ObservationRecorder } from "../../rehearsal/simulator/recording/recorder.ts";

/** Where observations are recorded. */
export interface ObservationRecordOptions {
  /** One half of the ring is here, the other in `<file>.1`; which is newer changes as they fill. */
  readonly file: string;
  readonly changeover: Pick<Changeover, "observations">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Records what the guard sees, for `changeover simulate --events`: bounded to 64 MiB, keys hashed with a
 * salt that nobody keeps, no contents. Returns how it is ended.
 */
export function recordObservations(options: ObservationRecordOptions): () => Promise<void> {
  const { file, changeover, clock, logger } = options;
  const recorder = new ObservationRecorder({
    clock,
    salt: randomBytes(16).toString("hex"),
    report: (part, error) => logger.warn({ part, err: error }, "Observations are not recorded"),
    append: ({ file: half, startAnew, text }) => {
      const path = half === 0 ? file : `${file}.1`;
      return startAnew
        ? writeFile(path, text, { mode: 0o600 })
        : appendFile(path, text, { mode: 0o600 });
    },
  });
  const stop = changeover.observations.subscribe((observation) => recorder.record(observation));
  return async () => {
    stop();
    await recorder.close();
  };
}
