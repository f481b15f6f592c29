import type { Clock } from "../../base/clock.ts";
import { isCodedError } from "../../base/errors.ts";
import type { Answer, Output } from "../output.ts";
import { describe } from "../output.ts";
import { type Line, spansOf, styled, textOf, visible, widthOf } from "./text.ts";

/** What is watched, and for how long. */
export interface WatchOptions {
  readonly output: Output;
  readonly clock: Clock;
  /** Ends the watching, which is no failure. */
  readonly signal: AbortSignal;
  /** Asked again and again. */
  readonly take: () => Promise<Answer>;
  /** Milliseconds between two answers. Default 1000. */
  readonly everyMs?: number;
}

const enterScreen = "\x1b[?1049h\x1b[?25l";
const leaveScreen = "\x1b[?25h\x1b[?1049l";
const toTop = "\x1b[H";
const clearRestOfLine = "\x1b[K";
const clearRest = "\x1b[J";

/**
 * Shows an answer again every second until the signal aborts. On a terminal it is drawn over itself, cut
 * to the terminal's size, on a screen of its own that is left again however the watching ends; elsewhere
 * one block follows the other, and with `--json` one line of JSON. A failure of the first answer is
 * thrown; later ones that may pass are told, above the last answer, until the next one works.
 */
export async function watch(options: WatchOptions): Promise<void> {
  const { output, signal } = options;
  let answer = await options.take();
  const terminal = output.json ? null : output.terminal;
  const leave = (): void => {
    terminal?.write(leaveScreen);
  };
  let shown: readonly Line[] = [];
  const redraw = (): void => {
    if (terminal !== null) draw(output, terminal, shown);
  };
  if (terminal !== null) {
    terminal.write(enterScreen);
    // Also where a second Ctrl-C ends the process at once.
    process.once("exit", leave);
    terminal.on("resize", redraw);
  }
  try {
    let problem: Line | null = null;
    while (!signal.aborted) {
      shown = problem === null ? answer.lines : [problem, "", ...answer.lines];
      if (terminal !== null) redraw();
      else if (output.json) await output.jsonLine(answer.value);
      else await output.say(...shown, "");
      problem = null;
      if (!(await pause(options))) return;
      try {
        answer = await options.take();
      } catch (error) {
        if (!(isCodedError(error) && error.retryable)) throw error;
        const { code, message } = describe(error);
        problem = [styled("warn", "Old data: "), message, styled("faint", `  [${code}]`)];
        if (output.json) output.error(error);
      }
    }
  } finally {
    if (terminal !== null) {
      process.off("exit", leave);
      terminal.off("resize", redraw);
      leave();
    }
  }
}

/** False when the watching is to end. */
function pause({ clock, signal, everyMs = 1000 }: WatchOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.after(everyMs, () => end(true), true);
    const stop = (): void => end(false);
    const end = (goOn: boolean): void => {
      timer.cancel();
      signal.removeEventListener("abort", stop);
      resolve(goOn);
    };
    if (signal.aborted) end(false);
    else signal.addEventListener("abort", stop);
  });
}

function draw(output: Output, terminal: NodeJS.WriteStream, lines: readonly Line[]): void {
  const { columns = 80, rows = 24 } = terminal;
  // The last row stays empty: a line break there would scroll the screen.
  const room = Math.max(1, rows - 1);
  const fitting = lines.length <= room ? lines : lines.slice(0, room - 1);
  const more = lines.length - fitting.length;
  const shown = more === 0 ? fitting : [...fitting, styled("faint", `… ${more} more lines`)];
  const drawn = shown.map(
    (line) => `${output.paintedAnswer(cut(line, columns))}${clearRestOfLine}`,
  );
  terminal.write(`${toTop}${drawn.join("\r\n")}\r\n${clearRest}`);
}

/** At most so many columns of a line; what is cut from its end leaves a `…`. */
export function cut(line: Line, columns: number): Line {
  const spans = spansOf(line);
  const width = spans.reduce((sum, span) => sum + widthOf(visible(textOf(span))), 0);
  if (width <= columns) return line;
  let left = columns - 1;
  const kept = spans.flatMap((span) => {
    const whole = visible(textOf(span));
    const text = takeColumns(whole, left);
    left = text === whole ? left - widthOf(text) : 0;
    if (text === "") return [];
    return [typeof span === "string" ? text : { ...span, text }];
  });
  return columns < 1 ? "" : [...kept, "…"];
}

function takeColumns(text: string, columns: number): string {
  let taken = "";
  let width = 0;
  for (const character of text) {
    width += widthOf(character);
    if (width > columns) break;
    taken += character;
  }
  return taken;
}
