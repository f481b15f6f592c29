import { systemClock } from "../../base/clock.ts";
import { codeOf, toError } from "../../base/errors.ts";
import { CHILD_STOP_LIMIT_MS, type FromChild, type ToChild } from "./protocol.ts";

/** What a started backend hands to `serveParent`: what the parent must know, and how to stop. */
export interface StartedBackend<Ready> {
  readonly ready: Ready;
  stop(): Promise<void>;
}

/**
 * The child's end of the wire: waits for the parent's settings, starts the backend with them, answers
 * `ready` or `failed`, and exits on `stop`, on SIGTERM, or as soon as the parent is gone. Exit codes:
 * 0 stopped on request, 1 start failed, 2 not started by a parent, 3 the parent disappeared.
 */
export function serveParent<Settings, Ready>(
  start: (settings: Settings) => Promise<StartedBackend<Ready>>,
): void {
  if (process.send === undefined || !process.connected) {
    process.stderr.write("This program is part of the sandbox and is started by it.\n");
    process.exit(2);
  }
  let backend: StartedBackend<Ready> | undefined;
  let ending = false;
  const end = (exitCode: number): void => {
    if (ending) return;
    ending = true;
    const exit = (): never => process.exit(exitCode);
    systemClock.after(CHILD_STOP_LIMIT_MS, exit);
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
      startAndAnswer(start, message.settings, end).then(
        (started) => {
          backend = started;
        },
        () => end(1),
      );
  });
}

async function startAndAnswer<Settings, Ready>(
  start: (settings: Settings) => Promise<StartedBackend<Ready>>,
  settings: Settings,
  end: (exitCode: number) => void,
): Promise<StartedBackend<Ready> | undefined> {
  try {
    const started = await start(settings);
    answer({ kind: "ready", ready: started.ready });
    return started;
  } catch (thrown) {
    const error = toError(thrown);
    process.stderr.write(`${error.stack ?? error.message}\n`);
    answer({ kind: "failed", code: codeOf(thrown) ?? "", message: error.message });
    end(1);
    return undefined;
  }
}

function answer<Ready>(message: FromChild<Ready>): void {
  if (process.connected) process.send?.(message);
}
