import { systemClock } from "../../base/clock.ts";
import { codeOf, toError } from "../../base/errors.ts";
import { CHILD_STOP_LIMIT_MS, type FromChild, type ToChild } from "./protocol.ts";

/** What a started backend hands to `serveParent`: what the parent must know, and how to stop. */
export interface StartedBackend<Ready, Joined = unknown> {
  readonly ready: Ready;
  /** For a backend whose address is known before it is up: resolves when it is. */
  readonly joined?: Promise<Joined>;
  stop(): Promise<void>;
}

/**
 * Starts a backend. `ending` is aborted when the child has to go before the start is over: what has
 * processes of its own ends them in the listener, which is all there is time for.
 */
export type StartBackend<Settings, Ready> = (
  settings: Settings,
  ending: AbortSignal,
) => Promise<StartedBackend<Ready>>;

/**
 * The child's end of the wire: waits for the parent's settings, starts the backend with them, answers
 * `ready` or `failed`, and exits on `stop`, on SIGTERM, or as soon as the parent is gone. Exit codes:
 * 0 stopped on request, 1 start failed, 2 not started by a parent, 3 the parent disappeared.
 * `stopLimitMs` (default 700): how long the backend may take to stop before the child exits anyway.
 */
export function serveParent<Settings, Ready>(
  start: StartBackend<Settings, Ready>,
  stopLimitMs: number = CHILD_STOP_LIMIT_MS,
): void {
  if (process.send === undefined || !process.connected) {
    process.stderr.write("This program is part of the sandbox and is started by it.\n");
    process.exit(2);
  }
  let backend: StartedBackend<Ready> | undefined;
  const ending = new AbortController();
  const end = (exitCode: number): void => {
    if (ending.signal.aborted) return;
    ending.abort();
    const exit = (): never => process.exit(exitCode);
    systemClock.after(stopLimitMs, exit);
    Promise.resolve(backend?.stop()).then(exit, exit);
  };
  // A dead parent closes the pipes; writing a log line to them must not become a crash.
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
  process.once("disconnect", () => end(3));
  process.once("SIGTERM", () => end(0));
  process.on("message", (message: ToChild<Settings>) => {
    if (message.kind === "stop") end(0);
    else
      startAndAnswer(start, message.settings, { ending: ending.signal, end }).then(
        (started) => {
          backend = started;
        },
        () => end(1),
      );
  });
}

async function startAndAnswer<Settings, Ready>(
  start: StartBackend<Settings, Ready>,
  settings: Settings,
  { ending, end }: { readonly ending: AbortSignal; readonly end: (exitCode: number) => void },
): Promise<StartedBackend<Ready> | undefined> {
  try {
    const started = await start(settings, ending);
    const { ready, joined } = started;
    answer({ kind: "ready", ready, joins: joined !== undefined });
    joined?.then(
      (value) => answer({ kind: "joined", joined: value }),
      (thrown) => {
        // What was cut off by the end is no failure.
        if (!ending.aborted) answerFailed(thrown, end);
      },
    );
    return started;
  } catch (thrown) {
    answerFailed(thrown, end);
    return undefined;
  }
}

function answerFailed(thrown: unknown, end: (exitCode: number) => void): void {
  const error = toError(thrown);
  process.stderr.write(`${error.stack ?? error.message}\n`);
  answer({ kind: "failed", code: codeOf(thrown) ?? "", message: error.message });
  end(1);
}

function answer<Ready>(message: FromChild<Ready>): void {
  if (process.connected) process.send?.(message);
}
