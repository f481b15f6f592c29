import { answers, type TrafficSecond } from "../traffic.ts";

/** How many of a second's candidate calls failed for their callers. */
export function harmedIn({ candidateBads, answer }: TrafficSecond): number {
  let harmed = 0;
  for (let bad = 0; bad < candidateBads; bad += 1) {
    if (answer[bad] !== answers.answered) harmed += 1;
  }
  return harmed;
}
