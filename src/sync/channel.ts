import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { CodedError } from "../base/errors.ts";
import type { SentError, SyncEnvelope, SyncReply, SyncRequest } from "./protocol.ts";

/** The program is beside this file, as TypeScript in a clone and as JavaScript in the package. */
const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
/** What the worker may take beyond its own time limit, to say that it is over. */
const GRACE_MS = 5000;

/** What the worker may take to load, in milliseconds. */
const START_MS = 30_000;

let worker: Worker | null = null;

/**
 * Has the worker do something and stands still until it is done. The worker is started by the first
 * request, kept for the next one, and does not keep the process alive.
 */
export function ask(request: SyncRequest, timeoutMs: number): unknown {
  worker ??= startWorker();
  const awake = new SharedArrayBuffer(4);
  const { port1, port2 } = new MessageChannel();
  const envelope: SyncEnvelope = { request, awake, port: port2, timeoutMs };
  worker.postMessage(envelope, [port2]);
  const woken = Atomics.wait(new Int32Array(awake), 0, 0, timeoutMs + GRACE_MS);
  const reply = receiveMessageOnPort(port1)?.message as SyncReply | undefined;
  port1.close();
  if (woken === "timed-out" || reply === undefined) {
    stopWorker();
    throw new CodedError(
      "FILES_SYNC_NO_ANSWER",
      `The file worker gave no answer within ${timeoutMs + GRACE_MS} ms; whether the ${request.kind} happened is not known. Look before you send it again.`,
      { status: 504, details: { effect: "possible" } },
    );
  }
  if (reply.ok) return reply.value;
  throw revived(reply.error);
}

/** Closes what the worker has open and ends it; the next request starts another one. */
export function stop(timeoutMs: number): void {
  if (worker === null) return;
  try {
    ask({ kind: "close" }, timeoutMs);
  } finally {
    stopWorker();
  }
}

function startWorker(): Worker {
  const ready = new SharedArrayBuffer(4);
  const started = new Worker(new URL(`./worker${extension}`, import.meta.url), {
    name: "changeover-sync",
    workerData: ready,
    // A script given on the command line says which language it is; the worker is a file.
    execArgv: process.execArgv.filter((word) => !word.startsWith("--input-type")),
  });
  started.unref();
  if (Atomics.wait(new Int32Array(ready), 0, 0, START_MS) === "timed-out") {
    void started.terminate();
    throw new CodedError(
      "FILES_SYNC_NO_ANSWER",
      `The file worker did not start within ${START_MS} ms. Nothing was sent.`,
      { status: 504, retryable: true, details: { effect: "absent" } },
    );
  }
  // Without a listener its end would be an uncaught error; a caller who waits is told by its time limit.
  started.on("error", () => {
    if (worker === started) worker = null;
  });
  return started;
}

function stopWorker(): void {
  void worker?.terminate();
  worker = null;
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
