import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Clock, Timer } from "../../base/clock.ts";
import { CodedError } from "../../base/errors.ts";
import { TypedEvent } from "../../base/event.ts";
import type { ChildLog } from "./child-log.ts";
import { type FromChild, PARENT_STOP_LIMIT_MS, type ToChild } from "./protocol.ts";

/** What a child needs to be started. */
export interface ChildProcessOptions<Settings> {
  /** What errors and logs call it. */
  readonly name: string;
  /** The program: a file beside this one, without its extension. */
  readonly program: URL;
  readonly settings: Settings;
  readonly log: ChildLog;
  readonly clock: Clock;
  /** Milliseconds until the child must have answered `ready`. */
  readonly startTimeoutMs: number;
  /** Milliseconds until a child that answers `ready` first must be up. Default 120000. */
  readonly joinTimeoutMs?: number;
  /** Milliseconds that the child gets to stop before it is killed. Default 950. */
  readonly stopLimitMs?: number;
  /** Set beside what every child gets; nothing is inherited from the parent. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** How a child ended that nobody asked to end. */
export interface ChildExit {
  readonly name: string;
  readonly pid: number;
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The child's last lines of output. */
  readonly tail: string;
}

/**
 * The whole environment of a child. It inherits nothing, so that it behaves the same under a test
 * runner (which sets NODE_ENV=test) and in a terminal, and so that no secret of the parent reaches it.
 */
const CHILD_ENVIRONMENT: Readonly<Record<string, string>> = {
  NODE_ENV: "production",
  DO_NOT_TRACK: "1",
  LITE_TELEMETRY: "0",
  EXPERIMENTAL_STORAGE: "1",
};

/**
 * The SQL parser of the embedded service is WebAssembly and used at the start only. Without this option
 * V8 goes on optimizing it in the background, and the process cannot exit before that is done (half a
 * second to a second). V8 takes it at the start of the process only.
 */
const V8_OPTIONS: string[] = ["--liftoff-only"];

const JOIN_TIMEOUT_MS = 120_000;

/** One child process: started, watched, stopped. */
export class BackendProcess<Settings, Ready, Joined = unknown> {
  readonly name: string;
  readonly pid: number;
  /** The child ended by itself after it was up. */
  readonly exited: TypedEvent<ChildExit>;
  /**
   * Resolves once the child is up, which is with `ready` for most. Rejects with the child's own code,
   * `SANDBOX_START_FAILED`, or `SANDBOX_CLOSED` when it was stopped before. Nobody has to wait for it.
   */
  readonly joined: Promise<Joined>;
  readonly #child: ChildProcess;
  readonly #options: ChildProcessOptions<Settings>;
  readonly #gone: Promise<void>;
  #stopping = false;
  #up = false;
  #stopJoining: () => void = () => undefined;

  private constructor(options: ChildProcessOptions<Settings>, child: ChildProcess) {
    this.name = options.name;
    this.#options = options;
    this.#child = child;
    this.pid = child.pid ?? -1;
    this.exited = new TypedEvent("sandbox.child-exited", () => undefined);
    this.#gone = new Promise((resolve) => {
      child.once("exit", (exitCode, signal) => {
        resolve();
        if (this.#stopping || !this.#up) return;
        const tail = options.log.tail();
        this.exited.emit({ name: this.name, pid: this.pid, exitCode, signal, tail });
      });
      child.once("error", () => {
        if (child.pid === undefined) resolve();
      });
    });
    this.joined = this.#awaitJoined();
    this.joined.catch(() => undefined);
    // After the last line, which may come later than the exit.
    child.once("close", () => options.log.close());
    child.stdout?.on("data", (chunk: Buffer) => options.log.write(chunk));
    child.stderr?.on("data", (chunk: Buffer) => options.log.write(chunk));
  }

  /**
   * Starts the child and waits until it is ready. It runs in a process group of its own: a terminal's
   * Ctrl-C reaches only the parent, which drains first and then stops its children. Once ready, the
   * child does not keep the parent alive. Rejects with the child's own code, or `SANDBOX_START_FAILED`.
   */
  static async start<Settings, Ready, Joined = unknown>(
    options: ChildProcessOptions<Settings>,
  ): Promise<{ process: BackendProcess<Settings, Ready, Joined>; ready: Ready }> {
    const child = fork(fileURLToPath(options.program), [], {
      execPath: process.execPath,
      execArgv: V8_OPTIONS,
      env: { ...CHILD_ENVIRONMENT, ...options.environment },
      detached: true,
      windowsHide: true,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    } as Parameters<typeof fork>[2]);
    const started = new BackendProcess<Settings, Ready, Joined>(options, child);
    try {
      const ready = await started.#awaitReady();
      started.#holdParent(false);
      return { process: started, ready };
    } catch (error) {
      await started.stop();
      throw error;
    }
  }

  /** Asks the child to stop and waits until it is gone: at most `stopLimitMs`, then it is killed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#stopJoining();
    if (this.#child.pid === undefined) return this.#gone;
    this.#holdParent(true);
    this.#tell({ kind: "stop" });
    const { clock, stopLimitMs = PARENT_STOP_LIMIT_MS } = this.#options;
    const timer = clock.after(stopLimitMs, () => this.#child.kill("SIGKILL"));
    await this.#gone;
    timer.cancel();
  }

  #awaitReady(): Promise<Ready> {
    const { promise, resolve, reject } = Promise.withResolvers<Ready>();
    const { startTimeoutMs, clock } = this.#options;
    const timer = clock.after(startTimeoutMs, () =>
      reject(this.#startFailed(`it was not ready after ${startTimeoutMs} ms`)),
    );
    this.#child.once("message", (message: FromChild<Ready>) => {
      if (message.kind === "ready") resolve(message.ready);
      else if (message.kind === "failed") {
        reject(this.#startRefused(message.code, message.message));
      }
    });
    this.#child.once("error", (cause) => reject(this.#startFailed(cause.message, cause)));
    this.#child.once("exit", (code, signal) =>
      reject(this.#startFailed(`it exited with ${signal ?? `code ${code}`}`)),
    );
    this.#tell({ kind: "start", settings: this.#options.settings });
    return promise.finally(() => timer.cancel());
  }

  #awaitJoined(): Promise<Joined> {
    const { promise, resolve, reject } = Promise.withResolvers<Joined>();
    const { joinTimeoutMs = JOIN_TIMEOUT_MS, clock } = this.#options;
    let timer: Timer | undefined;
    this.#child.on("message", (message: FromChild<Ready, Joined>) => {
      if (message.kind === "failed") reject(this.#startRefused(message.code, message.message));
      else if (message.kind === "ready" && message.joins) {
        const late = (): void =>
          reject(this.#startFailed(`it was not up after ${joinTimeoutMs} ms`));
        timer = clock.after(joinTimeoutMs, late, true);
      } else {
        this.#up = true;
        resolve((message.kind === "joined" ? message.joined : undefined) as Joined);
      }
    });
    this.#child.once("exit", (code, signal) =>
      reject(this.#startFailed(`it exited with ${signal ?? `code ${code}`}`)),
    );
    this.#stopJoining = () => {
      const message = `The sandbox's ${this.name} process was stopped before it was up.`;
      reject(new CodedError("SANDBOX_CLOSED", message, { status: 503 }));
    };
    return promise.finally(() => timer?.cancel());
  }

  #startRefused(code: string, message: string): CodedError {
    if (!code.startsWith("SANDBOX_")) return this.#startFailed(message);
    return new CodedError(code, message);
  }

  #startFailed(why: string, cause?: unknown): CodedError {
    const tail = this.#options.log.tail();
    return new CodedError(
      "SANDBOX_START_FAILED",
      `The sandbox's ${this.name} process could not be started: ${why}.${tail === "" ? "" : ` Its last lines:\n${tail}`}`,
      { cause, details: { child: this.name } },
    );
  }

  #tell(message: ToChild<Settings>): void {
    if (!this.#child.connected) return;
    // A child that dies at this very moment is seen by its exit.
    this.#child.send(message, () => undefined);
  }

  #holdParent(hold: boolean): void {
    const method = hold ? "ref" : "unref";
    this.#child[method]();
    this.#child.channel?.[method]();
    for (const pipe of [this.#child.stdout, this.#child.stderr]) {
      (pipe as unknown as Partial<Record<"ref" | "unref", () => void>> | null)?.[method]?.();
    }
  }
}
