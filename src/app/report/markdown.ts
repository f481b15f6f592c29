import type { Report } from "./report.ts";
import { periodOf, sectionsOf } from "./sections.ts";

/** The report as Markdown (GitHub's tables). Text from outside cannot break a table or become HTML. */
export function reportMarkdown(report: Report): string {
  const { operation, state } = report;
  const lines = [
    `# Rollout report: ${escaped(operation)}`,
    "",
    periodOf(report),
    "",
    `Now: ${escaped(state)}`,
    "",
  ];
  for (const { title, table, otherwise } of sectionsOf(report)) {
    lines.push(`## ${title}`, "");
    if (table.rows.length === 0) lines.push(otherwise, "");
    else {
      lines.push(row(table.head), row(table.head.map(() => "---")));
      for (const cells of table.rows) lines.push(row(cells.map(escaped)));
      lines.push("");
    }
  }
  return lines.join("\n");
}

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

function escaped(text: string): string {
  return text
    .replace(/[\r\n]+/g, " ")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replace(/[|\\`*_[\]]/g, "\\$&");
}
