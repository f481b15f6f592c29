import type { MultiBar, SingleBar } from "cli-progress";
import type { Output } from "./output.ts";
import { bytesText, type Line, shortened, spansOf, visible, widthOf } from "./terminal/text.ts";

/** Columns that a file's name takes beside its bar. */
const NAME_COLUMNS = 28;
/** Columns of a bar. */
const BAR_COLUMNS = 24;

/** How far one file is. */
export interface FileProgress {
  /** So many bytes of it have been sent, in all. */
  sent(bytes: number): void;
  /** It is done, well or badly; `line` says how. Null says nothing. */
  end(line: Line | null): void;
}

/** How far several files are: bars on a terminal, else a line for each file when it ends. */
export interface TransferProgress {
  /** Begins a file; `totalBytes` is null when nobody knows how many there will be. */
  begin(name: string, totalBytes: number | null): FileProgress;
  /** Removes the bars. Always called. */
  stop(): void;
}

/** Bars where standard error is a terminal and the package for them is installed. */
export async function transferProgress(
  output: Output,
  all: { readonly files: number; readonly bytes: number },
): Promise<TransferProgress> {
  const terminal = output.drawing;
  if (terminal === null) return lines(output);
  const progress = await import("cli-progress").catch(() => null);
  if (progress === null) return lines(output);
  const multi = new progress.default.MultiBar(
    {
      stream: terminal,
      hideCursor: true,
      clearOnComplete: true,
      // Signals are the program's business: this would end it in the middle of a call.
      gracefulExit: false,
      // Cut at the terminal's width; a wrapped line cannot be drawn over.
      linewrap: false,
      // A line that is logged moves the bars down, also those that have not changed.
      forceRedraw: true,
      format: (_options, { progress: done, value, total }, payload: BarPayload) =>
        barLine(payload, done, value, total),
    },
    progress.default.Presets.shades_classic,
  );
  return new Bars(multi, output, all);
}

function lines(output: Output): TransferProgress {
  return {
    begin: () => ({
      sent: () => undefined,
      end: (line) => {
        if (line !== null) output.note(...spansOf(line));
      },
    }),
    stop: () => undefined,
  };
}

interface BarPayload {
  readonly name: string;
  /** Null while the number of bytes is not known. */
  readonly totalBytes: number | null;
}

class Bars implements TransferProgress {
  readonly #multi: MultiBar;
  readonly #output: Output;
  readonly #total: SingleBar | null;
  readonly #files: number;
  #sentBytes = 0;
  #ended = 0;

  constructor(multi: MultiBar, output: Output, all: { files: number; bytes: number }) {
    this.#multi = multi;
    this.#output = output;
    this.#files = all.files;
    this.#total = all.files < 2 ? null : multi.create(Math.max(all.bytes, 1), 0, this.#totalNow());
  }

  begin(name: string, totalBytes: number | null): FileProgress {
    const bar = this.#multi.create(Math.max(totalBytes ?? 1, 1), 0, { name, totalBytes });
    let sentBytes = 0;
    const sent = (bytes: number): void => {
      // A path may start again from the beginning; the total then goes back with it.
      this.#sentBytes += bytes - sentBytes;
      sentBytes = bytes;
      bar.update(bytes);
      this.#total?.update(this.#sentBytes, this.#totalNow());
    };
    return {
      sent,
      end: (line) => {
        sent(totalBytes ?? sentBytes);
        this.#ended += 1;
        this.#total?.update(this.#sentBytes, this.#totalNow());
        this.#multi.remove(bar);
        if (line !== null) this.#multi.log(`${this.#output.painted(line)}\n`);
      },
    };
  }

  stop(): void {
    // Draws what was logged last, which the next regular drawing would do.
    this.#multi.update();
    this.#multi.stop();
  }

  #totalNow(): BarPayload {
    return { name: `total: ${this.#ended} of ${this.#files} files`, totalBytes: 1 };
  }
}

function barLine(
  { name, totalBytes }: BarPayload,
  done: number,
  value: number,
  total: number,
): string {
  const short = shortened(visible(name), NAME_COLUMNS);
  const label = short + " ".repeat(Math.max(0, NAME_COLUMNS - widthOf(short)));
  if (totalBytes === null) return ` ${label} ${bytesText(value)}`;
  const share = Math.min(Math.max(done, 0), 1);
  const full = Math.round(share * BAR_COLUMNS);
  const bar = "█".repeat(full) + "░".repeat(BAR_COLUMNS - full);
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  return ` ${label} ${bar} ${percent}  ${bytesText(Math.min(value, total))} of ${bytesText(total)}`;
}
