import type { MismatchEntry } from "../../../app/control.ts";
import { CodedError } from "../../../base/errors.ts";
import type { Command } from "../../context.ts";
import type { MismatchDetail, MismatchReplay } from "../../doors/operator-door.ts";
import { writeNewFile } from "../../process/new-file.ts";
import { withOperator } from "../../session.ts";
import { counted, type Line, styled, table } from "../../terminal/text.ts";

/** `changeover mismatches ls`; cases are kept in the data folder. */
export const listMismatches: Command<unknown> = (context) =>
  withOperator(context, async (operator) => {
    const found = await operator.mismatches();
    const lines = found.length === 0 ? ["No mismatch has been seen."] : found.flatMap(entryLines);
    return { answer: { value: found, lines } };
  });

/** `changeover mismatches show <id>` */
export const showMismatch: Command<unknown> = (context, { words: [id = ""] }) =>
  withOperator(context, async (operator) => {
    const found = await operator.mismatch(id);
    return { answer: { value: found, lines: detailLines(found) } };
  });

/** `changeover mismatches replay <id>`; fails while the two paths still differ. */
export const replayMismatch: Command<unknown> = (context, { words: [id = ""] }) =>
  withOperator(context, async (operator) => {
    if (!operator.live) {
      throw new CodedError(
        "CLI_NOT_RUNNING",
        "A case is run again on the backend of a running changeover, and none is running. Start it: changeover start",
        { status: 404 },
      );
    }
    const replay = await operator.replayMismatch(id);
    const differs = replay.result === "different";
    return {
      answer: { value: replay, lines: replayLines(replay) },
      ...(differs ? { exit: "failed" as const } : {}),
    };
  });

interface ExportOptions {
  readonly vitest?: boolean;
  readonly output?: string;
  readonly module?: string;
  readonly name?: string;
}

/** `changeover mismatches export <id> --vitest` */
export const exportMismatch: Command<ExportOptions> = (context, { words: [id = ""], options }) =>
  withOperator(context, async (operator) => {
    const { output: file, module, name } = options;
    const text = await operator.exportMismatch(id, {
      ...(module === undefined ? {} : { module }),
      ...(name === undefined ? {} : { name }),
    });
    if (file === undefined) return { answer: { value: { text }, lines: text.split("\n") } };
    await writeNewFile(file, text);
    return { answer: { value: { file }, lines: [`Written to ${file}.`] } };
  });

function entryLines(entry: MismatchEntry): Line[] {
  const { id, operation, count, firstSeen, lastSeen, requestId } = entry;
  const head: Line = [
    styled("strong", `${id}  ${operation}`),
    `  seen ${counted(count, "time")}, ${firstSeen} to ${lastSeen}`,
    styled("faint", `  request ${requestId}`),
  ];
  return [head, ...differenceRows(entry.differences)];
}

function differenceRows(differences: MismatchEntry["differences"]): Line[] {
  return table(
    differences.map(({ path, kind, legacy, candidate }) => [
      `  ${path === "" ? "(the whole answer)" : path}`,
      kind,
      `legacy ${legacy}`,
      `candidate ${candidate}`,
    ]),
  );
}

function detailLines(found: MismatchDetail): Line[] {
  const { inputNote, input, noise } = found;
  return [
    ...entryLines(found),
    `  input      ${inputNote ?? JSON.stringify(input)}`,
    ...(noise.length === 0 ? [] : [`  noise      ${noise.join(", ")}`]),
  ];
}

function replayLines({
  operation,
  result,
  differences,
  legacy,
  candidate,
  detail,
}: MismatchReplay) {
  const verdict: Line = styled(
    result === "different" ? "bad" : "strong",
    `${operation}: ${result}`,
  );
  return [
    verdict,
    ...differenceRows(differences),
    `  legacy     ${legacy}`,
    `  candidate  ${candidate}`,
    ...(detail === null ? [] : [`  ${detail}`]),
  ];
}
