import { shadowResultKinds } from "../shadow/shadow.ts";
import { fallbackResults } from "./definitions/call-metrics.ts";
import type { Cells } from "./family.ts";

/** What speaks for or against a candidate beside how its calls ended, since the start of the process. */
export interface EvidenceCounts {
  /** Calls that the candidate failed and legacy was asked to answer, whatever came of it. */
  readonly fallbacks: number;
  /** Answers of both paths that were compared, and those that differed. */
  readonly compared: number;
  readonly different: number;
}

/** Reads them from an operation's series. */
export function evidenceOf(
  cells: Readonly<Record<"fallbacks" | "shadowRuns", Cells>>,
): EvidenceCounts {
  const fell = (result: string): number =>
    cells.fallbacks.numbers[fallbackResults.indexOf(result)] ?? 0;
  const ran = (result: (typeof shadowResultKinds)[number]): number =>
    cells.shadowRuns.numbers[shadowResultKinds.indexOf(result)] ?? 0;
  const different = ran("different");
  const fallbacks = fell("answered") + fell("failed") + fell("aborted");
  return { fallbacks, compared: ran("same") + different, different };
}
