import { mkdir, readdir, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { replaceFile } from "../src/base/atomic-file.ts";
import { type BenchmarkReport, renderJson, renderMarkdown } from "../src/harness/report.ts";
import { picturesOf } from "./pictures.ts";

/** Where results go: `latest` is nobody's but this machine's, `reference` is committed. */
export type ResultsFolder = "latest" | "reference";

/** The folder of all results; its path ends without a slash. */
export const resultsFolder: string = fileURLToPath(new URL("./results", import.meta.url));

/**
 * Writes a report as JSON, Markdown and pictures and returns the paths as a reader may type them: as
 * `latest.json`, `latest.md` and `latest-*.svg`, or as `reference/report.json` and so on. Pictures of an
 * earlier report that this one does not have are removed. `root` is the folder of all results.
 */
export async function saveReport(
  report: BenchmarkReport,
  where: ResultsFolder = "latest",
  root: string = resultsFolder,
): Promise<string[]> {
  const folder = where === "latest" ? root : join(root, "reference");
  const named = (name: string): string => (where === "latest" ? `latest-${name}` : name);
  await mkdir(folder, { recursive: true });
  const pictures = picturesOf(report).map(({ name, svg }) => ({ name: named(name), text: svg }));
  const stem = where === "latest" ? "latest" : "report";
  const links = pictures.map(({ name }) => `![${name}](${name})`).join("\n\n");
  const files = [
    { name: `${stem}.json`, text: renderJson(report) },
    { name: `${stem}.md`, text: `${renderMarkdown(report)}${links === "" ? "" : `\n${links}\n`}` },
    ...pictures,
  ];
  for (const { name, text } of files) await replaceFile(join(folder, name), text);
  const isOld = (name: string): boolean =>
    name.startsWith(named("")) &&
    name.endsWith(".svg") &&
    !files.some((file) => file.name === name);
  for (const name of (await readdir(folder)).filter(isOld)) await rm(join(folder, name));
  return files.map(({ name }) => relative(process.cwd(), join(folder, name)));
}
