import { styleText } from "node:util";
import { codeOf, isCodedError, toError } from "../base/errors.ts";
import {
  type Line,
  type Span,
  type Style,
  spansOf,
  styled,
  visible,
  visibleJson,
} from "./terminal/text.ts";

/** What a command answers: one value, and how people read it. */
export interface Answer {
  /** Printed unchanged with `--json`. */
  readonly value: unknown;
  readonly lines: readonly Line[];
}

const colours = {
  strong: "bold",
  faint: "dim",
  good: "green",
  bad: "red",
  warn: "yellow",
  name: "cyan",
} as const satisfies Readonly<Record<Style, string>>;

/**
 * The only place that writes to the terminal. Answers go to standard output; notes, progress and
 * errors to standard error, so that pipes carry nothing else than the answer. Whatever is written is
 * escaped here, so that no file name can play with the terminal.
 */
export class Output {
  /** One JSON value on standard output, errors as JSON on standard error, and no notes. */
  readonly json: boolean;
  readonly #stdout: NodeJS.WriteStream;
  readonly #stderr: NodeJS.WriteStream;

  constructor(
    json: boolean,
    streams: Readonly<Record<"stdout" | "stderr", NodeJS.WriteStream>> = process,
  ) {
    this.json = json;
    this.#stdout = streams.stdout;
    this.#stderr = streams.stderr;
  }

  /** Standard error when progress may be drawn on it: a terminal, and not with `--json`. */
  get drawing(): NodeJS.WriteStream | null {
    return this.#stderr.isTTY && !this.json ? this.#stderr : null;
  }

  /** Standard output when an answer may be drawn over and over on it: a terminal. */
  get terminal(): NodeJS.WriteStream | null {
    return this.#stdout.isTTY ? this.#stdout : null;
  }

  /** Standard output for the bytes of a file. */
  get bytes(): NodeJS.WriteStream {
    return this.#stdout;
  }

  /** Prints an answer in one of its two renderings. */
  async answer({ value, lines }: Answer): Promise<void> {
    await this.#write(this.#stdout, this.json ? [visibleJson(value)] : this.#render(lines));
  }

  /** Lines on standard output that are no answer; none with `--json`. */
  async say(...lines: readonly Line[]): Promise<void> {
    if (!this.json) await this.#write(this.#stdout, this.#render(lines));
  }

  /** A text as it is, on standard output or, when it helps with wrong usage, on standard error. */
  async text(text: string, stream: "stdout" | "stderr" = "stdout"): Promise<void> {
    const target = stream === "stdout" ? this.#stdout : this.#stderr;
    await this.#write(target, text.split("\n").map(visible));
  }

  /** A line as it would be written on standard error; for whoever draws there. */
  painted(line: Line): string {
    return this.#paint(spansOf(line), this.#stderr);
  }

  /** A line as it would be written on standard output; for whoever draws there. */
  paintedAnswer(line: Line): string {
    return this.#paint(spansOf(line), this.#stdout);
  }

  /** One of many values on standard output, as one line of JSON. */
  async jsonLine(value: unknown): Promise<void> {
    await this.#write(this.#stdout, [visibleJson(value, 0)]);
  }

  /** A line on standard error that helps to understand what happens; none with `--json`. */
  note(...line: readonly Span[]): void {
    if (!this.json) this.#stderr.write(`${this.#paint(line, this.#stderr)}\n`);
  }

  /** An error, with its code and with what it is about; as `{"error":{"code","message"}}` with `--json`. */
  error(thrown: unknown, subject: string | null = null): void {
    const { code, message } = describe(thrown);
    if (this.json) {
      this.#stderr.write(`${visibleJson({ error: { code, message } })}\n`);
      return;
    }
    const lines = message.split("\n");
    const [first = "", ...more] = lines;
    const about = subject === null ? "" : `${subject}: `;
    this.note(styled("bad", "error: "), about, first, styled("faint", `  [${code}]`));
    for (const line of more) this.note(styled("faint", `  ${line}`));
  }

  #render(lines: readonly Line[]): string[] {
    return lines.map((line) => this.#paint(spansOf(line), this.#stdout));
  }

  #paint(spans: readonly Span[], stream: NodeJS.WriteStream): string {
    return spans
      .map((span) => {
        if (typeof span === "string") return visible(span);
        // Decides by the stream and by NO_COLOR, FORCE_COLOR and NODE_DISABLE_COLORS.
        return styleText(colours[span.style], visible(span.text), { stream, validateStream: true });
      })
      .join("");
  }

  #write(stream: NodeJS.WriteStream, lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      stream.write(`${lines.join("\n")}\n`, (error) => {
        if (error == null || codeOf(error) === "EPIPE") resolve();
        else reject(error);
      });
    });
  }
}

/** Code and message of whatever was thrown. */
export function describe(thrown: unknown): { readonly code: string; readonly message: string } {
  const { message } = toError(thrown);
  if (isCodedError(thrown)) return { code: thrown.code, message };
  // Not one of ours: a bug, or the system; its own code helps more than none.
  return { code: codeOf(thrown) ?? "CLI_UNEXPECTED", message: message || String(thrown) };
}
