import { totalmem } from "node:os";
import { ByteBudget } from "../../base/byte-budget.ts";
import type { Clock } from "../../base/clock.ts";
import type { Path } from "../call.ts";

/** Memory that calls may claim at once, and how they queue for it. */
export interface AdmissionLimits {
  /** Bytes for legacy; default a quarter of the memory limit. */
  readonly legacyBytes?: number;
  /** Bytes for the candidate; default a quarter of the memory limit. */
  readonly candidateBytes?: number;
  /** How long a call waits for room, in milliseconds; default 60,000. */
  readonly waitMs?: number;
  /** How many calls may wait; default 10,000. */
  readonly queueMax?: number;
}

const quarterOfMemory = (): number => {
  const allowed = process.constrainedMemory();
  const physical = totalmem();
  return Math.floor((allowed > 0 && allowed < physical ? allowed : physical) / 4);
};

/** What calls may claim on each path. */
export function pathBudgets(
  limits: AdmissionLimits,
  clock: Clock,
): Readonly<Record<Path, ByteBudget>> {
  const { waitMs = 60_000, queueMax = 10_000 } = limits;
  const budget = (name: Path, limitBytes: number): ByteBudget =>
    new ByteBudget({ name, limitBytes, waitMs, queueMax }, clock);
  return {
    legacy: budget("legacy", limits.legacyBytes ?? quarterOfMemory()),
    candidate: budget("candidate", limits.candidateBytes ?? quarterOfMemory()),
  };
}
