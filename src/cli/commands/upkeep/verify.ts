import type { VerifyProgress, VerifyReport } from "../../../files/verify/verification.ts";
import { type Command, type CommandContext, usage } from "../../context.ts";
import type { ExitName } from "../../exit-codes.ts";
import { withPackage } from "../../process/optional-package.ts";
import { transferProgress } from "../../progress.ts";
import { withBackendOnly } from "../../session.ts";
import { bytesText, counted, type Line, type Span, styled, table } from "../../terminal/text.ts";

interface VerifyOptions {
  readonly hash?: boolean;
  readonly fix?: boolean;
  readonly dryRun?: boolean;
  readonly bwlimit?: number;
  /** Minutes. */
  readonly grace: number;
  /** Commander's form of `--no-providers`. */
  readonly providers: boolean;
}

/** Findings that are printed; `--json` has all of them. */
const LINES_MAX = 200;

/**
 * `changeover verify`: compares rows, stored bytes and provider files. Ends with 0 when nothing is
 * wrong (any more), with 1 when something is, and with 6 when a provider could not be looked at.
 */
export const verify: Command<VerifyOptions> = (context, { options }) =>
  withBackendOnly(context, async (backend) => {
    const { verifyBackend } = await withPackage(
      "commands in this process",
      () => import("../../../app/upkeep/verify-backend.ts"),
    );
    if (options.bwlimit !== undefined && options.hash !== true) {
      throw usage("--bwlimit slows the reading of stored bytes: use it with --hash.");
    }
    const progress = await phaseProgress(context);
    try {
      const report = await verifyBackend(backend, {
        hash: options.hash === true,
        fix: options.fix === true && options.dryRun !== true,
        ...(options.bwlimit === undefined ? {} : { bytesPerSecond: options.bwlimit }),
        graceMs: options.grace * 60_000,
        withProviders: options.providers,
        clock: context.clock,
        signal: context.signal,
        progress: progress.tell,
      });
      return { answer: { value: report, lines: linesOf(report) }, exit: exitFor(report) };
    } finally {
      progress.stop();
    }
  });

function exitFor({ ok, findings }: VerifyReport): ExitName {
  if (ok) return "done";
  return findings.some(({ result }) => result !== "removed") ? "failed" : "partly";
}

/** A bar for each phase on a terminal; nothing elsewhere. */
async function phaseProgress({
  output,
}: CommandContext): Promise<{ tell(progress: VerifyProgress): void; stop(): void }> {
  const bars = await transferProgress(output, { files: 1, bytes: 0 });
  let phase: VerifyProgress["phase"] | null = null;
  let bar: ReturnType<typeof bars.begin> | null = null;
  return {
    tell: (progress) => {
      if (progress.phase !== phase) {
        bar?.end(null);
        bar = bars.begin(progress.phase, progress.total);
        phase = progress.phase;
      }
      bar?.sent(progress.done);
    },
    stop: () => bars.stop(),
  };
}

function linesOf(report: VerifyReport): Line[] {
  const { contents, objects, providerFiles, hashedBytes, young, foreign } = report;
  const looked = [
    counted(contents, "content"),
    counted(objects, "object"),
    counted(providerFiles, "provider file"),
    ...(hashedBytes > 0 ? [`${bytesText(hashedBytes)} hashed`] : []),
  ].join(", ");
  const aside = [
    ...(young > 0 ? [`${counted(young, "left-over")} too young to judge (--grace)`] : []),
    ...(foreign > 0 ? [`${counted(foreign, "object")} of others in the bucket`] : []),
  ];
  return [
    ...table(report.findings.slice(0, LINES_MAX).map(rowOf)),
    ...(report.findings.length > LINES_MAX
      ? [styled("faint", `and ${report.findings.length - LINES_MAX} more (--json has all)`)]
      : []),
    ...report.unchecked.map(({ provider, purpose, reason }) =>
      styled("warn", `not looked at: ${provider}, purpose ${purpose}: ${reason}`),
    ),
    ...aside.map((text) => styled("faint", text)),
    `${looked}: ${verdictOf(report)}`,
  ];
}

function rowOf(finding: VerifyReport["findings"][number]): Span[] {
  const { result, kind, subject, detail, reason } = finding;
  const style = result === "removed" ? "good" : finding.isLeftOver ? "warn" : "bad";
  return [styled(style, result === "open" ? "found" : result), kind, subject, reason ?? detail];
}

function verdictOf({ ok, findings }: VerifyReport): string {
  const removed = findings.filter(({ result }) => result === "removed").length;
  const open = findings.filter(({ result }) => result !== "removed");
  const lost = open.filter(({ isLeftOver }) => !isLeftOver).length;
  const left = open.length - lost;
  const parts = [
    ...(lost > 0 ? [`${lost} missing, different or unreadable`] : []),
    ...(left > 0 ? [`${left} left over (--fix removes them)`] : []),
    ...(removed > 0 ? [`${removed} removed`] : []),
  ];
  if (parts.length === 0) return ok ? "all agree." : "nothing wrong where it was looked at.";
  return `${parts.join(", ")}.`;
}
