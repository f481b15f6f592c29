import { CodedError } from "../../../base/errors.ts";
import type { BackfillReport } from "../../../files/backfill/backfill.ts";
import { type Command, type CommandContext, usage } from "../../context.ts";
import { withPackage } from "../../process/optional-package.ts";
import { sharedConfig, withBackendOnly } from "../../session.ts";
import { bytesText, counted, type Line, styled } from "../../terminal/text.ts";
import { backfillProgress } from "./backfill-progress.ts";

interface BackfillCommandOptions {
  readonly owner: string;
  readonly prefix?: string;
  readonly purpose?: string;
  readonly dryRun?: boolean;
  readonly validateOnly?: boolean;
  /** True with `--queue`, false with `--no-queue`. */
  readonly queue?: boolean;
  readonly batchSize: number;
  readonly concurrency: number;
  readonly rate?: number;
  readonly bwlimit?: number;
}

/** Lines that are printed of each kind; `--json` has all of them. */
const LINES_MAX = 100;
/** Milliseconds to give back what is unfinished. */
const STOP_MS = 5000;

/**
 * `changeover backfill`: gives objects that were in the bucket before a hash and a row. Where there is a
 * Postgres, any number of machines that run the same command share the work. Ends with 0 when all have
 * theirs, with 6 when some could not be read. Run again, it goes on where it was.
 */
export const backfill: Command<BackfillCommandOptions> = async (context, { options }) => {
  checkOptions(options);
  return withBackendOnly(context, async (backend) => {
    const queueUrl = await queueOf(context, options);
    const { backfillBackend } = await withPackage(
      "commands in this process",
      () => import("../../../app/upkeep/backfill-backend.ts"),
    );
    const { owner, prefix, purpose, dryRun, validateOnly, batchSize, concurrency } = options;
    const { rate, bwlimit } = options;
    const progress = backfillProgress(context);
    context.allowToStop(STOP_MS);
    try {
      const report = await backfillBackend(backend, {
        owner,
        queueUrl,
        batchSize,
        concurrency,
        dryRun: dryRun === true,
        validateOnly: validateOnly === true,
        clock: context.clock,
        signal: context.signal,
        ...(prefix === undefined ? {} : { prefix }),
        ...(purpose === undefined ? {} : { purpose }),
        ...(rate === undefined ? {} : { objectsPerSecond: rate }),
        ...(bwlimit === undefined ? {} : { bytesPerSecond: bwlimit }),
        progress: progress.tell,
      });
      progress.stop();
      return {
        answer: { value: report, lines: linesOf(report, options, queueUrl !== null) },
        exit: report.failed.length === 0 ? "done" : "partly",
      };
    } finally {
      progress.stop();
    }
  });
};

function checkOptions({ prefix, dryRun, validateOnly }: BackfillCommandOptions): void {
  if (prefix !== undefined && !/^[^/].*\/$/s.test(prefix)) {
    throw usage(
      `--prefix is a folder of the bucket, ends with a slash and begins with none, as in user-files/; not ${JSON.stringify(prefix)}.`,
    );
  }
  if (dryRun === true && validateOnly === true) {
    throw usage("--dry-run reads nothing and --validate-only reads everything: give one of them.");
  }
}

/** The Postgres to share the work on, or null. Throws `CLI_NO_DATABASE`. */
async function queueOf(
  context: CommandContext,
  { queue, dryRun }: BackfillCommandOptions,
): Promise<string | null> {
  if (queue === false || dryRun === true) return null;
  const { postgresUrl } = await sharedConfig(context);
  if (postgresUrl !== null) {
    const { host, pathname } = new URL(postgresUrl);
    context.output.note(styled("faint", `The work is shared on Postgres at ${host}${pathname}.`));
    return postgresUrl;
  }
  if (queue === undefined) return null;
  throw new CodedError(
    "CLI_NO_DATABASE",
    "There is no Postgres for --queue. Set CHANGEOVER_POSTGRES_URL, or run `changeover start --flags unleash`, which brings one; without --queue this process works alone.",
    { status: 400 },
  );
}

function linesOf(report: BackfillReport, options: BackfillCommandOptions, shared: boolean): Line[] {
  const { duplicates, failed, here, listedHere } = report;
  const lines: Line[] = [
    ...duplicates
      .slice(0, LINES_MAX)
      .map(({ key, sameAs }): Line => [styled("faint", "same bytes "), `${key} = ${sameAs}`]),
    ...failed
      .slice(0, LINES_MAX)
      .map(({ key, reason }): Line => [styled("bad", "failed "), `${key}: ${reason}`]),
    [
      summary(report, options),
      ` ${failed.length} failed; ${bytesText(report.bytes)} ${options.dryRun === true ? "to be " : ""}read.`,
    ],
  ];
  if (shared) {
    lines.push([
      `Of these, this machine: ${summary(here, options)} ${bytesText(here.bytes)} read.`,
    ]);
  }
  if (!listedHere) {
    lines.push([
      styled(
        "faint",
        "The list was another machine's or an earlier run's: run it again for objects that came later.",
      ),
    ]);
  }
  return lines;
}

function summary(
  {
    objects,
    known,
    adopted,
    duplicates,
  }: Pick<BackfillReport, "objects" | "known" | "adopted" | "duplicates">,
  { dryRun, validateOnly }: BackfillCommandOptions,
): string {
  const would = dryRun === true || validateOnly === true ? "to be " : "";
  const same =
    duplicates.length === 0 ? "" : ` ${duplicates.length} with the same bytes as others;`;
  return `${counted(objects, "object")}: ${known} known, ${adopted} ${would}taken in;${same}`;
}
