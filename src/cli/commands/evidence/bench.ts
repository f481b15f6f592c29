import { mkdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { replaceFile } from "../../../base/atomic-file.ts";
import { measureOperation } from "../../../harness/operation/measure-operation.ts";
import { ratioChart } from "../../../harness/picture/ratio-chart.ts";
import {
  type BenchmarkReport,
  renderJson,
  renderMarkdown,
  renderText,
} from "../../../harness/report.ts";
import { type Command, usage } from "../../context.ts";
import { type Line, styled } from "../../terminal/text.ts";

interface BenchOptions {
  readonly module?: string;
  readonly quick?: boolean;
  readonly launches?: number;
  readonly pairs?: number;
  readonly seed?: number;
  readonly out?: string;
  readonly maxRatio?: number;
}

/**
 * `changeover bench`: measures both paths of a module's operation. Fails when results differ, or when
 * the candidate is certainly slower than `--max-ratio` times legacy.
 */
export const bench: Command<BenchOptions> = async (context, { options }) => {
  const { module, quick = false, launches, pairs, seed, out, maxRatio } = options;
  if (module === undefined) throw usage("Name a module: changeover bench --module ./operation.ts");
  if (out !== undefined) await refuseFile(out);
  const { check, report, time } = await measureOperation({
    file: resolve(module),
    clock: context.clock,
    signal: context.signal,
    quick,
    ...(launches === undefined ? {} : { launches }),
    ...(pairs === undefined ? {} : { pairs }),
    ...(seed === undefined ? {} : { seed }),
    onProgress: (text) => context.output.note(styled("faint", text)),
  });
  const written = out === undefined ? [] : await save(report, out);
  const problems: Line[] = [];
  if (check.differing.length > 0) {
    const which = check.differing.join(", ");
    problems.push(styled("bad", `The paths answer differently to inputs ${which} (from 0).`));
  }
  if (maxRatio !== undefined && time.ratioCi95.low > maxRatio) {
    const ratio = time.ratio.toFixed(3);
    problems.push(
      styled("bad", `The candidate takes ${ratio} times as long as legacy, more than ${maxRatio}.`),
    );
  }
  const lines: Line[] = [
    ...renderText(report).trimEnd().split("\n"),
    ...written.map((path): Line => styled("faint", `Written: ${path}`)),
    ...problems,
  ];
  const failed = problems.length > 0;
  const value = { ok: !failed, differing: check.differing, report };
  return { answer: { value, lines }, exit: failed ? "failed" : "done" };
};

/** Before minutes are spent on what could not be written then. */
async function refuseFile(out: string): Promise<void> {
  const found = await stat(resolve(out)).catch(() => null);
  if (found === null || found.isDirectory()) return;
  throw usage(`--out takes a folder, and "${out}" is a file.`);
}

async function save(report: BenchmarkReport, out: string): Promise<string[]> {
  const folder = resolve(out);
  await mkdir(folder, { recursive: true });
  const picture = {
    title: report.comparisons[0]?.case ?? "",
    subtitle: "times better, with 95 % interval; right of 1× the candidate wins",
    footer: `${report.startedAt.slice(0, 10)}, Node ${report.machine.node}, ${report.machine.cores} cores, load ${report.machine.loadBefore[0].toFixed(2)} before${report.quick ? "; quick run, decides nothing" : ""}`,
  };
  const files = {
    "report.json": renderJson(report),
    "report.md": renderMarkdown(report),
    "report.svg": ratioChart(picture, report.comparisons),
  };
  for (const [name, text] of Object.entries(files)) await replaceFile(join(folder, name), text);
  return Object.keys(files).map((name) => join(folder, name));
}
