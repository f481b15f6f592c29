import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { CodedError, toError } from "../base/errors.ts";
import { missingPackage } from "../base/missing-package.ts";
import { GRACE_MS, type SentError, type SyncReply, type SyncRequest } from "./protocol.ts";

/** The program is beside this file, as TypeScript in a clone and as JavaScript in the package. */
const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
/** What the worker may take to load, in milliseconds. */
const START_MS = 30_000;

/** The worker: one thread that answers one request after the other. */
interface FileThread {
  readonly answer: (request: SyncRequest, timeoutMs: number) => SyncReply;
  /** The longest time limit it can be given: how long is waited for a thread is set with its start. */
  readonly limitMs: number;
}

let thread: FileThread | null = null;

/**
 * Has the worker do something and stands still until it is done. The worker is started by the first
 * request, kept for the next one, and does not keep the process alive.
 */
export function ask(request: SyncRequest, timeoutMs: number): unknown {
  let reply: SyncReply;
  try {
    reply = threadFor(timeoutMs).answer(request, timeoutMs);
  } catch (cause) {
    thread = null;
    throw noAnswer(request.kind, timeoutMs, cause);
  }
  if (reply.ok) return reply.value;
  throw revived(reply.error);
}

/** Closes what the worker has open and ends it; the next request starts another one. */
export function stop(timeoutMs: number): void {
  if (thread === null) return;
  try {
    ask({ kind: "close" }, Math.min(timeoutMs, thread.limitMs));
  } finally {
    thread = null;
  }
}

function threadFor(timeoutMs: number): FileThread {
  if (thread !== null && thread.limitMs < timeoutMs) {
    try {
      stop(thread.limitMs);
    } catch {
      // One that cannot close has ended by that.
    }
  }
  thread ??= { answer: startThread(timeoutMs), limitMs: timeoutMs };
  return thread;
}

function startThread(limitMs: number): FileThread["answer"] {
  // As CommonJS: its ES modules do not find their own folder under `node -e`. And when it is needed,
  // so that its absence has a name; a caller who does not await cannot wait for an import.
  const synckit = createRequire(import.meta.url)("synckit") as typeof import("synckit");
  const path = fileURLToPath(new URL(`./worker${extension}`, import.meta.url));
  // Not createSyncFn: it answers for ever with the end of a thread that has ended once.
  return synckit.startWorkerThread<FileThread["answer"]>(path, {
    timeout: START_MS + limitMs + 2 * GRACE_MS,
    tsRunner: "node",
    globalShims: false,
    execArgv: threadArguments(),
  });
}

/** The words of this process that a thread may have too: settings of the whole process are refused. */
function threadArguments(): string[] {
  // A script given on the command line says which language it is; the worker is a file.
  const words = process.execArgv.filter((word) => !word.startsWith("--input-type"));
  if (words.length === 0) return words;
  try {
    void new Worker("", { eval: true, execArgv: words }).terminate();
    return words;
  } catch {
    return [];
  }
}

function noAnswer(kind: SyncRequest["kind"], timeoutMs: number, cause: unknown): CodedError {
  const name = missingPackage(cause);
  if (name !== null) {
    return new CodedError(
      "FILES_SYNC_PACKAGE_MISSING",
      `The package ${name} is needed for changeover/sync and is not installed. Install it: npm install ${name}`,
      { cause, details: { package: name, effect: "absent" } },
    );
  }
  const said = toError(cause).message.slice(0, 200);
  return new CodedError(
    "FILES_SYNC_NO_ANSWER",
    `The file worker gave no answer, with ${timeoutMs} ms for it (${said}); whether the ${kind} happened is not known. Look before you send it again.`,
    { status: 504, cause, details: { effect: "possible" } },
  );
}

function revived(error: SentError): Error {
  const { code, message, status, retryable, retryAfterSeconds, details } = error;
  if (code === null) return new Error(message);
  return new CodedError(code, message, {
    status,
    retryable,
    details,
    ...(retryAfterSeconds === null ? {} : { retryAfterSeconds }),
  });
}
