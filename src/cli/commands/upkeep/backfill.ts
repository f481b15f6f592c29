import type { BackfillReport } from "../../../files/backfill/backfill.ts";
import { type Command, usage } from "../../context.ts";
import { withPackage } from "../../process/optional-package.ts";
import { transferProgress } from "../../progress.ts";
import { withBackendOnly } from "../../session.ts";
import { bytesText, counted, type Line, styled } from "../../terminal/text.ts";

interface BackfillCommandOptions {
  readonly owner: string;
  readonly prefix?: string;
  readonly purpose?: string;
  readonly dryRun?: boolean;
  readonly validateOnly?: boolean;
  readonly concurrency: number;
  readonly rate?: number;
  readonly bwlimit?: number;
  readonly shard?: string;
}

/** Lines that are printed of each kind; `--json` has all of them. */
const LINES_MAX = 100;

/**
 * `changeover backfill`: gives objects that were in the bucket before a hash and a row. Ends with 0 when
 * all have theirs, with 6 when some could not be read. Run again, it goes on where it was.
 */
export const backfill: Command<BackfillCommandOptions> = (context, { options }) =>
  withBackendOnly(context, async (backend) => {
    const shard = options.shard === undefined ? null : shardOf(options.shard);
    const { backfillBackend } = await withPackage(
      "commands in this process",
      () => import("../../../app/upkeep/backfill-backend.ts"),
    );
    const { owner, prefix, purpose, dryRun, validateOnly, concurrency, rate, bwlimit } = options;
    const bars = await transferProgress(context.output, { files: 1, bytes: 0 });
    let bar: ReturnType<typeof bars.begin> | null = null;
    try {
      const report = await backfillBackend(backend, {
        owner,
        concurrency,
        dryRun: dryRun === true,
        validateOnly: validateOnly === true,
        clock: context.clock,
        signal: context.signal,
        ...(prefix === undefined ? {} : { prefix }),
        ...(purpose === undefined ? {} : { purpose }),
        ...(rate === undefined ? {} : { objectsPerSecond: rate }),
        ...(bwlimit === undefined ? {} : { bytesPerSecond: bwlimit }),
        ...(shard === null ? {} : { shard }),
        progress: ({ done, total }) => {
          bar ??= bars.begin("objects", total);
          bar.sent(done);
        },
      });
      const lines = linesOf(report, options);
      return {
        answer: { value: report, lines },
        exit: report.failed.length === 0 ? "done" : "partly",
      };
    } finally {
      bars.stop();
    }
  });

/** `2/3`: the second of three parts. */
function shardOf(text: string): { readonly index: number; readonly count: number } {
  const [, index = "", count = ""] = /^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? [];
  if (Number(index) >= 1 && Number(index) <= Number(count)) {
    return { index: Number(index) - 1, count: Number(count) };
  }
  const shown = JSON.stringify(text.slice(0, 40));
  throw usage(`${shown} is not accepted for --shard. Use 1/3, 2/3 and 3/3 on three machines.`);
}

function linesOf(report: BackfillReport, { dryRun, validateOnly }: BackfillCommandOptions): Line[] {
  const { objects, known, adopted, duplicates, failed, bytes } = report;
  const would = dryRun === true || validateOnly === true;
  return [
    ...duplicates
      .slice(0, LINES_MAX)
      .map(({ key, sameAs }): Line => [styled("faint", "same bytes "), `${key} = ${sameAs}`]),
    ...failed
      .slice(0, LINES_MAX)
      .map(({ key, reason }): Line => [styled("bad", "failed "), `${key}: ${reason}`]),
    [
      `${counted(objects, "object")}: ${known} known, ${adopted} ${would ? "to be " : ""}taken in`,
      ` (${duplicates.length} with the same bytes as others), ${failed.length} failed;`,
      ` ${bytesText(bytes)} read.`,
    ],
  ];
}
