import { resolve } from "node:path";
import { reportHtml } from "../../../app/report/html.ts";
import { reportMarkdown } from "../../../app/report/markdown.ts";
import { makeReport } from "../../../app/report/report.ts";
import type { Command } from "../../context.ts";
import { writeNewFile } from "../../process/new-file.ts";
import { withOperator } from "../../session.ts";
import { namedOperation } from "./named-operation.ts";

interface ReportOptions {
  readonly html?: boolean;
  readonly output?: string;
  /** Milliseconds since the Unix epoch. */
  readonly since?: number;
}

/** The newest entries a report tells of; the journal gives no more at once. */
const entriesMax = 1000;

/** `changeover report <operation>` */
export const report: Command<ReportOptions> = (context, { words: [typed = ""], options }) =>
  withOperator(context, async (operator) => {
    const { operations } = await operator.snapshot();
    const now = namedOperation(operations, typed);
    const { since, html = false, output } = options;
    const entries = await operator.journal({
      operation: now.name,
      limit: entriesMax,
      ...(since === undefined ? {} : { sinceMs: since }),
    });
    const mismatches = await operator.mismatches();
    const at = new Date(context.clock.now()).toISOString();
    const made = makeReport({ operation: now.name, at, entries, now, mismatches });
    const text = html ? reportHtml(made) : reportMarkdown(made);
    if (output === undefined) return { answer: { value: made, lines: text.split("\n") } };
    await writeNewFile(output, text);
    return { answer: { value: { ...made, file: resolve(output) }, lines: [`Written: ${output}`] } };
  });
