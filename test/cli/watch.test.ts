import { PassThrough } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import { CodedError } from "../../src/base/errors.ts";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { type Answer, Output } from "../../src/cli/output.ts";
import { styled, textOf } from "../../src/cli/terminal/text.ts";
import { cut, watch } from "../../src/cli/terminal/watch.ts";
import { eachTestFolder } from "../support/test-folder.ts";
import { ended, spawnChangeover } from "./command-line.ts";

interface Stream {
  readonly stream: NodeJS.WriteStream;
  readonly text: () => string;
}

function stream(size: { columns: number; rows: number } | null): Stream {
  const through = new PassThrough();
  let text = "";
  through.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  const fields = size === null ? { isTTY: false } : { isTTY: true, ...size };
  return {
    stream: Object.assign(through, fields) as unknown as NodeJS.WriteStream,
    text: () => text,
  };
}

/** Watches on streams of the test; `turn` lets one more answer be asked for. */
function watched(options: {
  readonly size?: { columns: number; rows: number };
  readonly json?: boolean;
  readonly take: () => Promise<Answer>;
}) {
  const stdout = stream(options.size ?? null);
  const stderr = stream(null);
  const output = new Output(options.json ?? false, {
    stdout: stdout.stream,
    stderr: stderr.stream,
  });
  const clock = new ManualClock();
  const stop = new AbortController();
  const end = watch({ output, clock, signal: stop.signal, take: options.take });
  const turn = async (): Promise<void> => {
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    clock.advance(1000);
  };
  return { stdout, stderr, clock, stop, end, turn };
}

const counting = (lines: (turn: number) => Answer["lines"]) => {
  let turn = 0;
  return async (): Promise<Answer> => {
    turn += 1;
    return { value: { turn }, lines: lines(turn) };
  };
};

const start = "\x1b";

describe("watching on a terminal", () => {
  it("draws over itself on a screen of its own, and leaves it when it is told to stop", async () => {
    const size = { columns: 20, rows: 10 };
    const { stdout, stop, end, turn, clock } = watched({
      size,
      take: counting((n) => [`turn ${n}`]),
    });
    await turn();
    await vi.waitFor(() => expect(stdout.text()).toContain("turn 2"));
    expect(stdout.text().startsWith("\x1b[?1049h\x1b[?25l\x1b[Hturn 1\x1b[K\r\n\x1b[J")).toBe(true);
    stop.abort();
    await end;
    expect(stdout.text().endsWith("\x1b[?25h\x1b[?1049l")).toBe(true);
    expect(clock.pending).toBe(0);
    expect(process.listenerCount("exit", undefined)).toBe(exitListeners);
  });

  it("cuts what does not fit its width and its height", async () => {
    const size = { columns: 10, rows: 4 };
    const lines = ["a very long line", "b", "c", "d", "e"];
    const { stdout, stop, end } = watched({ size, take: counting(() => lines) });
    await vi.waitFor(() => expect(stdout.text()).toContain("more"));
    stop.abort();
    await end;
    const plain = stdout.text().replace(new RegExp(`${start}\\[\\d*m`, "g"), "");
    expect(plain).toContain("a very lo…\x1b[K\r\nb\x1b[K\r\n… 3 more …\x1b[K\r\n\x1b[J");
  });

  it("draws anew at once when the terminal's size changes, and no more after it was left", async () => {
    const size = { columns: 20, rows: 10 };
    const { stdout, stop, end } = watched({ size, take: counting((n) => [`a turn that is ${n}`]) });
    await vi.waitFor(() => expect(stdout.text()).toContain("a turn that is 1"));
    Object.assign(stdout.stream, { columns: 8 });
    stdout.stream.emit("resize");
    await vi.waitFor(() => expect(stdout.text()).toMatch(/a turn ….{3}\r\n/));
    stop.abort();
    await end;
    expect(stdout.stream.listenerCount("resize")).toBe(0);
  });

  it("leaves the screen also when the next answer fails for good", async () => {
    const size = { columns: 40, rows: 10 };
    const take = vi
      .fn<() => Promise<Answer>>()
      .mockResolvedValueOnce({ value: 1, lines: ["one"] })
      .mockRejectedValue(new Error("broken"));
    const { stdout, end, turn } = watched({ size, take });
    const failed = expect(end).rejects.toThrow("broken");
    await turn();
    await failed;
    expect(stdout.text().endsWith("\x1b[?25h\x1b[?1049l")).toBe(true);
  });

  const exitListeners = process.listenerCount("exit", undefined);
});

describe("watching elsewhere", () => {
  it("prints one block after the other, and says when a block is old", async () => {
    const away = new CodedError("CLI_GATEWAY_UNREACHABLE", "Nobody answers.", { retryable: true });
    const take = vi
      .fn<() => Promise<Answer>>()
      .mockResolvedValueOnce({ value: 1, lines: ["one"] })
      .mockRejectedValueOnce(away)
      .mockResolvedValue({ value: 2, lines: ["two"] });
    const { stdout, stop, end, turn } = watched({ take });
    await turn();
    await turn();
    await vi.waitFor(() => expect(stdout.text()).toContain("two"));
    stop.abort();
    await end;
    const old = "Old data: Nobody answers.  [CLI_GATEWAY_UNREACHABLE]\n\none\n\n";
    expect(stdout.text()).toBe(`one\n\n${old}two\n\n`);
  });

  it("prints one line of JSON for each answer with --json", async () => {
    const take = counting((n) => [`turn ${n}`]);
    const { stdout, stop, end, turn } = watched({ json: true, take });
    await turn();
    await vi.waitFor(() => expect(stdout.text().split("\n")).toHaveLength(3));
    stop.abort();
    await end;
    expect(stdout.text()).toBe('{"turn":1}\n{"turn":2}\n');
  });

  it("throws when there is not even a first answer", async () => {
    const away = new CodedError("CLI_GATEWAY_UNREACHABLE", "Nobody answers.", { retryable: true });
    const { end } = watched({ take: () => Promise.reject(away) });
    await expect(end).rejects.toMatchObject({ code: "CLI_GATEWAY_UNREACHABLE" });
  });
});

describe("cutting a line", () => {
  it("keeps styles, counts wide letters as two columns, and leaves what fits alone", () => {
    const line = [styled("bad", "日本語"), " and more"];
    expect(cut(line, 40)).toBe(line);
    expect([cut(line, 6)].flat().map((span) => textOf(span))).toEqual(["日本", "…"]);
    expect(cut(line, 0)).toBe("");
  });
});

describe("changeover status --watch", () => {
  const folder = eachTestFolder();

  it("goes on until Ctrl-C, which is no failure", async () => {
    const words = ["status", "--watch", "--json", "--data-dir", folder.in("data")];
    const child = spawnChangeover(words);
    const end = ended(child);
    let text = "";
    await new Promise<void>((resolve) => {
      child.stdout?.on("data", (chunk: Buffer) => {
        text += chunk.toString("utf8");
        if (text.split("\n").length > 2) resolve();
      });
    });
    child.kill("SIGINT");
    const ran = await end;
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    const [first, second] = ran.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(Date.parse(second.at)).toBeGreaterThan(Date.parse(first.at));
    expect(second.operations[0].traffic.legacy).toMatchObject({ perSecond: 0, p95Ms: null });
  }, 60_000);
});
