import { mkdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { replaceFile } from "../src/base/atomic-file.ts";
import { type BenchmarkReport, renderJson, renderMarkdown } from "../src/harness/report.ts";

/** Writes `latest.json` and `latest.md` and returns their paths as a reader may type them. */
export async function saveReport(report: BenchmarkReport): Promise<string[]> {
  const folder = fileURLToPath(new URL("./results/", import.meta.url));
  await mkdir(folder, { recursive: true });
  const json = join(folder, "latest.json");
  const markdown = join(folder, "latest.md");
  await replaceFile(json, renderJson(report));
  await replaceFile(markdown, renderMarkdown(report));
  return [json, markdown].map((path) => relative(process.cwd(), path));
}
