/** What a test of migrated code needs: time that stands still, flags at hand, a forced path. */
export { ManualClock } from "./base/manual-clock.ts";
export { seededRandom } from "./base/random.ts";
/** What an exported mismatch runs. */
export { type Replay, replayInput } from "./changeover.ts";

import type { Changeover } from "./changeover.ts";
import { staticFlags } from "./flags/static-flags.ts";
import type { Path } from "./migration/call.ts";
import type { FlagSource } from "./migration/flags.ts";

/** Flags a test turns by hand. */
export interface ManualFlags extends FlagSource {
  /** Sends every key of an operation to one path. Throws `FLAGS_UNKNOWN` for one not named at the start. */
  force(operation: string, path: Path): Promise<void>;
  /** Shadows every call of an operation, or none. */
  shadow(operation: string, on: boolean): Promise<void>;
}

/** Flags for the named operations, all on legacy and unshadowed to begin with. */
export function manualFlags(...operations: readonly string[]): ManualFlags {
  const flags = staticFlags(Object.fromEntries(operations.map((operation) => [operation, 0])));
  const change = { by: "test", reason: "test" };
  return {
    kind: flags.kind,
    control: flags.control,
    revision: () => flags.revision(),
    freshness: (monotonicMs) => flags.freshness(monotonicMs),
    answer: (operation, key) => flags.answer(operation, key),
    state: (operation) => flags.state(operation),
    problems: () => flags.problems(),
    ready: () => flags.ready(),
    close: () => flags.close(),
    force: async (operation, path) => {
      await flags.control?.setPercentage(operation, path === "candidate" ? 100 : 0, change);
    },
    shadow: async (operation, on) => {
      await flags.control?.setShadow(operation, on ? 100 : 0, change);
    },
  };
}

/**
 * Throws an `Error` that lists every difference that shadows have found so far: call it at the end of a
 * test to make a mismatch fail it.
 */
export function assertNoMismatches(changeover: Pick<Changeover, "mismatches">): void {
  const found = changeover.mismatches();
  if (found.length === 0) return;
  const lines = found.flatMap((mismatch) =>
    mismatch.differences.map(
      ({ path, kind, legacy, candidate }) =>
        `${mismatch.operation} ${path || "(all)"} ${kind}: legacy ${legacy}, candidate ${candidate}`,
    ),
  );
  throw new Error(`The two paths differ:\n${lines.join("\n")}`);
}
