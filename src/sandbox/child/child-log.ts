import {
  createWriteStream,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  type WriteStream,
} from "node:fs";
import { dirname } from "node:path";
import { Ring } from "../../base/ring.ts";

/** The limits of a child's log. */
export interface ChildLogOptions {
  /** The file; the full one before it is kept beside it with `.1` at its end. */
  readonly file: string;
  /** Bytes after which a new file is begun. Default 1 MiB. */
  readonly maxFileBytes?: number;
  /** Lines kept in memory for error messages. Default 20. */
  readonly maxTailLines?: number;
  /** Bytes that may wait for a slow disk; what comes on top is dropped. Default 1 MiB. */
  readonly maxWaitingBytes?: number;
}

/** The longest line kept in the tail, in characters. */
const MAX_TAIL_LINE = 300;

/**
 * Where a child's output goes: a file that never grows beyond twice its limit, and the last lines in
 * memory, which an error about the child quotes.
 */
export class ChildLog {
  readonly #options: Required<ChildLogOptions>;
  readonly #tail: Ring<string>;
  #stream: WriteStream;
  #bytes: number;
  #unfinishedLine = "";

  constructor(options: ChildLogOptions) {
    this.#options = {
      maxFileBytes: 1 << 20,
      maxTailLines: 20,
      maxWaitingBytes: 1 << 20,
      ...options,
    };
    this.#tail = new Ring(this.#options.maxTailLines);
    mkdirSync(dirname(options.file), { recursive: true });
    this.#bytes = statSync(options.file, { throwIfNoEntry: false })?.size ?? 0;
    this.#stream = openLog(options.file);
  }

  write(chunk: Buffer): void {
    this.#keepTail(chunk.toString("utf8"));
    if (this.#stream.writableLength > this.#options.maxWaitingBytes) return;
    if (this.#bytes > this.#options.maxFileBytes) this.#rotate();
    this.#bytes += chunk.length;
    this.#stream.write(chunk);
  }

  /** The last lines, oldest first, joined by line breaks; empty when nothing was written. */
  tail(): string {
    const lines = this.#tail.toArray();
    return [...lines, this.#unfinishedLine].filter((line) => line !== "").join("\n");
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#stream.end(resolve));
  }

  #keepTail(text: string): void {
    const lines = (this.#unfinishedLine + text).split("\n");
    this.#unfinishedLine = (lines.pop() ?? "").slice(-MAX_TAIL_LINE);
    for (const line of lines) if (line.trim() !== "") this.#tail.push(line.slice(0, MAX_TAIL_LINE));
  }

  #rotate(): void {
    this.#stream.end();
    try {
      renameSync(this.#options.file, `${this.#options.file}.1`);
    } catch {
      // Someone removed the file: the new one begins empty all the same.
    }
    this.#bytes = 0;
    this.#stream = openLog(this.#options.file);
  }
}

function openLog(file: string): WriteStream {
  // Opened here and now: a stream that opens later would follow a rotation into the wrong file.
  const stream = createWriteStream(file, { fd: openSync(file, "a", 0o600) });
  // A full disk costs log lines, never the sandbox.
  stream.on("error", () => undefined);
  return stream;
}
