import { judgeReady } from "../../../app/ready/judge-ready.ts";
import {
  defaultReadyLimits,
  type ReadyLimits,
  type ReadyReport,
  type ReadyState,
} from "../../../app/ready/ready-check.ts";
import { readyFacts } from "../../../app/ready/ready-facts.ts";
import type { Command } from "../../context.ts";
import { withOperator } from "../../session.ts";
import { counted, type Line, type Style, styled, table } from "../../terminal/text.ts";
import { namedOperation } from "./named-operation.ts";

/** What is asked for; what is left out is as in `defaultReadyLimits`. */
type ReadyOptions = Partial<ReadyLimits>;

/** The newest entries that are looked at; the journal gives no more at once. */
const entriesMax = 1000;

/** `changeover ready <operation>`; fails unless the legacy path may be deleted. */
export const ready: Command<ReadyOptions> = (context, { words: [typed = ""], options }) =>
  withOperator(context, async (operator) => {
    const limits = { ...defaultReadyLimits, ...options };
    const snapshot = await operator.snapshot();
    const now = namedOperation(snapshot.operations, typed);
    const [entries, mismatches] = await Promise.all([
      operator.journal({ operation: now.name, limit: entriesMax }),
      operator.mismatches(),
    ]);
    const facts = await readyFacts({
      ...{ snapshot, now, entries, entriesMax, mismatches },
      config: context.config(),
      live: operator.live,
      nowMs: context.clock.now(),
      days: limits.days,
    });
    const report = judgeReady(facts, limits);
    const lines = [...linesOf(report), styled("faint", `Read ${operator.way}.`)];
    return { answer: { value: report, lines }, exit: report.ready ? "done" : "failed" };
  });

const styles: Readonly<Record<ReadyState, Style>> = {
  passed: "good",
  failed: "bad",
  unknown: "warn",
};

function linesOf({ operation, ready: isReady, checks }: ReadyReport): Line[] {
  const rows = checks.map(({ name, state, sentence }) => [
    `  ${name}`,
    styled(styles[state], state),
    sentence,
  ]);
  const open = checks.filter(({ state }) => state !== "passed").length;
  const verdict = isReady
    ? styled("good", "ready: its legacy path may be deleted")
    : styled("bad", `not ready: ${counted(open, "check")} of ${checks.length} not passed`);
  return [[styled("strong", operation), ": ", verdict], ...table(rows)];
}
