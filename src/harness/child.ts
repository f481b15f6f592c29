import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Clock } from "../base/clock.ts";
import { CodedError, codeOf, toError } from "../base/errors.ts";

/** What is run in a fresh process, and within which limits. */
export interface ChildJob {
  /** A file that calls {@link serveJob}. */
  readonly program: URL;
  /** Handed to the program as JSON. */
  readonly input: unknown;
  /** Flags of Node.js and V8, such as `--max-old-space-size=32`; none are inherited. */
  readonly nodeFlags?: readonly string[];
  /** Milliseconds after which the child is killed; default 120,000. */
  readonly timeoutMs?: number;
  readonly clock: Clock;
  /** Aborting kills the child. */
  readonly signal?: AbortSignal;
  /** What the program says about how far it is. */
  readonly onProgress?: (text: string) => void;
}

interface ToChild {
  readonly kind: "run";
  readonly input: unknown;
}

type FromChild =
  | { readonly kind: "progress"; readonly text: string }
  | { readonly kind: "result"; readonly result: unknown }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

/** How long a child that has answered may take to exit before it is killed. */
const EXIT_LIMIT_MS = 2000;
/** How much of the child's last output an error quotes. */
const TAIL_CHARACTERS = 2000;
/** The child inherits no environment, so that it runs alike in a terminal and under a test runner. */
const CHILD_ENVIRONMENT: Readonly<Record<string, string>> = { NODE_ENV: "production" };

/**
 * Runs one job in a fresh child process and returns what it answered, once the process is gone. The
 * child gets a process group of its own, which is killed as a whole on timeout and abort; when this
 * process dies, the child ends itself. Throws `HARNESS_CHILD_TIMEOUT`, `HARNESS_CHILD_FAILED` (with the
 * child's own code and last output), or the signal's reason.
 */
export async function runInChild<R>(job: ChildJob): Promise<R> {
  job.signal?.throwIfAborted();
  const child = fork(fileURLToPath(job.program), [], {
    execArgv: [...(job.nodeFlags ?? [])],
    env: CHILD_ENVIRONMENT,
    detached: true,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  } as Parameters<typeof fork>[2]);
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => {
      if (child.pid === undefined) resolve();
    });
  });
  try {
    const result = await answerOf(child, job);
    const timer = job.clock.after(EXIT_LIMIT_MS, () => killGroup(child));
    await gone;
    timer.cancel();
    return result as R;
  } finally {
    killGroup(child);
    await gone;
  }
}

function answerOf(child: ChildProcess, job: ChildJob): Promise<unknown> {
  const { clock, signal, timeoutMs = 120_000 } = job;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const name = fileURLToPath(job.program);
  let tail = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    tail = (tail + chunk.toString("utf8")).slice(-TAIL_CHARACTERS);
  });
  const failed = (why: string, details: object, cause?: unknown): CodedError =>
    new CodedError(
      "HARNESS_CHILD_FAILED",
      `${name} ${why}.${tail === "" ? "" : ` Its last output:\n${tail}`}`,
      { cause, details: { ...details } },
    );
  const onAbort = (): void => reject(signal?.reason);
  const timer = clock.after(timeoutMs, () =>
    reject(
      new CodedError(
        "HARNESS_CHILD_TIMEOUT",
        `${name} did not answer within ${timeoutMs} ms and was killed. Raise the limit or measure less.`,
        { details: { timeoutMs } },
      ),
    ),
  );
  signal?.addEventListener("abort", onAbort, { once: true });
  child.on("message", (message: FromChild) => {
    if (message.kind === "progress") job.onProgress?.(message.text);
    else if (message.kind === "result") resolve(message.result);
    else {
      const { code, message: text } = message;
      reject(failed(`failed: ${text}`, { code, message: text }));
    }
  });
  child.once("error", (cause) => reject(failed("could not be run", {}, cause)));
  // `close` and not `exit`: by then its last output has arrived.
  child.once("close", (exitCode, exitSignal) =>
    reject(failed(`ended with ${exitSignal ?? `code ${exitCode}`}`, { exitCode, exitSignal })),
  );
  child.send({ kind: "run", input: job.input } satisfies ToChild, (error) => {
    // A child that is gone already is reported by its exit, which knows more.
    if (error !== null && child.connected) reject(failed("could not be told", {}, error));
  });
  return promise.finally(() => {
    timer.cancel();
    signal?.removeEventListener("abort", onAbort);
  });
}

function killGroup(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // No process groups on this system, or it is gone already.
    child.kill("SIGKILL");
  }
}

/** What a program may tell while it works. */
export interface JobTools {
  readonly progress: (text: string) => void;
}

/**
 * The child's end: waits for the input, runs `work` with it, answers with what it returned (it must
 * survive JSON) and exits. Exits as soon as its event loop notices that the parent is gone. Exit codes:
 * 0 answered, 1 the work threw, 2 not started by {@link runInChild}, 3 the parent disappeared.
 */
export function serveJob<I, R>(work: (input: I, tools: JobTools) => Promise<R>): void {
  if (process.send === undefined || !process.connected) {
    process.stderr.write("This program measures one thing and is started by the benchmark.\n");
    process.exit(2);
  }
  process.once("disconnect", () => process.exit(3));
  process.once("message", (message: ToChild) => {
    const progress = (text: string): void => tell({ kind: "progress", text });
    work(message.input as I, { progress }).then(
      (result) => tell({ kind: "result", result }, () => process.exit(0)),
      (thrown: unknown) => {
        const error = toError(thrown);
        process.stderr.write(`${error.stack ?? error.message}\n`);
        const code = codeOf(thrown) ?? "";
        tell({ kind: "failed", code, message: error.message }, () => process.exit(1));
      },
    );
  });
}

function tell(message: FromChild, then: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, then);
  else then();
}
