import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/base/clock.ts";
import type { CaseContext } from "../case.ts";
import type { GateLimit } from "../targets.ts";
import { Workplace } from "../workplace.ts";
import type { GateCheck } from "./checks.ts";
import { type GateResult, judgeReading, limitOf } from "./verdict.ts";

/** How the gate is run. */
export interface GateOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly seed: number;
  /** Milliseconds within which a check may be measured again with more samples; default 180,000. */
  readonly limitMs?: number;
  readonly onCheck?: (id: string) => void;
  readonly onProgress?: (text: string) => void;
}

/** How often the samples of a check may be doubled. */
const DOUBLINGS = 3;

/**
 * Measures every check; one whose interval leaves it open is measured again with twice the samples, at
 * most three times and while there is time. Whatever it started or wrote is gone afterwards.
 */
export async function runGate(
  checks: readonly GateCheck[],
  limits: readonly GateLimit[],
  options: GateOptions,
): Promise<GateResult[]> {
  const { clock, signal, seed, limitMs = 180_000, onProgress = () => undefined } = options;
  const folder = await mkdtemp(join(tmpdir(), "changeover-gate-"));
  const workplace = new Workplace(
    { tier: "default", seed, clock, signal, update: onProgress },
    folder,
  );
  const endMs = clock.monotonicMs() + limitMs;
  const isThereTimeFor = (ms: number): boolean => clock.monotonicMs() + ms < endMs;
  try {
    const results: GateResult[] = [];
    for (const check of checks) {
      options.onCheck?.(check.id);
      const limit = limitOf(limits, check.id);
      results.push(await measureUntilClear(check, limit, workplace.context(), isThereTimeFor));
    }
    return results;
  } finally {
    await workplace.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureUntilClear(
  { id, rule, measure }: GateCheck,
  { text, unit, limit }: GateLimit,
  context: CaseContext,
  isThereTimeFor: (ms: number) => boolean,
): Promise<GateResult> {
  for (let doublings = 0; ; doublings += 1) {
    const startedMs = context.clock.monotonicMs();
    const reading = await measure(context, 2 ** doublings);
    const verdict = judgeReading(rule, limit, reading);
    // Twice the samples take twice the time; and the checks that come need theirs.
    const nextMs = 2 * (context.clock.monotonicMs() - startedMs);
    if (verdict !== "inconclusive" || doublings === DOUBLINGS || !isThereTimeFor(nextMs)) {
      return { id, text, unit, limit, ...reading, verdict, doublings };
    }
  }
}
